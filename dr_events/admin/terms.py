"""The terms of an order as rows of label and text, before it is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chargers.electricity import Unit
from chargers.wording import GAP
from dr_events.admin.consequences import Amendment
from dr_events.admin.words import (
    below_minimum_text,
    order_text,
    period_text,
    priority_text,
    random_start_text,
    restore_text,
    scope_text,
    steps_text,
)
from dr_events.amounts import Amount, Kind
from dr_events.declarations import Declaration
from dr_events.timeline import Step


@dataclass(frozen=True, slots=True)
class Term:
    """`before` is empty where nothing stood before."""

    label: str
    text: str
    before: str = ""


def declared_terms(declaration: Declaration, *, now: datetime) -> list[Term]:
    """The terms of a new event, as they are to be declared."""
    steps, ends_at = declaration.schedule(declaration.starts_at or now)
    restore = declaration.restore
    terms = [
        Term("Limit", _ordered(declaration.amount, steps)),
        Term("Scope", scope_text(declaration.targets)),
        Term("Period", period_text(declaration.starts_at, ends_at, now=now)),
        Term("Priority", priority_text(declaration.priority)),
        Term("A limit below 6 A becomes", below_minimum_text(declaration.below_minimum)),
        Term("Reason", declaration.reason or GAP),
        Term("Power comes back", _comes_back(restore.as_json() if restore else None)),
    ]
    if declaration.randomize_start:
        terms.append(Term("Starts", random_start_text(declaration.randomize_start)))
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
    random_start = timedelta(seconds=content["randomize_start_s"])
    return {
        "Name": content["name"],
        "Limit": _ordered(_amount(content["limit"]), [_step(one) for one in content["intervals"]]),
        "Scope": scope_text([(row["type"], row["value"]) for row in content["targets"]]),
        "Period": period_text(_time(content["starts_at"]), _time(content["ends_at"]), now=now),
        "Priority": priority_text(content["priority"]),
        "A limit below 6 A becomes": below_minimum_text(content["below_minimum"]),
        "Reason": content["reason"] or GAP,
        "Power comes back": _comes_back(content["restore"]),
        "Starts": random_start_text(random_start) or "all sessions at once",
    }


def _comes_back(restore: dict[str, float] | None) -> str:
    if restore is None:
        return restore_text(None)
    return restore_text(restore["rate_w_per_min"], restore["random_share"])


def _ordered(amount: Amount, steps: Sequence[Step]) -> str:
    return steps_text(steps) if steps else order_text(amount)


def _amount(said: dict[str, Any]) -> Amount:
    return Amount(Kind(said["kind"]), Unit(said["unit"]), said["value"])


def _step(said: dict[str, Any]) -> Step:
    ends_after_s = said["ends_after_s"]
    return Step(
        timedelta(seconds=said["starts_after_s"]),
        None if ends_after_s is None else timedelta(seconds=ends_after_s),
        _amount(said["limit"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
