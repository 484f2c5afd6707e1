"""Giving power back as a slope: so many watts a minute and no more. Pure.

W │            ┌──   each release waits until the slope has grown by what it may add;
  │      ┌─────┘ ╱   what an outage left unused is not made up for afterwards
  │  ┌───┘   ╱
  └──┴───╱────────── t
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

# A turn of the loop may come so much late and still make up for it.
SLACK = timedelta(seconds=3)
# A cap that comes up is looked at every other second; for longer it has not been rising.
LONGEST_RISE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `rate_w_per_min`; each step is made longer by a random part of `random_share`.
    `reached_at` says up to when the slope has been used."""

    rate_w_per_min: float
    random_share: float = 0.0
    reached_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Something that may add `watts`; `chance` (0 to 1) is its own random number."""

    key: int
    watts: float
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class Paced:
    """What is due now, up to when that uses the slope, and when the next is due."""

    due: list[int]
    reached_at: datetime
    next_at: datetime | None


def paced(steps: Sequence[Step], pace: Pace, *, now: datetime) -> Paced:
    """How far along `steps`, in their order, the slope has come by now."""
    reached_at = pace.reached_at or now
    due: list[int] = []
    for step in steps:
        takes = timedelta(
            minutes=step.watts / pace.rate_w_per_min * (1 + pace.random_share * step.chance)
        )
        at = max(reached_at, now - takes - SLACK) + takes
        if at > now:
            return Paced(due, reached_at, at)
        due.append(step.key)
        reached_at = at
    return Paced(due, reached_at, None)


def ramped_w(cap_w: float, pace: Pace, *, from_w: float, now: datetime) -> float:
    """A cap on its way up from `from_w` at `reached_at`; down it goes at once."""
    if cap_w <= from_w or pace.reached_at is None:
        return cap_w
    passed = min(now - pace.reached_at, LONGEST_RISE)
    return min(cap_w, from_w + pace.rate_w_per_min * passed / timedelta(minutes=1))


def chance(event_id: UUID, session_id: int) -> float:
    """A random number from 0 to 1 that is always the same for this pair: nobody is drawn last
    in every event, and planning twice draws the same."""
    drawn = hashlib.blake2b(f"{event_id}:{session_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) / 2**64


def random_start(window: timedelta, event_id: UUID, session_id: int) -> timedelta:
    """This session's own start, counted from the event's: within the window after it or, for a
    negative one, before it (OpenADR 3.1, intervalPeriod.randomizeStart)."""
    return window * chance(event_id, session_id)
