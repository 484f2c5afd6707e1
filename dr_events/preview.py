"""What an event would do, without doing it: the same planner, over the same facts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dr_events import declarations, facts, planner, scope
from dr_events.declarations import Declaration
from dr_events.facts import Facts
from dr_events.planner import Order, Plan

MOST_SESSIONS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One session of a preview."""

    facts: Facts
    plan: Plan
    limited_now_by: str
    cannot: str

    @property
    def is_limited(self) -> bool:
        return self.plan.limit is not None

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
            "limited_now_by": self.limited_now_by,
            "cannot": self.cannot,
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """Every session in scope, the largest draws first, and the sums over them (W)."""

    lines: list[Line]
    warnings: list[dict[str, str]]

    @property
    def metered_w(self) -> float:
        return sum(line.facts.power_w or 0.0 for line in self.lines)

    @property
    def expected_relief_w(self) -> float:
        return sum(line.plan.expected_relief_w for line in self.lines if not line.cannot)

    @property
    def to_limit(self) -> int:
        return sum(line.is_limited for line in self.lines)

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
            "sessions_unmetered": sum(line.facts.power_w is None for line in self.lines),
            "metered_w": self.metered_w,
            "expected_w": self.metered_w - self.expected_relief_w,
            "expected_relief_w": self.expected_relief_w,
            "cannot": self.cannot(),
            "warnings": self.warnings,
            "sessions": [line.as_json() for line in self.lines[:MOST_SESSIONS_SHOWN]],
            "truncated": len(self.lines) > MOST_SESSIONS_SHOWN,
        }


def preview(data: Any, *, now: datetime) -> Preview:
    """What declaring `data` now would do. Changes nothing. Raises ValidationError."""
    declaration = declarations.read_new(data, now=now)
    return of_order(_order(declaration, now), declaration.targets)


def of_order(order: Order, targets: Sequence[tuple[str, str]]) -> Preview:
    """What an order would do beside the active events; one of those with the same id gives way
    to it."""
    session_ids = scope.sessions_of(targets)
    memberships = facts.memberships(session_ids)
    orders = {**facts.orders(), order.event_id: order}
    known = {found.session_id: found for found in facts.of_sessions(session_ids)}
    cars = [
        known[session_id].car([*{*memberships.get(session_id, ()), order.event_id}])
        for session_id in session_ids
        if session_id in known
    ]
    plans = planner.plan(orders, cars)
    lines = [_line(known[plan.session_id], plan, order) for plan in plans]
    return Preview(lines, warnings_for(targets))


def _order(declaration: Declaration, now: datetime) -> Order:
    return Order(
        event_id=uuid.uuid4(),
        label=declaration.external_id or declaration.name,
        priority=declaration.priority,
        declared_at=now,
        limit=declaration.limit,
        below_minimum=declaration.below_minimum,
    )


def _line(found: Facts, plan: Plan, order: Order) -> Line:
    cannot = found.exempt_reason or ("" if found.online else "station_offline")
    if not cannot and plan.binding != order.event_id:
        cannot = "outranked"
    return Line(found, plan, found.wanted_cause, cannot)


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
