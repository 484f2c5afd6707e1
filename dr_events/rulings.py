"""What the orders ask of one session, each by itself, and which of them count. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from chargers.electricity import MINIMUM_AC_CURRENT_A, Circuit, Limit, Unit
from dr_events.demand import IDLE_W
from dr_events.orders import LOWEST_RANK, Cap, CapKey, Car, Each, EventId, Order, Part, Percent


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one event asks of one session, in a limit that can be signalled."""

    event_id: EventId
    limit: Limit
    limit_w: float


@dataclass(frozen=True, slots=True)
class Asked:
    """All that is asked of a session. `rulings` are of the orders for each session, those that
    count most first; `caps` bind it; `counted` are all that it uses room of: also those of
    events that others outrank, or from which it is excused."""

    rank: int = LOWEST_RANK
    rulings: tuple[Ruling, ...] = ()
    binding: Ruling | None = None
    caps: tuple[CapKey, ...] = ()
    counted: tuple[CapKey, ...] = ()


NOTHING_ASKED = Asked()


def asked_of(orders: Mapping[EventId, Order], car: Car) -> Asked:
    """Of the orders that apply, the highest priority decides; among equals, every one of them."""
    parts = [(order, part) for part in car.parts if (order := orders.get(part.event_id))]
    if not parts:
        return NOTHING_ASKED
    counted = tuple(cap_key(order, car) for order, part in parts if _caps(order, part))
    applying = [
        (order, part)
        for order, part in parts
        if not part.excused and (part.hold is not None or order.ask is not None)
    ]
    if car.exempt_reason or not applying:
        return Asked(counted=counted)
    rank = min(order.rank for order, _ in applying)
    ranked = sorted(
        (
            (_ruling(order, part, car.circuit), order)
            for order, part in applying
            if not _caps(order, part)
        ),
        key=_importance,
    )
    binding = ranked[0][0] if ranked and ranked[0][1].rank == rank else None
    caps = tuple(
        cap_key(order, car) for order, part in applying if order.rank == rank and _caps(order, part)
    )
    return Asked(rank, tuple(ruling for ruling, _ in ranked), binding, caps, counted)


def cap_key(order: Order, car: Car) -> CapKey:
    """The cap that an order puts on a car."""
    a_site = isinstance(order.ask, Cap) and order.ask.a_site
    return (order.event_id, car.site_id if a_site else None)


def _caps(order: Order, part: Part) -> bool:
    return part.hold is None and isinstance(order.ask, Cap)


def _importance(one: tuple[Ruling, Order]) -> tuple[int, float, datetime, EventId]:
    """Smaller goes first: priority, then the lower limit in watts, then the older event."""
    ruling, order = one
    return (order.rank, ruling.limit_w, order.declared_at, order.event_id)


def _ruling(order: Order, part: Part, circuit: Circuit) -> Ruling:
    limit = part.hold or circuit.signalled(_wished(order, part, circuit), order.below_minimum)
    return Ruling(order.event_id, limit, circuit.watts(limit))


def lets_each_charge(order: Order) -> bool:
    """Whether it asks for something of each session, and for more than 0."""
    match order.ask:
        case Each(limit):
            return not limit.is_pause
        case Percent(percent):
            return percent > 0
        case _:
            return False


def is_bent(order: Order, part: Part, circuit: Circuit) -> bool:
    """Whether it pauses a session of which an order, not of a cap, asks for more than 0."""
    wished = _wished(order, part, circuit)
    return not wished.is_pause and circuit.signalled(wished, order.below_minimum).is_pause


def _wished(order: Order, part: Part, circuit: Circuit) -> Limit:
    match order.ask:
        case Each(limit):
            return limit
        case Percent(percent, unit):
            share = _share_of_draw(percent, part.before_w, circuit)
            return share if unit is Unit.POWER else Limit(unit, circuit.amperes(share))
        case _:
            raise AssertionError(f"{order.label} asks nothing of each session")


def _share_of_draw(percent: float, before_w: float | None, circuit: Circuit) -> Limit:
    """An idle session gets the floor: a share of nothing would keep it from ever charging."""
    if percent and (before_w is None or before_w < IDLE_W):
        return floor_of(circuit)
    return Limit(Unit.POWER, (before_w or 0.0) * percent / 100)


# A fleet has few kinds of circuits.
@lru_cache(maxsize=1024)
def floor_of(circuit: Circuit) -> Limit:
    """6 A: the least that AC can be held to, and what an idle car is left with on DC, too."""
    return circuit.in_unit(Limit(Unit.CURRENT, MINIMUM_AC_CURRENT_A), Unit.POWER)


def least_w(circuit: Circuit) -> float:
    """The least a car on this circuit can be held to without a pause. DC has no such floor."""
    return 0.0 if circuit.is_dc else floor_of(circuit).value


def turn_w(circuit: Circuit) -> float:
    """What a DC car is worth a turn for, among AC cars whose floors could leave it nothing at
    all: 6 A of one phase."""
    return MINIMUM_AC_CURRENT_A * circuit.voltage_v if circuit.is_dc else 0.0


def relief_w(power_w: float | None, limit_w: float) -> float:
    """What a limit takes off the grid, from the present draw; 0 where that is not metered."""
    return max(0.0, (power_w or 0.0) - limit_w)
