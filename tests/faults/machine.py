"""Everything that can happen to a gateway, in every order, on a real database: what people
order, what cars, stations and eDRV do, what time does, and death between any two statements."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rest_framework.serializers import ValidationError

from chargers import claims, dispatch, inbox, inventory, replies, webhooks
from chargers.claims import Claim
from chargers.edrv import payloads
from chargers.edrv.burst import Reply
from chargers.models import Attempt, Session
from chargers.problems import Problem
from dr_events import intake, opt_outs, reconciliation
from dr_events.models import Event, OptOut
from tests.dr_events.story import ENDPOINT, OPERATOR
from tests.faults import promises
from tests.faults.choices import HOW, deaths, limits, pick, seconds, verdicts
from tests.faults.wire import Car, Wire
from tests.fleet import later, make_connector, make_session, make_site, make_station, new_id

TIMEOUT_S, LEASE_S = 5, 8
MOST_CARS, MOST_EVENTS = 6, 3
FOUR_KW = {"kind": "per_session", "unit": "power", "value": 4200}


class Killed(BaseException):
    """kill -9, as the process itself would see it: not at all."""


class Gateway(RuleBasedStateMachine):
    """`now_s` counts from an arbitrary beginning; nothing here waits."""

    steps = 0  # of all runs

    def __init__(self) -> None:
        super().__init__()
        self._everything = transaction.atomic()
        self._everything.__enter__()
        with connection.cursor() as cursor:
            cursor.execute("ALTER SEQUENCE chargers_session_id_seq RESTART")
        self.wire, self.seen = Wire(), promises.Seen()
        self.now_s, self.swept = 0.0, False
        self.claimed: list[tuple[float, Claim]] = []
        self.replies: list[tuple[Claim, Reply]] = []

    def teardown(self) -> None:
        try:
            self._come_to_rest()
        finally:
            transaction.set_rollback(True)
            self._everything.__exit__(None, None, None)

    @property
    def now(self) -> datetime:
        return later(self.now_s)

    @initialize()
    def fleet(self) -> None:
        sites = [make_site(), make_site()]
        self.connectors = [make_connector(make_station(site)) for site in (*sites, sites[0])]
        for connector in self.connectors:
            self.wire.online[connector.chargestation.external_id] = True
            session = make_session(connector)
            self.wire.cars[session.external_id] = self._car(session.external_id, connector)
        said = {"name": "first", "limit": FOUR_KW, "targets": [{"type": "all"}], "priority": 1}
        intake.declare(said, actor=OPERATOR, now=self.now)
        reconciliation.steer(clock=lambda: self.now)

    def _car(self, id_: str, connector: Any) -> Car:
        station = connector.chargestation.external_id
        return Car(id_, station, connector.external_id, changed_at=later(-10))

    # --- people ---------------------------------------------------------------------------------

    @precondition(lambda self: len(self._open_events()) < MOST_EVENTS)
    @rule(
        limit=limits,
        priority=st.none() | st.integers(0, 2),
        starts_in=st.sampled_from([None, None, 10]),
        lasts=st.sampled_from([None, 15, 70]),
        aim=pick,
        slope=st.sampled_from([None, None, {"rate_w_per_min": 30_000}]),
        bell=st.booleans(),
    )
    def declare(
        self,
        limit: Any,
        priority: Any,
        starts_in: Any,
        lasts: Any,
        aim: int,
        slope: Any,
        bell: bool,
    ) -> None:
        stations = [{"type": "chargestation", "value": id_} for id_ in self.wire.online]
        everywhere = [{"type": "all"}]
        targets = [everywhere, everywhere, stations[:1], stations[1:]][aim % 4]
        said = {
            "name": "event",
            "limit": limit,
            "priority": priority,
            "targets": targets,
            "starts_at": starts_in and later(self.now_s + starts_in).isoformat(),
            "duration": lasts and f"PT{lasts}S",
            **({"restore": slope} if slope else {}),
        }
        self._order(lambda: intake.declare(said, actor=OPERATOR, now=self.now), bell=bell)

    @precondition(lambda self: self._open_events())
    @rule(which=pick, limit=limits, priority=st.none() | st.integers(0, 2), lasts=st.booleans(),
          bell=st.booleans())  # fmt: skip
    def amend(self, which: int, limit: Any, priority: Any, lasts: bool, bell: bool) -> None:
        said = {"limit": limit, "priority": priority}
        if lasts:
            said["ends_at"] = later(self.now_s + 30).isoformat()
        event = self._event(which)
        self._order(lambda: intake.amend(event.pk, said, actor=OPERATOR, now=self.now), bell=bell)

    @precondition(lambda self: self._open_events())
    @rule(which=pick, how=st.sampled_from([intake.end, intake.cancel, intake.restore_at_once]),
          bell=st.booleans())  # fmt: skip
    def stop(self, which: int, how: Any, bell: bool) -> None:
        event = self._event(which)
        self._order(lambda: how(event.pk, actor=OPERATOR, now=self.now), bell=bell)

    @precondition(lambda self: self._open_events())
    @rule(which=pick, who=pick)
    def opt_out(self, which: int, who: int) -> None:
        said = {"type": "session", "value": self._any_car(who).id}
        event = self._event(which)
        self._order(lambda: opt_outs.opt_out(event.pk, said, actor=OPERATOR, now=self.now))

    @precondition(lambda self: OptOut.objects.filter(withdrawn_at=None).exists())
    @rule(which=pick)
    def rejoin(self, which: int) -> None:
        found = list(OptOut.objects.filter(withdrawn_at=None).order_by("id"))
        out = found[which % len(found)]
        self._order(lambda: opt_outs.withdraw(out.event_id, out.pk, actor=OPERATOR, now=self.now))

    def _order(self, do: Callable[[], object], *, bell: bool = False) -> None:
        """Whatever is refused, with a reason, has changed nothing. The bell may be heard."""
        with suppress(Problem, ValidationError), transaction.atomic():
            do()
        if bell:
            reconciliation.steer(clock=lambda: self.now)

    def _open_events(self) -> list[Event]:
        return list(Event.objects.filter(status__in=Event.UNFINISHED).order_by("declared_at", "id"))

    def _event(self, which: int) -> Event:
        events = self._open_events()
        return events[which % len(events)]

    # --- cars and stations ----------------------------------------------------------------------

    def _charging(self) -> list[Car]:
        return [car for car in self.wire.cars.values() if car.status == "Started"]

    def _any_car(self, which: int) -> Car:
        cars = list(self.wire.cars.values())
        return cars[which % len(cars)]

    @precondition(lambda self: len(self.wire.cars) < MOST_CARS)
    @rule(where=pick)
    def join(self, where: int) -> None:
        connector = self.connectors[where % len(self.connectors)]
        self.wire.plug_in(self._car(new_id(), connector), self.now)

    @precondition(lambda self: self._charging())
    @rule(which=pick)
    def leave(self, which: int) -> None:
        cars = self._charging()
        self.wire.unplug(cars[which % len(cars)], self.now)

    @precondition(lambda self: self._charging())
    @rule(which=pick, power_w=st.sampled_from([0.0, 4000.0, 11_000.0]))
    def report(self, which: int, power_w: float) -> None:
        cars = self._charging()
        self.wire.report(cars[which % len(cars)], power_w, self.now)

    @rule(which=pick)
    def flap(self, which: int) -> None:
        station = list(self.wire.online)[which % len(self.wire.online)]
        self.wire.set_online(station, not self.wire.online[station], self.now)

    @precondition(lambda self: self.wire.heads())
    @rule(which=pick, said=verdicts)
    def answer(self, which: int, said: Any) -> None:
        heads = self.wire.heads()
        self.wire.answer(heads[which % len(heads)], said, self.now)

    # --- the dispatcher, in one go and step by step ---------------------------------------------

    @rule(how=st.sampled_from(HOW), said=verdicts, death=deaths)
    def dispatch(self, how: str, said: Any, death: int | None) -> None:
        """A whole round: what is due is sent, its answer recorded, and the stations speak."""
        self.claim(5, None)
        while self.claimed:
            self.send(0, how)
        if self.replies:
            self.record(100, 0, death)
        for action in self.wire.heads():
            self.wire.answer(action, said, self.now)

    @rule(death=deaths)
    def hear(self, death: int | None) -> None:
        """All that was told is stored and applied, the latest first, a few at a time."""
        while self.wire.outbox:
            for _ in range(min(3, len(self.wire.outbox))):
                self._deliver(self.wire.outbox.pop())
            self.apply_inbox(None)
        self.sweep(death)

    @rule(most=st.integers(1, 5), death=deaths)
    def claim(self, most: int, death: int | None) -> None:
        def take() -> None:
            lease_until = later(self.now_s + LEASE_S)
            found = claims.claim(most, endpoint=ENDPOINT, now=self.now, lease_until=lease_until)
            self.claimed += [(self.now_s + LEASE_S - TIMEOUT_S, one) for one in found]

        self._dying_at(death, take)

    @precondition(lambda self: self.claimed)
    @rule(which=pick, how=st.sampled_from(HOW))
    def send(self, which: int, how: str) -> None:
        send_before_s, one = self.claimed.pop(which % len(self.claimed))
        if self.now_s >= send_before_s:
            self.replies.append((one, Reply(one.attempt_id, None, self.now.timestamp())))
            return
        attempt = Attempt.objects.get(pk=one.attempt_id)
        assert (attempt.verb, attempt.command_id) == (one.verb, one.command_id), "P4"
        self.replies.append((one, self.wire.take(one, how, self.now)))

    @precondition(lambda self: self.replies)
    @rule(most=st.integers(1, 5), which=pick, death=deaths)
    def record(self, most: int, which: int, death: int | None) -> None:
        first = which % len(self.replies)
        batch = self.replies[first : first + most]
        del self.replies[first : first + most]
        judged = [replies.judge(one, reply, jitter=0.5) for one, reply in batch]
        self._dying_at(death, lambda: dispatch.record(judged, now=self.now))

    @precondition(lambda self: self.claimed or self.replies)
    @rule()
    def the_dispatcher_dies(self) -> None:
        self.claimed.clear()
        self.replies.clear()

    # --- webhooks -------------------------------------------------------------------------------

    @precondition(lambda self: self.wire.outbox)
    @rule(which=pick)
    def deliver(self, which: int) -> None:
        self._deliver(self.wire.outbox.pop(which % len(self.wire.outbox)))

    def deliver_all_backwards(self) -> None:
        while self.wire.outbox:
            self._deliver(self.wire.outbox.pop())

    @precondition(lambda self: self.wire.delivered)
    @rule(which=pick)
    def deliver_again(self, which: int) -> None:
        self._deliver(self.wire.delivered[which % len(self.wire.delivered)])

    @precondition(lambda self: self.wire.outbox)
    @rule(which=pick)
    def lose(self, which: int) -> None:
        self.wire.outbox.pop(which % len(self.wire.outbox))

    def _deliver(self, body: bytes) -> None:
        webhooks.insert([webhooks.row_of(payloads.read_delivery(payloads.parse(body)), "", body)])
        self.wire.delivered.append(body)

    @rule(death=deaths)
    def apply_inbox(self, death: int | None) -> None:
        self._dying_at(death, lambda: inbox.apply_batch(now=self.now))

    @rule()
    def sync(self) -> None:
        inventory.sync(self.wire, now=self.now, everything=True)  # type: ignore[arg-type]

    # --- time and death -------------------------------------------------------------------------

    @rule(passing_s=seconds)
    def wait(self, passing_s: float) -> None:
        self.now_s += passing_s

    @rule(death=deaths)
    def sweep(self, death: int | None) -> None:
        self.swept = self._dying_at(death, lambda: reconciliation.sweep(clock=lambda: self.now))

    def _dying_at(self, statement: int | None, do: Callable[[], object]) -> bool:
        """Do it, unless death comes before that many statements were executed."""
        left = [statement or 1_000_000]

        def die(execute: Any, *arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return execute(*arguments)

        try:
            with connection.execute_wrapper(die):
                do()
        except Killed:
            # What Django calls broken was rolled back as far as it was the gateway's own: the
            # statement never reached PostgreSQL, and the transaction that is left is this test's.
            transaction.set_rollback(False)
            return False
        return True

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        Gateway.steps += 1
        promises.check(self.wire, self.seen)
        if self.swept:
            promises.check_events(self.wire)
            promises.check_plans(self.now)
        self.swept = False

    def _come_to_rest(self) -> None:
        """Everything works again, everything is over: so it must come to rest by itself."""
        if not self.wire.online:
            return
        for station in self.wire.online:
            self.wire.set_online(station, True, self.now)
        for event in self._open_events():
            self._order(lambda event=event: intake.cancel(event.pk, actor=OPERATOR, now=self.now))
        for _ in range(40):
            self._turn()
            if not self._open_events() and not Session.objects.filter(may_be_limited=True):
                break
        self._turn()
        promises.check(self.wire, self.seen)
        promises.check_rest(self.wire)

    def _turn(self) -> None:
        """One round of a world in which everything works."""
        self.sync()
        while self.claimed:
            self.send(0, "answered")
        while self.replies:
            self.record(100, 0, None)
        while heads := self.wire.heads():
            self.wire.answer(heads[0], None, self.now)
        self.deliver_all_backwards()
        self.apply_inbox(None)
        self.sweep(None)
        self.claim(100, None)
        self.now_s += 1
        while self.claimed:
            self.send(0, "answered")
        self.record(100, 0, None) if self.replies else None
        self.now_s += 30
