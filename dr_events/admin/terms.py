"""The terms of an order as rows of label and text, before it is confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargers.electricity import Limit, Unit
from chargers.wording import GAP
from dr_events.admin.consequences import Amendment
from dr_events.admin.words import (
    below_minimum_text,
    order_text,
    period_text,
    priority_text,
    scope_text,
)
from dr_events.declarations import Declaration


@dataclass(frozen=True, slots=True)
class Term:
    """`before` is empty where nothing stood before."""

    label: str
    text: str
    before: str = ""


def declared_terms(declaration: Declaration, *, now: datetime) -> list[Term]:
    """The terms of a new event, as they are to be declared."""
    ends_at = declaration.end(declaration.starts_at or now)
    terms = [
        Term("Limit", order_text(declaration.limit)),
        Term("Scope", scope_text(declaration.targets)),
        Term("Period", period_text(declaration.starts_at, ends_at, now=now)),
        Term("Priority", priority_text(declaration.priority)),
        Term("A limit below 6 A becomes", below_minimum_text(declaration.below_minimum)),
        Term("Reason", declaration.reason or GAP),
    ]
    if declaration.external_id:
        terms.append(Term("Your own id", declaration.external_id))
    if declaration.test:
        terms.append(Term("Drill", "yes: real limits are sent, marked as a test"))
    return terms


def changed_terms(amendment: Amendment, *, now: datetime) -> list[Term]:
    """What differs, with what stood before. Start and end are one term."""
    before, after = _texts(amendment.before, now), _texts(amendment.after, now)
    return [
        Term(label, text, before[label]) for label, text in after.items() if text != before[label]
    ]


def _texts(content: dict[str, Any], now: datetime) -> dict[str, str]:
    limit = content["limit"]
    return {
        "Name": content["name"],
        "Limit": order_text(Limit(Unit(limit["unit"]), limit["value"])),
        "Scope": scope_text([(row["type"], row["value"]) for row in content["targets"]]),
        "Period": period_text(_time(content["starts_at"]), _time(content["ends_at"]), now=now),
        "Priority": priority_text(content["priority"]),
        "A limit below 6 A becomes": below_minimum_text(content["below_minimum"]),
        "Reason": content["reason"] or GAP,
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
