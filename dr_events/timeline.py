"""The steps of an event: which is in force. Pure.

limit  ▄▄▄▄▄▄▄▄              0 min   80 kW
       ████████▄▄▄▄▄▄▄▄     15 min   40 kW, to the end of the event
       ├───────┼───────┤
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from dr_events.amounts import Amount

NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Step:
    """An amount from `starts_after` to `ends_after` (exclusive; None: the end of the event), both
    counted from the event's start."""

    starts_after: timedelta
    ends_after: timedelta | None
    amount: Amount


def step_at(steps: Sequence[Step], elapsed: timedelta) -> Step | None:
    """The step in force; None in a gap. What begins early, begins with the first."""
    elapsed = max(elapsed, NONE)
    for step in steps:
        if step.starts_after <= elapsed and (step.ends_after is None or elapsed < step.ends_after):
            return step
    return None


def has_gap(steps: Sequence[Step]) -> bool:
    """Whether for some time between two of them nothing is ordered."""
    return any(
        one.ends_after is not None and one.ends_after < following.starts_after
        for one, following in pairwise(steps)
    )
