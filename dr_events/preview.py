"""What an event would do, without doing it: the same planner, over the same facts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chargers import load
from chargers.electricity import Unit, plain_number
from chargers.wording import watts_text
from dr_events import declarations, facts, opt_outs, order_warnings, planner, pools, rulings, scope
from dr_events.amounts import Amount
from dr_events.declarations import Declaration
from dr_events.facts import Facts
from dr_events.models import Event
from dr_events.orders import Order, Part
from dr_events.planner import Plan

MOST_SESSIONS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One session of a preview. `unable` says what its station cannot do: the limit is sent in
    another way there, and works. It `is_bent` where the limit that was asked of it became 0.
    `drawn_w`: what it draws now, None where no reading says so any more; `may_rise_w`: how much
    more it may draw once its limit is higher than now, or gone."""

    facts: Facts
    plan: Plan
    limited_now_by: str
    cannot: str
    unable: tuple[str, ...] = ()
    is_bent: bool = False
    drawn_w: float | None = None
    may_rise_w: float = 0.0

    @property
    def is_limited(self) -> bool:
        return self.plan.limit is not None

    @property
    def below_floor(self) -> bool:
        """It is paused, since it cannot have the 6 A that AC needs."""
        return self.is_bent or self.waits_for_turn

    @property
    def waits_for_turn(self) -> bool:
        return self.plan.waits == "turn"

    @property
    def expected_relief_w(self) -> float:
        """Nothing is to be expected of who is not metered or cannot be limited, or is by another
        event."""
        return 0.0 if self.cannot or self.drawn_w is None else self.plan.expected_relief_w

    @property
    def expected_rise_w(self) -> float:
        """At most: whether the car takes it, is its own affair."""
        return 0.0 if self.cannot else self.may_rise_w

    @property
    def expected_w(self) -> float | None:
        if self.drawn_w is None:
            return None
        return self.drawn_w - self.expected_relief_w + self.expected_rise_w

    @property
    def can_be_held(self) -> bool:
        """Whether it stays within what the plan gives it. Who does not answer does not."""
        return self.is_limited and not self.facts.grip.is_stuck

    @property
    def allowed_w(self) -> float:
        """What it counts for under a cap: its limit or, where it cannot be held, what it draws."""
        car = self.facts.car(())
        if self.can_be_held and self.plan.limit:
            return min(car.circuit.watts(self.plan.limit), car.full_w)
        return car.free_w if car.grip.is_loose else max(car.grip.held_w or 0.0, car.power_w or 0.0)

    def as_json(self) -> dict[str, Any]:
        return {
            "session": self.facts.external_id,
            "chargestation": self.facts.chargestation,
            "site": self.facts.site,
            "power_w": self.drawn_w,
            "wanted": self.plan.limit and self.plan.limit.as_json(),
            "expected_w": self.expected_w,
            "expected_relief_w": self.expected_relief_w,
            "expected_rise_w": self.expected_rise_w,
            "limited_now_by": self.limited_now_by,
            "below_floor": self.below_floor,
            "cannot": self.cannot,
            "unable": list(self.unable),
        }


