"""Orders and cars for the planner's tables, said in few words."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from dr_events.demand import Metering
from dr_events.orders import Ask, Cap, Capacity, Car, Each, Grip, Order, Part, Percent, Rules
from dr_events.pacing import Pace
from dr_events.planner import Plan, Planned, plan

T0 = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
THREE_PHASES = Circuit(230, 3, 32)
ONE_PHASE = Circuit(230, 1, 32)
DC = Circuit(400, 1, 125, is_dc=True)
SITE = 1

ids = {name: uuid.UUID(int=number) for number, name in enumerate("ABCDEFGH", start=1)}
name_of = {event_id: name for name, event_id in ids.items()}


def ago(seconds: float) -> datetime:
    return T0 - timedelta(seconds=seconds)


def watts(value: float) -> Limit:
    return Limit(Unit.POWER, value)


def amperes(value: float) -> Limit:
    return Limit(Unit.CURRENT, value)


def each(value: float, unit: Unit = Unit.POWER) -> Each:
    return Each(Limit(unit, value))


def order(
    name: str,
    ask: Ask | None,
    *,
    priority: int | None = None,
    minute: float = 0,
    below: BelowMinimum = BelowMinimum.PAUSE,
    pace: Pace | None = None,
) -> Order:
    """Declared at that minute."""
    declared_at = T0 + timedelta(minutes=minute)
    return Order(ids[name], name, priority, declared_at, ask, below, pace)


def part(
    name: str, *, before: float | None = None, excused: str = "", hold: Limit | None = None
) -> Part:
    return Part(ids[name], before, excused, hold)


def held(
    limit: Limit | float,
    *,
    since_s: float = 3600,
    switched_s: float | None = None,
    at_most: float | None = None,
    loose: bool = False,
    stuck: bool = False,
    circuit: Circuit = THREE_PHASES,
) -> Grip:
    """Held to a limit since so long ago, running or paused perhaps for longer; `at_most` is what
    may still be in force beside it."""
    limit = limit if isinstance(limit, Limit) else watts(limit)
    switched_at = ago(since_s if switched_s is None else switched_s)
    held_w = max(circuit.watts(limit), at_most or 0.0)
    return Grip(limit, ago(since_s), switched_at, held_w, loose, stuck)


def car(
    number: int,
    parts: str | Sequence[Part] = "",
    *,
    circuit: Circuit = THREE_PHASES,
    draws: float | None = 11_000.0,
    grip: Grip | None = None,
    site: int = SITE,
    exempt: str = "",
) -> Car:
    """A car in the events of these names, or with these parts in them. What it draws is metered
    just now, under the limit that it has had for long."""
    if isinstance(parts, str):
        parts = [part(name) for name in parts]
    grip = grip or Grip()
    limit_w = None if grip.wanted is None or grip.is_loose else circuit.watts(grip.wanted)
    metering = Metering(draws, T0, limit_w, ago(3600)) if draws is not None else Metering()
    return Car(number, circuit, metering, tuple(parts), exempt, site, grip)


def planned(
    orders: Sequence[Order],
    cars: Sequence[Car],
    *,
    capacity: float | None = None,
    rules: Rules | None = None,
    now: datetime = T0,
) -> Planned:
    """A plan of these orders, and of the standing capacity of the cars' site."""
    return plan(
        {one.event_id: one for one in orders},
        cars,
        now=now,
        capacities={} if capacity is None else {SITE: Capacity(capacity)},
        rules=rules or Rules(),
    )


def limits(planned: Planned) -> list[float | None]:
    """The value of each car's limit."""
    return [one.limit and one.limit.value for one in planned.plans]


def bindings(planned: Planned) -> list[str | None]:
    """The name of each car's binding event."""
    return [one.binding and name_of[one.binding] for one in planned.plans]


def only(planned: Planned) -> Plan:
    [one] = planned.plans
    return one


__all__ = ["Cap", "Each", "Percent"]
