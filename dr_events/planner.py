"""plan(): from events and sessions to the limit wanted of each, with its reason. Pure.

    priority 0   |        ████████████            B: 6 kW
    priority 5   |   ████████████████████████     A: 4 kW
    wanted       |   4 kW │   6 kW    │ 4 kW
                          ^ B binds: a higher priority wins, though its limit is higher
    priority 5   |             ░░░░░░░░░          C: 3 kW, among equals the lowest wins

Preview and reality both call it, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from chargers.electricity import BelowMinimum, Circuit, Limit

EventId: TypeAlias = UUID


@dataclass(frozen=True, slots=True)
class Order:
    """A running event as the planner sees it. Priority 0 is the highest, None the lowest."""

    event_id: EventId
    label: str
    priority: int | None
    declared_at: datetime
    limit: Limit
    below_minimum: BelowMinimum = BelowMinimum.PAUSE


@dataclass(frozen=True, slots=True)
class Car:
    """A session as the planner sees it: what it hangs on, what it draws (None: not metered),
    which running events aim at it, and why it is exempt, if it is."""

    session_id: int
    circuit: Circuit
    power_w: float | None
    event_ids: tuple[EventId, ...]
    exempt_reason: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one event asks of one session, in a limit that can be signalled."""

    event_id: EventId
    limit: Limit
    limit_w: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session should be held to: None for no limit. `binding` is the event that decides,
    `runners_up` what the others would have asked, strictest first."""

    session_id: int
    limit: Limit | None
    binding: EventId | None = None
    runners_up: tuple[Ruling, ...] = field(default=())
    expected_relief_w: float = 0.0
    cause: str = ""


def plan(orders: Mapping[EventId, Order], cars: Sequence[Car]) -> list[Plan]:
    """One Plan a car, in their order. Events that are in no order do not count."""
    return [_plan_car(orders, car) for car in cars]


def _plan_car(orders: Mapping[EventId, Order], car: Car) -> Plan:
    applying = [orders[event_id] for event_id in car.event_ids if event_id in orders]
    if not applying or car.exempt_reason:
        return Plan(car.session_id, None)
    ranked = sorted(applying, key=lambda order: _rank(order, car))
    rulings = [_ruling(order, car) for order in ranked]
    binding = rulings[0]
    return Plan(
        session_id=car.session_id,
        limit=binding.limit,
        binding=binding.event_id,
        runners_up=tuple(rulings[1:]),
        expected_relief_w=relief_w(car.power_w, binding.limit_w),
        cause=ranked[0].label,
    )


def _rank(order: Order, car: Car) -> tuple[bool, int, float, datetime, EventId]:
    """Smaller goes first: priority, then the lower limit in watts, then the older event."""
    return (
        order.priority is None,
        order.priority or 0,
        _ruling(order, car).limit_w,
        order.declared_at,
        order.event_id,
    )


def _ruling(order: Order, car: Car) -> Ruling:
    limit = car.circuit.signalled(order.limit, order.below_minimum)
    return Ruling(order.event_id, limit, car.circuit.watts(limit))


def relief_w(power_w: float | None, limit_w: float) -> float:
    """What a limit takes off the grid, from the present draw; 0 where that is not metered."""
    return max(0.0, (power_w or 0.0) - limit_w)
