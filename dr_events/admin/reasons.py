"""Why a session of an event stands where it stands, in a sentence."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from chargers.electricity import Limit
from chargers.load import is_fresh
from chargers.numerals import numeral
from chargers.wording import watts_text, words


class Standing(Protocol):
    """A row of the roster, or a participation."""

    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def next_attempt_at(self) -> datetime | None: ...
    @property
    def accepted_at(self) -> datetime | None: ...
    @property
    def complied_at(self) -> datetime | None: ...
    @property
    def wanted(self) -> Limit | None: ...


REASONS = {
    "rejected_by_station": "Its chargestation refuses the limit.",
    "not_supported_by_station": "Its chargestation says that it cannot limit.",
    "refused_by_edrv": "eDRV refuses the command.",
    "no_answer": "Sent, and no answer so far.",
    "station_offline": "Its chargestation is offline.",
    "station_unreachable": "eDRV cannot reach its chargestation.",
    "provider_unreachable": "eDRV cannot be reached.",
    "provider_failed": "eDRV answers with an error.",
    "rate_limited": "eDRV asks us to slow down.",
    "unauthorized": "eDRV does not accept our key.",
    "session_not_started": "eDRV says that it has not started yet.",
    "session_unknown_to_edrv": "eDRV does not know this session.",
    "non_responsive": "Accepted, yet the meter shows more than the limit.",
    "outranked": "Another event decides its limit.",
    "event_ended_before_answer": "The event ended before it had answered.",
    "exempt_session": "The session is exempt.",
    "exempt_chargestation": "Its chargestation is exempt.",
    "exempt_site": "Its site is exempt.",
    "opted_out": "It has opted out of this event.",
    "exempted": "An operator has exempted it from this event.",
    "session_ended": "The car has left.",
    "target_removed": "The event no longer aims at it.",
}


class Metered(Protocol):
    """Whose latest reading it is: a row of the roster, or a session."""

    @property
    def power_w(self) -> float | None: ...
    @property
    def metered_at(self) -> datetime | None: ...


def reason_text(row: Standing, metered: Metered, *, now: datetime) -> str:
    """One or two sentences: what is the matter and, where something comes by itself, when."""
    return " ".join(text for text in (_said(row, metered, now), _next(row, now)) if text)


def _said(row: Standing, metered: Metered, now: datetime) -> str:
    if row.reason:
        said = REASONS.get(row.reason, f"{words(row.reason).capitalize()}.")
        tries = (
            f" Tried {numeral(row.attempts)} times."
            if row.state == "failed" and row.attempts
            else ""
        )
        return f"{said}{tries}"
    match row.state:
        case "pending":
            return "On its way." if row.attempts else "About to be sent."
        case "confirmed" if row.wanted is None:
            return "Needs no limit now."
        case "confirmed":
            return "The meter shows it." if row.complied_at else _not_complied(row, metered, now)
    return ""


def _not_complied(row: Standing, metered: Metered, now: datetime) -> str:
    """What came before the acceptance says nothing about it."""
    at, accepted_at = metered.metered_at, row.accepted_at
    if metered.power_w is None or at is None or accepted_at is None or at <= accepted_at:
        return "Accepted; no reading yet."
    if not is_fresh(at, now=now):
        return "Accepted; no reading any more."
    return f"Accepted; still draws {watts_text(metered.power_w)}."


def _next(row: Standing, now: datetime) -> str:
    if row.state not in ("failed", "unreachable", "pending"):
        return ""
    if row.next_attempt_at is None:
        return "Not tried again by itself." if row.state == "failed" else ""
    left_s = (row.next_attempt_at - now).total_seconds()
    return f"Next try in {numeral(left_s, ',.0f')} s." if left_s >= 1 else "Next try now."
