"""A street of charging cars under orders, in memory, with a reading of its own of what binds whom
and what each cap is used by. The planner's answers are checked against it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from chargers.electricity import BelowMinimum, Limit
from dr_events.orders import Ask, Cap, Capacity, CapKey, Car, EventId, Order, Part, Rules
from dr_events.planner import Plan, Planned, plan
from tests.dr_events.stations import Charging

T0 = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)


def later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


@dataclass
class Event:
    """An event and who takes part in it, with each one's draw when it came in; of one that is
    restoring, at what those are held who are still in it."""

    order: Order
    members: dict[int, float | None]
    excused: set[int] = field(default_factory=set)
    holds: dict[int, Limit] | None = None

    @property
    def is_restoring(self) -> bool:
        return self.holds is not None

    def cap_on(self, car: Charging) -> CapKey | None:
        """Its cap that this car counts under."""
        if self.is_restoring or car.key not in self.members:
            return None
        if not isinstance(self.order.ask, Cap):
            return None
        return (self.order.event_id, car.site_id if self.order.ask.a_site else None)

    def applies_to(self, car: Charging) -> bool:
        if car.exempt:
            return False
        if self.holds is not None:
            return car.key in self.holds
        is_in = car.key in self.members and car.key not in self.excused
        return is_in and self.order.ask is not None


@dataclass
class Standing:
    """How a car stands: the caps that bind it, those that it uses room of, and whether another
    order binds it besides."""

    bound: list[CapKey]
    counted: list[CapKey]
    has_limit_of_its_own: bool

    @property
    def is_free(self) -> bool:
        return not self.bound and not self.has_limit_of_its_own


class Street:
    def __init__(self, rules: Rules | None = None) -> None:
        self.now = T0
        self.rules = rules or Rules()
        self.cars: dict[int, Charging] = {}
        self.events: dict[EventId, Event] = {}
        self.capacities: dict[int, Capacity] = {}
        self.plans: dict[int, Plan] = {}
        self._names = 0

    # --- what happens -----------------------------------------------------------------------

    def plug_in(self, car: Charging) -> None:
        """It takes part in every event of which another car at its site does, as in life."""
        self.cars[car.key] = car
        for event in self.events.values():
            sites = {self.cars[key].site_id for key in event.members if key != car.key}
            if not event.is_restoring and car.site_id in sites:
                event.members[car.key] = car.power_w

    def leave(self, key: int) -> None:
        del self.cars[key]
        self.plans.pop(key, None)
        for event in self.events.values():
            event.members.pop(key, None)
            event.excused.discard(key)
            if event.holds:
                event.holds.pop(key, None)

    def declare(
        self,
        ask: Ask,
        keys: Iterable[int] | None = None,
        *,
        priority: int | None = None,
        below: BelowMinimum = BelowMinimum.PAUSE,
    ) -> Event:
        """An event for these cars or for all."""
        self._names += 1
        event_id = uuid.UUID(int=self._names)
        order = Order(event_id, f"E{self._names}", priority, self.now, ask, below)
        members = {key: self.cars[key].power_w for key in (self.cars if keys is None else keys)}
        self.events[event_id] = Event(order, members)
        return self.events[event_id]

    def amend(self, event: Event, ask: Ask | None) -> None:
        event.order = replace(event.order, ask=ask)

    def end(self, event: Event, *, gently: bool = False) -> None:
        """At once or, gently, with everybody held at first where it holds them now."""
        event_id = event.order.event_id
        if not gently:
            del self.events[event_id]
            return
        event.holds = {
            key: decided.limit
            for key, decided in self.plans.items()
            if key in event.members and decided.binding == event_id and decided.limit
        }

    # --- planning ---------------------------------------------------------------------------

    def planned(self, *, backwards: bool = False) -> Planned:
        cars = [self.facts_of(car) for car in self.cars.values()]
        orders = {event_id: event.order for event_id, event in self.events.items()}
        if backwards:
            cars.reverse()
            orders = dict(reversed(orders.items()))
        return plan(orders, cars, now=self.now, capacities=self.capacities, rules=self.rules)

    def want(self, planned: Planned) -> int:
        """Have what is planned wanted. Returns of how many cars that is something else."""
        self.plans = {decided.session_id: decided for decided in planned.plans}
        return sum(self.cars[key].want(one.limit, self.now) for key, one in self.plans.items())

    def facts_of(self, car: Charging) -> Car:
        return car.as_car(self._parts_of(car.key), self.now)

    def is_stuck(self, car: Charging) -> bool:
        return self.facts_of(car).grip.is_stuck

    def _parts_of(self, key: int) -> list[Part]:
        parts = []
        for event_id, event in self.events.items():
            before_w = event.members.get(key)
            if event.holds is not None:
                if key in event.holds:
                    parts.append(Part(event_id, before_w, hold=event.holds[key]))
            elif key in event.members:
                parts.append(Part(event_id, before_w, "opted_out" if key in event.excused else ""))
        return parts

    # --- what holds -------------------------------------------------------------------------

    def standing_of(self, car: Charging) -> Standing:
        """Of the events that apply, those of the highest priority bind it; a site's standing
        capacity always does."""
        caps = [(event, event.cap_on(car)) for event in self.events.values()]
        counted = [cap for _, cap in caps if cap]
        applying = [(event, cap) for event, cap in caps if event.applies_to(car)]
        highest = min((event.order.rank for event, _ in applying), default=None)
        first = [cap for event, cap in applying if event.order.rank == highest]
        bound = [cap for cap in first if cap]
        if car.site_id in self.capacities:
            counted.append((None, car.site_id))
            if not car.exempt:
                bound.append((None, car.site_id))
        return Standing(bound, counted, None in first)

    def cap_w(self, cap: CapKey) -> float:
        event_id, site_id = cap
        if event_id is None:
            assert site_id is not None
            return self.capacities[site_id].capacity_w
        ask = self.events[event_id].order.ask
        assert isinstance(ask, Cap)
        return ask.cap_w

    def counts_w(self, car: Charging) -> float:
        """What a car counts for under its caps: the most that its station may come to allow. One
        that nobody can hold, or that does not obey, counts for what it draws as well."""
        if self.standing_of(car).is_free:
            return car.free_w
        if not self.is_stuck(car):
            return car.most_w
        drawn_w = car.free_w if car.may_be_free else car.power_w or 0.0
        return max([drawn_w, *(car.watts(limit) for limit in car.may_be_limits)])

    def used(self) -> dict[CapKey, dict[int, float]]:
        """What each car uses of each cap."""
        found: dict[CapKey, dict[int, float]] = {}
        for car in self.cars.values():
            for cap in self.standing_of(car).counted:
                found.setdefault(cap, {})[car.key] = self.counts_w(car)
        return found
