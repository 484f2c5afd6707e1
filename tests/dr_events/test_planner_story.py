"""Random stories: events come and go, cars plug in, taper and leave, stations accept, reject, lose
and answer late, in any order. After every step the caps hold."""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import note, settings, HealthCheck
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from dr_events.orders import Cap, Capacity, Each, Order, Part, Percent, Rules
from dr_events.planner import plan
from tests.dr_events.stations import Charging

T0 = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
CIRCUITS = [
    Circuit(230, 3, 32), Circuit(230, 1, 32), Circuit(230, 3, 16), Circuit(277, 1, 40), Circuit(231.3, 3, 20),
    Circuit(400, 1, 125, is_dc=True),
]  # fmt: skip
ROUNDING_W = 1e-3


@dataclass
class Event:
    order: Order
    members: set[int]
    restoring: dict[int, Limit] | None = None
    before: dict[int, float | None] = field(default_factory=dict)
    excused: set[int] = field(default_factory=set)

asks = st.one_of(
    st.builds(Each, st.builds(Limit, st.just(Unit.POWER), st.integers(0, 25_000))),
    st.builds(Each, st.builds(Limit, st.just(Unit.CURRENT), st.integers(0, 40))),
    st.builds(Percent, st.integers(0, 100), st.sampled_from(Unit)),
    st.builds(Cap, st.integers(0, 60_000), st.booleans()),
    st.builds(Cap, st.integers(0, 60_000), st.booleans()),
    st.builds(Cap, st.integers(0, 60_000), st.booleans()),
)
pick = st.integers(0, 1 << 16)
some_w = st.integers(0, 60_000)

