"""What a session says about how its owner came in, and how long it may still last. Pure but for
the session it is given."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# How somebody has passed: with a password alone, with a code, or through single sign-on, where the
# second factor is the provider's affair.
PASSED = "login_passed"
PASSWORD, CODE, SSO = "password", "code", "sso"
BEGUN_AT, SEEN_AT = "login_begun_at", "login_seen_at"
# Of a session in use its row is written this often.
NOTE_EVERY_S = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: without a sign of life, and in all."""

    idle_s: float
    longest_s: float


def begin(session: MutableMapping[str, Any], *, passed: str, now: datetime) -> None:
    """Somebody has logged in."""
    session[PASSED] = passed
    session[BEGUN_AT] = session[SEEN_AT] = now.timestamp()


def has_passed(session: MutableMapping[str, Any], *, needs_code: bool) -> bool:
    """Whether this session may go on to the admin."""
    passed = session.get(PASSED)
    return passed in (CODE, SSO) or (passed == PASSWORD and not needs_code)


def is_over(session: MutableMapping[str, Any], limits: Limits, *, now: datetime) -> bool:
    """Whether it has lasted too long, or nobody has been there for too long. One that does not say
    when it began is none of ours."""
    now_s = now.timestamp()
    begun_s, seen_s = session.get(BEGUN_AT), session.get(SEEN_AT)
    if begun_s is None or seen_s is None:
        return True
    return bool(now_s - begun_s >= limits.longest_s or now_s - seen_s >= limits.idle_s)


def note_seen(session: MutableMapping[str, Any], *, now: datetime) -> None:
    """Its owner has done something."""
    if now.timestamp() - session[SEEN_AT] >= NOTE_EVERY_S:
        session[SEEN_AT] = now.timestamp()