@dataclass(frozen=True, slots=True)
class CapLine:
    """A cap that the order puts on its sessions, `lines`: on all together, or those of a site."""

    site: str
    cap_w: float
    lines: list[Line]

    @property
    def cannot_hold_w(self) -> float:
        """The draw of those that cannot be held: exempt, opted out, offline, or not answering."""
        return sum(line.allowed_w for line in self.lines if not line.can_be_held)

    @property
    def over_w(self) -> float:
        """By how much it cannot be kept, though everybody else is paused."""
        return max(0.0, self.cannot_hold_w - self.cap_w)

    def as_json(self) -> dict[str, Any]:
        held = [line for line in self.lines if line.can_be_held]
        return {
            "site": self.site or None,
            "cap_w": plain_number(self.cap_w),
            "sessions": len(self.lines),
            "paused": sum(line.allowed_w == 0 for line in held),
            "allowed_w": sum(line.allowed_w for line in held),
            "cannot_hold_w": self.cannot_hold_w,
            "reachable": self.over_w == 0,
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """Every session in scope, the largest draws first, and the sums over them (W)."""

    lines: list[Line]
    warnings: list[dict[str, str]]
    caps: list[CapLine] = field(default_factory=list)

    @property
    def metered_w(self) -> float:
        return sum(line.drawn_w or 0.0 for line in self.lines)

    @property
    def last_metered_w(self) -> float:
        """With what was metered last of those that are not metered now."""
        return sum(line.facts.power_w or 0.0 for line in self.lines)

    @property
    def unmetered(self) -> int:
        return sum(line.drawn_w is None for line in self.lines)

    @property
    def expected_relief_w(self) -> float:
        return sum(line.expected_relief_w for line in self.lines)

    @property
    def expected_rise_w(self) -> float:
        return sum(line.expected_rise_w for line in self.lines)

    @property
    def expected_w(self) -> float:
        return self.metered_w - self.expected_relief_w + self.expected_rise_w

    @property
    def to_limit(self) -> int:
        return sum(line.is_limited for line in self.lines)

    @property
    def below_floor(self) -> int:
        """How many are paused, since there are not 6 A for them."""
        return sum(line.below_floor for line in self.lines)

    @property
    def held(self) -> int:
        """How many the order itself holds."""
        return sum(not line.cannot for line in self.lines)

    @property
    def pausing(self) -> int:
        """How many of those it pauses, though it asks for more than 0."""
        return sum(line.below_floor for line in self.lines if not line.cannot)

    @property
    def is_reachable(self) -> bool:
        """Whether what is ordered can be had at all."""
        return not any(warning["code"].endswith("unreachable") for warning in self.warnings)

    def cannot(self) -> dict[str, int]:
        """How many sessions cannot be limited, or not yet, by reason."""
        counted: dict[str, int] = {}
        for line in self.lines:
            if line.cannot:
                counted[line.cannot] = counted.get(line.cannot, 0) + 1
        return counted

    def as_json(self) -> dict[str, Any]:
        return {
            "sessions_in_scope": len(self.lines),
            "sessions_to_limit": self.to_limit,
            "sessions_below_floor": self.below_floor,
            "sessions_unmetered": self.unmetered,
            "metered_w": self.metered_w,
            "expected_w": self.expected_w,
            "expected_relief_w": self.expected_relief_w,
            "expected_rise_w": self.expected_rise_w,
            "reachable": self.is_reachable,
            "caps": [cap.as_json() for cap in self.caps],
            "cannot": self.cannot(),
            "warnings": self.warnings,
            "sessions": [line.as_json() for line in self.lines[:MOST_SESSIONS_SHOWN]],
            "truncated": len(self.lines) > MOST_SESSIONS_SHOWN,
        }


def preview(data: Any, *, now: datetime) -> Preview:
    """What declaring `data` now would do, with its first step where there are several. Changes
    nothing. Raises ValidationError."""
    declaration = declarations.read_new(data, now=now)
    event = _draft(declaration, now)
    return of_event(event, declaration.amount, declaration.targets, now=now)


def amount_of(data: Any, *, now: datetime) -> Amount:
    """What declaring `data` orders, first. Raises ValidationError."""
    return declarations.read_new(data, now=now).amount


def of_event(
    event: Event, amount: Amount | None, targets: Sequence[tuple[str, str]], *, now: datetime
) -> Preview:
    """What an event would do beside the active ones, with this amount and these targets; as it
    stands among them now, it gives way to that."""
    session_ids = scope.sessions_of(targets)
    reference_w = event.reference_w
    if reference_w is None:
        reference_w = scope.metered_w(session_ids)
    order = replace(
        facts.order_of(event, now=now),
        ask=facts.ask_for(amount, reference_w=reference_w),
        pace=None,
    )
    excused = opt_outs.excused_from(order.event_id, session_ids)
    together = sorted({*pools.widened(session_ids), *pools.members_of(order.event_id)})
    parts = facts.parts_of(together)
    known = {found.session_id: found for found in facts.of_sessions(together, now=now)}
    planned = _planned(order, session_ids, known, parts, excused, now)
    plans = {plan.session_id: plan for plan in planned.plans}
    lines = [
        _line(known[id_], plans[id_], order, parts.get(id_, ()), excused.get(id_, ""), now)
        for id_ in session_ids
        if id_ in known
    ]
    caps = _caps(planned, lines, order)
    warnings = [*order_warnings.of_scope(targets), *_unreachable(caps, amount, reference_w)]
    bent = sum(line.is_bent for line in lines)
    warnings += [*order_warnings.of_floor(bent), *order_warnings.of_outage(now)]
    return Preview(lines, warnings, caps)


def _caps(planned: planner.Planned, lines: Sequence[Line], order: Order) -> list[CapLine]:
    found = []
    for (event_id, site_id), state in planned.caps.items():
        if event_id == order.event_id:
            under = [line for line in lines if site_id in (None, line.facts.site_id)]
            found.append(CapLine(under[0].facts.site if site_id else "", state.cap_w, under))
    return found


def _planned(
    order: Order,
    session_ids: Sequence[int],
    known: Mapping[int, Facts],
    parts: Mapping[int, Sequence[Part]],
    excused: Mapping[int, str],
    now: datetime,
) -> planner.Planned:
    in_scope = set(session_ids)
    cars = []
    for found in known.values():
        mine = parts.get(found.session_id, [])
        others = [part for part in mine if part.event_id != order.event_id]
        if found.session_id in in_scope:
            before = [part for part in mine if part.event_id == order.event_id]
            why = excused.get(found.session_id, "")
            others += before or [Part(order.event_id, found.power_w, why)]
        cars.append(found.car(others))
    return planner.plan(
        {**facts.orders(now=now), order.event_id: order},
        cars,
        now=now,
        capacities=facts.capacities(now=now),
        rules=facts.rules(),
    )


def _draft(declaration: Declaration, now: datetime) -> Event:
    """The event that the declaration would make, not saved."""
    amount = declaration.amount
    return Event(
        id=uuid.uuid4(),
        external_id=declaration.external_id,
        name=declaration.name,
        priority=declaration.priority,
        starts_at=declaration.starts_at or now,
        declared_at=now,
        limit_kind=amount.kind,
        limit_unit=amount.unit,
        limit_value=amount.value,
        below_minimum=declaration.below_minimum,
    )


def _line(
    found: Facts, plan: Plan, order: Order, parts: Sequence[Part], excused: str, now: datetime
) -> Line:
    cannot = found.exempt_reason or excused
    if not cannot and not found.online:
        cannot = "station_offline"
    if not cannot and order.ask is not None and plan.binding != order.event_id:
        cannot = "outranked" if plan.binding else "site_capacity"
    is_bent = plan.binding == order.event_id and plan.cap is None and _is_bent(plan, order)
    is_fresh = load.is_fresh(found.metering.metered_at, now=now)
    drawn_w = found.power_w if is_fresh else None
    may_rise_w = 0.0 if drawn_w is None else _may_rise_w(found, plan, parts, drawn_w)
    return Line(
        found, plan, found.wanted_cause, cannot, _unable(found), is_bent, drawn_w, may_rise_w
    )


def _may_rise_w(found: Facts, plan: Plan, parts: Sequence[Part], drawn_w: float) -> float:
    """Up to the new limit and to what it drew before any was on it or, where that is not known,
    all that its connector gives."""
    car = found.car(())
    if car.held_w is None:
        return 0.0
    allowed_w = car.full_w if plan.limit is None else car.circuit.watts(plan.limit)
    if allowed_w <= car.held_w:
        return 0.0
    before_w = max((part.before_w for part in parts if part.before_w is not None), default=None)
    return max(0.0, min(allowed_w, car.full_w if before_w is None else before_w) - drawn_w)


def _is_bent(plan: Plan, order: Order) -> bool:
    """Whether a limit of its own that is none of 0 became one."""
    return plan.limit is not None and plan.limit.is_pause and rulings.lets_each_charge(order)


def _unable(found: Facts) -> tuple[str, ...]:
    """What this station does not understand, as far as is known."""
    unable = [f"takes_no_{unit}" for unit in found.refused_units]
    if found.is_simulator and f"takes_no_{Unit.POWER}" not in unable:
        unable.append(f"takes_no_{Unit.POWER}")
    if found.is_simulator or found.refuses_clear:
        unable.append("takes_no_clear")
    return tuple(unable)


def _unreachable(
    caps: Iterable[CapLine], amount: Amount | None, reference_w: float
) -> list[dict[str, str]]:
    warnings = order_warnings.of_relief(amount, reference_w)
    for cap in caps:
        if cap.over_w > 0:
            where = f"At site {cap.site}" if cap.site else "In this scope"
            detail = (
                f"{where} sessions that cannot be held draw {watts_text(cap.cannot_hold_w)}, which "
                f"is {watts_text(cap.over_w)} more than the cap of {watts_text(cap.cap_w)}."
            )
            warnings.append({"code": "cap_unreachable", "detail": detail})
    return warnings