class Street(RuleBasedStateMachine):
    terms = Rules()
    def __init__(self):
        super().__init__()
        self.now = T0
        self.cars: dict[int, Charging] = {}
        self.events: dict[uuid.UUID, Event] = {}
        self.capacities: dict[int, Capacity] = {}
        self.keys = 0
        self.plans = {}
        self.used: dict = {}
        self.names = 0

    # --- helpers
    def parts(self, key):
        found = []
        for id_, e in self.events.items():
            if e.restoring is not None:
                if key in e.restoring:
                    found.append(Part(id_, e.before.get(key), "", e.restoring[key]))
            elif key in e.members:
                found.append(Part(id_, e.before.get(key), "opted_out" if key in e.excused else ""))
        return found

    def planned(self, reverse=False):
        orders = {id_: e.order for id_, e in self.events.items()}
        cars = [c.car(self.parts(c.key), self.now) for c in self.cars.values()]
        if reverse:
            cars.reverse()
            orders = dict(reversed(orders.items()))
        return plan(orders, cars, now=self.now, capacities=self.capacities, rules=self.terms), cars

    def bound_and_counted(self, c):
        """independent reading: caps that bind this car, those that it counts in, and its Each bound."""
        counted, bound, each = [], [], False
        applying = []
        for id_, e in self.events.items():
            key = None
            if e.restoring is None and c.key in e.members and isinstance(e.order.ask, Cap):
                key = (id_, c.site_id if e.order.ask.a_site else None)
                counted.append(key)
            if c.exempt: continue
            if e.restoring is not None and c.key in e.restoring:
                applying.append((e.order.rank, None))
            elif e.restoring is None and c.key in e.members and c.key not in e.excused and e.order.ask is not None:
                applying.append((e.order.rank, key))
        if applying:
            top = min(r for r, _ in applying)
            bound = [k for r, k in applying if r == top and k]
            each = any(r == top and not k for r, k in applying)
        if c.site_id in self.capacities:
            counted.append((None, c.site_id))
            if not c.exempt: bound.append((None, c.site_id))
        return bound, counted, each

    def cap_w(self, key):
        return self.capacities[key[1]].capacity_w if key[0] is None else self.events[key[0]].order.ask.cap_w

    def weight(self, c):
        """What a car counts for: the most its station may come to allow; who can't be held, his draw."""
        bound, counted, each = self.bound_and_counted(c)
        car = c.car(self.parts(c.key), self.now)
        if not bound and not each:
            return c.full_w if c.power_w is None else c.power_w
        if car.grip.is_stuck:
            drawn = c.power_w
            if drawn is None: drawn = c.full_w if c.may_be_free else 0
            return max([drawn, *(c._watts(x) for x in c.may_be_limits)])
        return c.most_w

    def usage(self):
        used = {}
        for c in self.cars.values():
            bound, counted, _ = self.bound_and_counted(c)
            for k in counted:
                used.setdefault(k, {})[c.key] = self.weight(c)
        return used

    def outside(self):
        """Something changed that's nobody's doing here: the caps are looked at anew."""
        self.used = self.usage()

    def inside(self):
        """Nothing changed but what planning, sending and answers do."""
        before, after = self.used, self.usage()
        for key, cars in after.items():
            was = before.get(key, {})
            total_before = 0
            for k, w in cars.items():
                c = self.cars[k]
                bound, *_ = self.bound_and_counted(c)
                car = c.car(self.parts(k), self.now)
                if key in bound and not car.grip.is_stuck and not self._stuck.get(k, False):
                    total_before += was.get(k, 0)
                else:
                    total_before += max(w, was.get(k, 0))
            total = sum(cars.values())
            assert total <= max(self.cap_w(key), total_before) + ROUNDING_W, (key, self.cap_w(key), was, cars)
        self.used = after

    def car(self, index):
        keys = sorted(self.cars)
        return self.cars[keys[index % len(keys)]]

    # --- outside
    @rule(circuit=st.sampled_from(CIRCUITS), site=st.integers(1, 2), appetite=st.sampled_from([0, 1500, 3600, 7000, 11_000, 22_000, 50_000]),
          exempt=st.sampled_from(["", "", "", "", "exempt_site"]), takes=st.sampled_from(Unit), metered=st.booleans(), online=st.sampled_from([True,True,True,False]))
    def plug_in(self, circuit, site, appetite, exempt, takes, metered, online):
        if len(self.cars) >= 8: return
        self.keys += 1
        c = Charging(self.keys, circuit, self.now, site, exempt, float(appetite), takes, online)
        if metered: c.report(self.now)
        self.cars[c.key] = c
        for e in self.events.values():
            if e.restoring is None and (site == 1 or len(e.members) % 2):
                e.members.add(c.key); e.before[c.key] = c.power_w
        self.outside()

    @initialize(n=st.integers(0, 6), data=st.data())
    def begin(self, n, data):
        for _ in range(n):
            self.plug_in(data.draw(st.sampled_from(CIRCUITS)), data.draw(st.integers(1, 2)), data.draw(st.sampled_from([3600, 11_000, 22_000])),
                         "", data.draw(st.sampled_from(Unit)), True, True)

    @precondition(lambda self: self.cars)
    @rule(index=pick)
    def leave(self, index):
        c = self.car(index)
        del self.cars[c.key]
        for e in self.events.values():
            e.members.discard(c.key); e.excused.discard(c.key)
            if e.restoring: e.restoring.pop(c.key, None)
        self.outside()

    @precondition(lambda self: self.cars)
    @rule(index=pick, appetite=st.sampled_from([0, 1500, 3600, 7000, 11_000, 22_000]))
    def taper(self, index, appetite):
        self.car(index).appetite_w = float(appetite)

    @precondition(lambda self: self.cars)
    @rule(index=pick)
    def online(self, index):
        c = self.car(index); c.online = not c.online
        self.outside()

    @precondition(lambda self: self.cars)
    @rule(index=pick)
    def meter(self, index):
        self.car(index).report(self.now)
        self.outside()

    @rule(ask=asks, priority=st.sampled_from([None, 0, 1]), scope=st.sampled_from(["all", "site 1", "odd"]), below=st.sampled_from(BelowMinimum))
    def declare(self, ask, priority, scope, below):
        if len(self.events) >= 4: return
        self.names += 1
        id_ = uuid.UUID(int=self.names)
        who = {k for k, c in self.cars.items() if scope == "all" or scope == "odd" and k % 2 or scope == "site 1" and c.site_id == 1}
        self.events[id_] = Event(Order(id_, f"E{self.names}", priority, self.now, ask, below), who, before={k: self.cars[k].power_w for k in who})
        self.outside()

    @precondition(lambda self: self.events)
    @rule(index=pick, ask=asks | st.none())
    def amend(self, index, ask):
        e = list(self.events.values())[index % len(self.events)]
        if e.restoring is None:
            e.order = replace(e.order, ask=ask)
        self.outside()

    @precondition(lambda self: self.events)
    @rule(index=pick, gently=st.booleans())
    def end(self, index, gently):
        id_ = list(self.events)[index % len(self.events)]
        e = self.events[id_]
        if gently and e.restoring is None:
            e.restoring = {k: p.limit for k, p in self.plans.items() if k in self.cars and k in e.members and p.binding == id_ and p.limit is not None}
        else:
            del self.events[id_]
        self.outside()

    @precondition(lambda self: self.events)
    @rule(index=pick, who=pick)
    def opt_out(self, index, who):
        e = list(self.events.values())[index % len(self.events)]
        if e.restoring is None and e.members:
            e.excused ^= {sorted(e.members)[who % len(e.members)]}
        elif e.restoring:
            del e.restoring[sorted(e.restoring)[who % len(e.restoring)]]
        self.outside()

    @rule(site=st.integers(1, 2), watts=some_w | st.none())
    def capacity(self, site, watts):
        if watts is None: self.capacities.pop(site, None)
        else: self.capacities[site] = Capacity(float(watts))
        self.outside()

    # --- inside
    @rule(seconds=st.sampled_from([1, 2, 10, 30, 61, 61, 300, 901]))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.outside()   # stuck may begin

    @precondition(lambda self: self.cars)
    @rule()
    def plan(self):
        self._plan()

    def _plan(self):
        self.outside()
        planned, cars = self.planned()
        took_back = False
        for p, car in zip(planned.plans, cars):
            c = self.cars[p.session_id]
            sure = max([c._watts(x) for x in [c.confirmed, *(t.limit for t in c.unheard)] if x], default=0)
            if c.wanted and p.limit and c._watts(p.limit) < c._watts(c.wanted) - 0.01 and sure < c._watts(c.wanted): took_back = True
        backwards, _ = self.planned(reverse=True)
        assert {p.session_id: (p.limit, p.binding) for p in planned.plans} == {p.session_id: (p.limit, p.binding) for p in backwards.plans}
        changed = 0
        for p in planned.plans:
            changed += self.cars[p.session_id].want(p.limit, self.now)
            self.plans[p.session_id] = p
        self.check_reasons(planned, cars)
        self.check_wanted(planned, cars)
        self.inside()
        again, _ = self.planned()
        a = {p.session_id: p.limit for p in planned.plans}
        b = {p.session_id: p.limit for p in again.plans}
        same = all(c.car([], self.now).grip.is_stuck == self._stuck.get(c.key, False) for c in self.cars.values())
        assert a == b or took_back or not same, {k: (a[k], b[k]) for k in a if a[k] != b[k]}
        return changed

    def check_reasons(self, planned, cars):
        for p, car in zip(planned.plans, cars):
            bound, counted, each = self.bound_and_counted(self.cars[p.session_id])
            if p.limit is None:
                assert not bound and not each
                assert p.binding is None and p.cap is None and not p.waits
                continue
            assert bound or each
            assert p.cap in bound if p.cap else p.binding, p
            if p.cap: assert p.cap[0] == p.binding
            if p.waits == "turn": assert p.limit.is_pause, p
            if not car.circuit.is_dc:
                assert p.limit.is_pause or car.circuit.amperes(p.limit) >= 6 - 1e-6, p

    def check_wanted(self, planned, cars):
        sums = {}
        for p, car in zip(planned.plans, cars):
            c = self.cars[p.session_id]
            bound, counted, each = self.bound_and_counted(c)
            for key in counted:
                held, rest = sums.setdefault(key, [0.0, 0.0])
                if key in bound and not car.grip.is_stuck:
                    sums[key][0] += c._watts(p.limit)
                elif car.grip.is_stuck or p.limit is None:
                    sums[key][1] += self.weight(c)
                else:
                    sums[key][1] += c._watts(p.limit)
        for key, (held, rest) in sums.items():
            assert held <= max(0, self.cap_w(key) - rest) + ROUNDING_W, (key, self.cap_w(key), held, rest)

    @precondition(lambda self: any(c.can_send for c in self.cars.values()))
    @rule(index=pick)
    def send(self, index):
        ready = [c for c in self.cars.values() if c.can_send]
        ready[index % len(ready)].send()
        self.inside()

    @precondition(lambda self: any(c.on_wire for c in self.cars.values()))
    @rule(index=pick, accepts=st.sampled_from([True, True, True, False]))
    def reach(self, index, accepts):
        ready = [c for c in self.cars.values() if c.on_wire]
        ready[index % len(ready)].reach(accepts=accepts)
        self.inside()

    @precondition(lambda self: any(c.on_wire for c in self.cars.values()))
    @rule(index=pick)
    def lose_command(self, index):
        ready = [c for c in self.cars.values() if c.on_wire]
        ready[index % len(ready)].on_wire.pop(0)
        self.inside()

    @precondition(lambda self: any(c.answers for c in self.cars.values()))
    @rule(index=pick, which=pick)
    def hear(self, index, which):
        ready = [c for c in self.cars.values() if c.answers]
        c = ready[index % len(ready)]
        c.hear(which % len(c.answers), self.now)
        self.outside_stuck()

    def outside_stuck(self):
        self.inside()

    @invariant()
    def no_station_holds_more_than_the_book_says_it_may(self):
        for c in self.cars.values():
            assert c.most_in_force_w <= c.most_w + 1
            car = c.car([], self.now)
            if not car.grip.is_loose and c.wanted is not None:
                assert c.most_in_force_w <= car.held_w + 1, (c,)

    @invariant()
    def remember_stuck(self):
        self._stuck = {k: c.car(self.parts(k), self.now).grip.is_stuck for k, c in self.cars.items()}

    @precondition(lambda self: any(c.answers for c in self.cars.values()))
    @rule(index=pick, which=pick)
    def lose_answer(self, index, which):
        ready = [c for c in self.cars.values() if c.answers]
        c = ready[index % len(ready)]
        c.answers.pop(which % len(c.answers))

    @precondition(lambda self: self.cars)
    @rule(index=pick)
    def deadline(self, index):
        self.car(index).give_up_waiting()
        self.outside()

    @precondition(lambda self: self.cars)
    @rule()
    def settle_down(self):
        for c in self.cars.values():
            c.online = True
        self.outside()
        for turn in range(40):
            for c in self.cars.values():
                if c.newest and c.newest.state == "rejected":
                    c.newest.state, c.newest.reason = "due", ""
                if c.newest and c.newest.state == "sent" and not c.on_wire and not c.answers:
                    c.give_up_waiting()
                if c.can_send: c.send()
                while c.on_wire: c.reach()
                while c.answers: c.hear(0, self.now)
            self.outside()
            if not self._plan() and not any(c.can_send for c in self.cars.values()):
                break
        else:
            raise AssertionError("never settles")
        self.outside()
        for p in self.planned()[0].plans:
            c = self.cars[p.session_id]
            assert c.car([], self.now).grip.is_stuck or p.waits != "room", p

Street.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
TestStreet = Street.TestCase
