"""Random stories: events come, change and go, cars plug in, taper and leave, stations accept,
reject, lose and answer late, in any order. After every step the caps hold."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from dr_events.orders import Cap, Capacity, Each, Percent
from dr_events.planner import Planned
from tests.dr_events.stations import Charging
from tests.dr_events.street import Street, later

# What becomes of a watt in rounding to what can be sent, and back.
A_WATT = 1.0
FEW = 1e-3

circuits = st.sampled_from(
    [
        Circuit(230, 3, 32),
        Circuit(230, 1, 32),
        Circuit(230, 3, 16),
        Circuit(277, 1, 40),
        Circuit(231.3, 3, 20),
        Circuit(400, 1, 125, is_dc=True),
    ]
)
appetites = st.sampled_from([0.0, 1_500.0, 3_600.0, 7_000.0, 11_000.0, 22_000.0, 50_000.0])
powers = st.sampled_from([0, 1_000, 5_000, 9_000, 15_000, 20_000, 30_000, 50_000])
caps = st.builds(Cap, powers | st.integers(0, 60_000), st.booleans())
limits = st.one_of(
    st.builds(Limit, st.just(Unit.POWER), powers | st.integers(3_000, 12_000)),
    st.builds(Limit, st.just(Unit.CURRENT), st.integers(5, 33)),
)
asks = st.one_of(
    caps,
    caps,
    st.builds(Each, limits),
    st.builds(Percent, st.sampled_from([0, 30, 50, 100]), st.sampled_from(Unit)),
)
priorities = st.sampled_from([None, 0, 0, 1])
belows = st.sampled_from(BelowMinimum)
picks = st.integers(0, 999)
rarely = st.integers(0, 9).map(lambda number: number == 9)
cars = st.fixed_dictionaries(
    {
        "circuit": circuits,
        "site_id": st.integers(1, 2),
        "appetite_w": appetites,
        "takes": st.sampled_from(Unit),
        "exempt": rarely.map(lambda it_is: "exempt_site" if it_is else ""),
        "online": rarely.map(lambda it_is: not it_is),
        "metered": rarely.map(lambda it_is: not it_is),
    }
)
TO_CARS = ["report", "report", "taper", "leave", "online"]
TO_EVENTS = ["amend", "gap", "end", "end gently", "opt out", "opt out"]
TO_MESSAGES = ["well"] * 8 + ["rejected", "lost"]


class Story(RuleBasedStateMachine):
    """Rules are of two kinds. What comes from *outside* may take a cap over what is allowed; what
    comes of planning, sending and answers, *inside*, never does."""

    def __init__(self) -> None:
        super().__init__()
        self.street = Street()
        self.plugged = 0
        self.used: dict = {}
        self.stuck: set[int] = set()

    @initialize(first=st.lists(cars, min_size=2, max_size=6), data=st.data())
    def begin(self, first, data):
        for car in first:
            self.plug_in(car)
        for _ in range(data.draw(st.integers(1, 3))):
            self.declare(data.draw(asks), data.draw(priorities), data.draw(belows), 0)

    # --- from outside -----------------------------------------------------------------------

    @precondition(lambda self: len(self.street.cars) < 8)
    @rule(car=cars)
    def plug_in(self, car):
        self.plugged += 1
        metered = car.pop("metered")
        come = Charging(self.plugged, started_at=self.street.now, **car)
        if metered:
            come.report(self.street.now)
        self.street.plug_in(come)
        self.outside()

    @rule(pick=picks, what=st.sampled_from(TO_CARS), appetite_w=appetites)
    def a_car(self, pick, what, appetite_w):
        car = self.one_of(self.street.cars.values(), pick)
        if car is None:
            return
        match what:
            case "report":
                car.report(self.street.now)
            case "taper":
                car.appetite_w = appetite_w
            case "leave":
                self.street.leave(car.key)
            case "online":
                car.online = not car.online
        self.outside()

    @precondition(lambda self: len(self.street.events) < 4)
    @rule(ask=asks, priority=priorities, below=belows, every=st.sampled_from([0, 0, 2]))
    def declare(self, ask, priority, below, every):
        """Of all cars, or of every second one."""
        keys = [key for key in self.street.cars if not every or key % every]
        self.street.declare(ask, keys, priority=priority, below=below)
        self.outside()

    @rule(pick=picks, who=picks, ask=asks, what=st.sampled_from(TO_EVENTS))
    def an_event(self, pick, who, ask, what):
        event = self.one_of(self.street.events.values(), pick)
        if event is None:
            return
        match what:
            case "amend" | "gap" if not event.is_restoring:
                self.street.amend(event, ask if what == "amend" else None)
            case "end gently" if not event.is_restoring:
                self.street.end(event, gently=True)
            case "end":
                self.street.end(event)
            case "opt out" if event.holds:
                event.holds.pop(self.one_of(sorted(event.holds), who))
            case "opt out" if event.members:
                event.excused ^= {self.one_of(sorted(event.members), who)}
        self.outside()

    @rule(site_id=st.integers(1, 2), power_w=st.none() | powers)
    def a_capacity(self, site_id, power_w):
        self.street.capacities.pop(site_id, None)
        if power_w is not None:
            self.street.capacities[site_id] = Capacity(float(power_w))
        self.outside()

    @rule(seconds=st.sampled_from([1, 2, 10, 30, 61, 61, 300, 901]))
    def time_passes(self, seconds):
        self.street.now = later(self.street.now, seconds)
        self.outside()

    @rule(pick=picks)
    def a_deadline_passes(self, pick):
        waiting = [car for car in self.street.cars.values() if car.is_waiting]
        car = self.one_of(waiting, pick)
        if car:
            car.give_up_waiting()
            self.outside()

    # --- inside -----------------------------------------------------------------------------

    @rule(pick=picks, which=picks, fate=st.sampled_from(TO_MESSAGES))
    def a_message(self, pick, which, fate):
        """A command goes out, reaches its station, or the station's answer reaches us; or not."""
        street = self.street
        car = self.one_of([car for car in street.cars.values() if car.has_messages], pick)
        if car is None:
            return
        steps = [bool(car.can_send), bool(car.on_wire), bool(car.answers)]
        match self.one_of([step for step, there in enumerate(steps) if there], which):
            case 0:
                car.send()
            case 1 if fate == "lost":
                car.on_wire.pop(0)
            case 1:
                car.reach(accepts=fate != "rejected")
            case 2 if fate == "lost":
                car.answers.pop(which % len(car.answers))
            case 2:
                car.hear(which % len(car.answers), street.now)
        self.inside()

    @rule()
    def plan(self):
        self.plan_once()

    @rule()
    def all_is_answered(self):
        """Every station is there and accepts: within few rounds nothing is left to be said, and
        nobody waits for room that has long been made."""
        for car in self.street.cars.values():
            car.online = True
        self.outside()
        for _ in range(12):
            for car in self.street.cars.values():
                car.converse(self.street.now)
            self.outside()
            if not self.plan_once() and not any(c.has_messages for c in self.street.cars.values()):
                break
        else:
            raise AssertionError("it never comes to rest")
        for key, decided in self.street.plans.items():
            assert decided.waits != "room" or self.street.is_stuck(self.street.cars[key]), decided

    # --- what must be -----------------------------------------------------------------------

    def plan_once(self):
        self.outside()
        planned, backwards = self.street.planned(), self.street.planned(backwards=True)
        assert limits_of(planned) == limits_of(backwards)
        may_change = self.may_change_when_planned_again(planned)
        changed = self.street.want(planned)
        for decided in planned.plans:
            self.has_its_reason(decided)
        self.nobody_wants_more_than_there_is(planned)
        again = self.street.planned()
        assert (
            may_change or self.stuck_now() != self.stuck or limits_of(again) == limits_of(planned)
        )
        self.inside()
        return changed

    def has_its_reason(self, decided):
        """Nobody is limited whom nothing limits; who is limited, can be told by what."""
        car = self.street.cars[decided.session_id]
        standing = self.street.standing_of(car)
        assert (decided.limit is None) == standing.is_free
        if decided.limit is None:
            assert (decided.binding, decided.cap, decided.waits) == (None, None, "")
            return
        assert decided.cap in standing.bound if decided.cap else standing.has_limit_of_its_own
        assert decided.cap is None or decided.cap[0] == decided.binding
        assert decided.cause
        assert decided.waits != "turn" or decided.limit.is_pause
        amperes = car.circuit.amperes(decided.limit)
        assert car.circuit.is_dc or decided.limit.is_pause or amperes >= 6 - FEW

    def nobody_wants_more_than_there_is(self, planned: Planned):
        """Those who can be held are wanted at no more than the others leave of each cap."""
        wanted: dict = {}
        others: dict = {}
        for decided in planned.plans:
            car = self.street.cars[decided.session_id]
            standing = self.street.standing_of(car)
            wanted_w = 0.0 if decided.limit is None else car.watts(decided.limit)
            for cap in standing.counted:
                if car.key in self.stuck or decided.limit is None:
                    watts = max(wanted_w, self.used[cap][car.key])
                    others[cap] = others.get(cap, 0.0) + watts
                else:
                    among = wanted if cap in standing.bound else others
                    among[cap] = among.get(cap, 0.0) + wanted_w
        for cap, watts in wanted.items():
            left_w = max(0.0, self.street.cap_w(cap) - others.get(cap, 0.0))
            assert watts <= left_w + FEW, (cap, watts, left_w)

    def may_change_when_planned_again(self, planned: Planned):
        """What was wanted, and is not any more, may have been on its way: who can tell only once
        it is known not to be wanted. And of two who are each excused from the other's event,
        neither comes first."""
        limits = limits_of(planned)
        return any(
            self.takes_back(car, limits[car.key]) or self.is_excused_though_bound(car)
            for car in self.street.cars.values()
        )

    def takes_back(self, car, limit):
        if limit is None or car.wanted is None:
            return False
        sure_w = max([car.watts(sent) for sent in car.was_sent], default=0.0)
        return max(sure_w, car.watts(limit)) < car.watts(car.wanted) - FEW

    def is_excused_though_bound(self, car):
        events = self.street.events.values()
        is_excused = any(car.key in event.excused for event in events)
        return is_excused and bool(self.street.standing_of(car).bound)

    def outside(self):
        self.used, self.stuck = self.street.used(), self.stuck_now()

    def inside(self):
        """No step takes a cap over what is allowed, or further over it. Those whom it does not
        bind, and those who do not obey, are not its doing."""
        stuck, used = self.stuck | self.stuck_now(), self.street.used()
        for cap, cars in used.items():
            was = self.used.get(cap, {})
            before_w = 0.0
            for key, watts in cars.items():
                bound = cap in self.street.standing_of(self.street.cars[key]).bound
                held = bound and key not in stuck
                before_w += was.get(key, 0.0) if held else max(watts, was.get(key, 0.0))
            most_w = max(self.street.cap_w(cap), before_w)
            assert sum(cars.values()) <= most_w + FEW, (cap, self.street.cap_w(cap), was, cars)
        self.used, self.stuck = used, self.stuck_now()

    def stuck_now(self):
        return {car.key for car in self.street.cars.values() if self.street.is_stuck(car)}

    @invariant()
    def no_station_holds_more_than_is_known(self):
        for car in self.street.cars.values():
            facts = self.street.facts_of(car)
            assert car.most_in_force_w <= car.most_w + A_WATT
            if facts.held_w is not None and not facts.grip.is_loose:
                assert car.most_in_force_w <= facts.held_w + A_WATT

    @staticmethod
    def one_of(things, pick):
        things = list(things)
        return things[pick % len(things)] if things else None


def limits_of(planned: Planned):
    return {decided.session_id: decided.limit for decided in planned.plans}


TestStory = Story.TestCase
