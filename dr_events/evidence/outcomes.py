"""How a participation ended, in one word. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """As utilities' own systems tell them apart; `unproven`: the station accepted, and no reading
    since shows that the car complied."""

    COMPLIED = "complied"
    NON_RESPONSIVE = "non_responsive"
    UNPROVEN = "unproven"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    EXEMPT = "exempt"
    OPTED_OUT = "opted_out"
    LEFT = "left"
    PENDING = "pending"


EXCEPTIONS = (
    Outcome.NON_RESPONSIVE, Outcome.UNPROVEN, Outcome.REJECTED, Outcome.UNREACHABLE,
)  # fmt: skip
LEFT_ALONE = (Outcome.EXEMPT, Outcome.OPTED_OUT)
_BY_STATE = {
    "failed": Outcome.REJECTED,
    "unreachable": Outcome.UNREACHABLE,
    "exempt": Outcome.EXEMPT,
    "ended": Outcome.LEFT,
    "pending": Outcome.PENDING,
}


def outcome_of(part: Any) -> Outcome:
    """From a participation's `state`, `reason` and `complied_at`. Who left is counted as such,
    whatever was confirmed before; an event that ended before an answer did not reach it."""
    if part.reason == "opted_out":
        return Outcome.OPTED_OUT
    if part.state == "ended" and part.reason == "event_ended_before_answer":
        return Outcome.UNREACHABLE
    if part.state != "confirmed":
        return _BY_STATE[part.state]
    if part.reason == "non_responsive":
        return Outcome.NON_RESPONSIVE
    return Outcome.COMPLIED if part.complied_at else Outcome.UNPROVEN
