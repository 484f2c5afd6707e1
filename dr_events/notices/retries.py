"""What becomes of a delivery after an attempt. Pure decisions.

A notice is news: told a day late it helps nobody, and the log says that it was not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

FIRST_WAIT_S = 5.0
GROWTH = 3.0
MAX_WAIT_S = 3600.0
MAX_HOLD = timedelta(minutes=10)
GIVE_UP_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went: a word, the code that came with it, and a little of the answer.
    `permanent`: the same again would go the same way. `gone`: nobody will be there again."""

    word: str
    status: int | None = None
    answer: str = ""
    retry_after_s: float | None = None
    permanent: bool = False
    gone: bool = False

    @property
    def is_delivered(self) -> bool:
        return self.word == "delivered"


def of_status(status: int, answer: str, retry_after_s: float | None) -> Outcome:
    """What an HTTP answer means. Whatever a receiver has against a message may be mended there,
    so it is tried again; 410 says that it never will be. A redirect is not followed: it could lead
    anywhere."""
    if 200 <= status < 300:
        return Outcome("delivered", status, answer)
    if status == 410:
        return Outcome("gone", status, answer, permanent=True, gone=True)
    word = "redirected" if 300 <= status < 400 else "refused" if status < 500 else "failed"
    return Outcome(word, status, answer, retry_after_s)


def wait_s(outcome: Outcome, *, attempts: int, jitter: float) -> float | None:
    """Seconds until the next attempt, None to give up: 5 s, 15 s, 45 s … an hour, between half and
    all of it, and no sooner than the receiver wishes. `attempts`: how many there were; `jitter`: a
    random number in 0..1."""
    if outcome.permanent:
        return None
    backoff_s = min(FIRST_WAIT_S * GROWTH ** min(attempts - 1, 10), MAX_WAIT_S) * (0.5 + jitter / 2)
    return max(backoff_s, min(outcome.retry_after_s or 0.0, MAX_WAIT_S))


def hold(lasting: timedelta, wait_s: float) -> timedelta:
    """How long an address is left alone that has been failing for so long: as long again."""
    return min(max(lasting, timedelta(seconds=min(wait_s, FIRST_WAIT_S))), MAX_HOLD)
