"""What an event would do, without doing it: the same planner, over the same facts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chargers.electricity import Unit, plain_number
from dr_events import declarations, facts, planner, pools, scope
from dr_events.amounts import Amount, Kind
from dr_events.declarations import Declaration
from dr_events.facts import Facts
from dr_events.models import Event
from dr_events.orders import Order, Part
from dr_events.planner import CapState, Plan

MOST_SESSIONS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One session of a preview. `unable` says what its station cannot do: the limit is sent in
    another way there, and works."""

    facts: Facts
    plan: Plan
    limited_now_by: str
    cannot: str
    unable: tuple[str, ...] = ()

    @property
    def is_limited(self) -> bool:
        return self.plan.limit is not None

    @property
    def below_floor(self) -> bool:
        """It is paused, since it cannot have the 6 A that AC needs."""
        return self.plan.waits == "turn"

    @property
    def expected_w(self) -> float | None:
        if self.facts.power_w is None:
            return None
        return self.facts.power_w - self.plan.expected_relief_w

    def as_json(self) -> dict[str, Any]:
        return {
            "session": self.facts.external_id,
            "chargestation": self.facts.chargestation,
            "site": self.facts.site,
            "power_w": self.facts.power_w,
            "wanted": self.plan.limit and self.plan.limit.as_json(),
            "expected_w": self.expected_w,
            "expected_relief_w": 0.0 if self.cannot else self.plan.expected_relief_w,
            "limited_now_by": self.limited_now_by,
            "below_floor": self.below_floor,
            "cannot": self.cannot,
            "unable": list(self.unable),
        }


@dataclass(frozen=True, slots=True)
class CapLine:
    """A cap that the order puts on its sessions: all together, or those of a site."""

    site: str
    state: CapState

    def as_json(self) -> dict[str, Any]:
        state = self.state
        return {
            "site": self.site or None,
            "cap_w": plain_number(state.cap_w),
            "sessions": state.cars,
            "paused": state.paused,
            "allowed_w": state.allowed_w,
            "cannot_hold_w": state.free_w,
            "reachable": state.over_w == 0,
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """Every session in scope, the largest draws first, and the sums over them (W)."""

    lines: list[Line]
    warnings: list[dict[str, str]]
    caps: list[CapLine] = field(default_factory=list)

    @property
    def metered_w(self) -> float:
        return sum(line.facts.power_w or 0.0 for line in self.lines)

    @property
    def expected_relief_w(self) -> float:
        return sum(line.plan.expected_relief_w for line in self.lines if not line.cannot)

    @property
    def to_limit(self) -> int:
        return sum(line.is_limited for line in self.lines)

    @property
    def below_floor(self) -> int:
        """How many are paused, since there are not 6 A for them."""
        return sum(line.below_floor for line in self.lines)

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
            "sessions_unmetered": sum(line.facts.power_w is None for line in self.lines),
            "metered_w": self.metered_w,
            "expected_w": self.metered_w - self.expected_relief_w,
            "expected_relief_w": self.expected_relief_w,
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
    planned, known = _planned(order, session_ids, now)
    plans = {plan.session_id: plan for plan in planned.plans}
    lines = [_line(known[id_], plans[id_], order) for id_ in session_ids if id_ in known]
    sites = {found.site_id: found.site for found in known.values()}
    caps = [
        CapLine(sites[site_id] if site_id else "", state)
        for (event_id, site_id), state in planned.caps.items()
        if event_id == order.event_id
    ]
    return Preview(lines, [*warnings_for(targets), *_unreachable(caps, amount, reference_w)], caps)


def _planned(
    order: Order, session_ids: Sequence[int], now: datetime
) -> tuple[planner.Planned, dict[int, Facts]]:
    together = sorted({*pools.widened(session_ids), *pools.members_of(order.event_id)})
    in_scope = set(session_ids)
    parts = facts.parts_of(together)
    known = {found.session_id: found for found in facts.of_sessions(together, now=now)}
    cars = []
    for found in known.values():
        mine = parts.get(found.session_id, [])
        others = [part for part in mine if part.event_id != order.event_id]
        if found.session_id in in_scope:
            before = [part for part in mine if part.event_id == order.event_id]
            others += before or [Part(order.event_id, found.power_w)]
        cars.append(found.car(others))
    planned = planner.plan(
        {**facts.orders(now=now), order.event_id: order},
        cars,
        now=now,
        capacities=facts.capacities(now=now),
        rules=facts.rules(),
    )
    return planned, known


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


def _line(found: Facts, plan: Plan, order: Order) -> Line:
    cannot = found.exempt_reason or ("" if found.online else "station_offline")
    if not cannot and plan.limit is None and order.ask is not None:
        cannot = "excused"
    if not cannot and plan.binding != order.event_id:
        cannot = "outranked"
    return Line(found, plan, found.wanted_cause, cannot, _unable(found))


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
    warnings = relief_warnings(amount, reference_w)
    for cap in caps:
        if cap.state.over_w > 0:
            where = f"At site {cap.site}" if cap.site else "In this scope"
            detail = (
                f"{where} sessions that cannot be held draw {cap.state.free_w:,.0f} W, which is "
                f"{cap.state.over_w:,.0f} W more than the cap of {cap.state.cap_w:,.0f} W."
            )
            warnings.append({"code": "cap_unreachable", "detail": detail})
    return warnings


def relief_warnings(amount: Amount | None, reference_w: float | None) -> list[dict[str, str]]:
    """A relief of more than is drawn is accepted, and said to be out of reach."""
    if amount is None or amount.kind is not Kind.RELIEF or reference_w is None:
        return []
    if amount.value <= reference_w:
        return []
    detail = (
        f"A relief of {amount.value:,.0f} W is asked for; the scope draws {reference_w:,.0f} W, "
        f"{amount.value - reference_w:,.0f} W less."
    )
    return [{"code": "relief_unreachable", "detail": detail}]


def warnings_of(event: Event) -> list[dict[str, str]]:
    """What about a standing event may not be as it was meant."""
    targets = list(event.targets.values_list("type", "value"))
    return [*warnings_for(targets), *relief_warnings(event.amount, event.reference_w)]


def warnings_for(targets: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """What about a scope may not be as it was meant."""
    targets = list(targets)
    warnings = [
        {
            "code": "target_unknown",
            "detail": f"Nothing in the fleet is known as {type_} {value}.".replace(" .", "."),
        }
        for type_, value in scope.unmatched(targets)
    ]
    if scope.is_empty(targets):
        warnings.append(
            {"code": "scope_empty", "detail": "No car is charging in this scope right now."}
        )
    return warnings
