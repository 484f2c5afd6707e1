"""How fast eDRV may be asked: one rate for all workers together, and a pause for all when eDRV
is in trouble."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum

import redis
import structlog
from django.db.models import Q

from chargers import counters, sql
from chargers.edrv.errors import EdrvError
from chargers.models import Command, Heartbeat

log = structlog.get_logger(__name__)

TROUBLE = "edrv_trouble"
# Until when nothing is sent: as long as we think fit, and as long as eDRV asks for.
HOLD = "edrv_hold"
WISH = "edrv_wish"
OK = "edrv_ok"
UNREAD = "edrv_unread"
# Why a command waits that only eDRV keeps waiting.
REASONS = ("provider_unreachable", "provider_failed", "rate_limited", "unauthorized")
# How many to try with while eDRV is in trouble, and how many must fail before it is.
PROBE = 5
MIN_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0

# Generic cell rate algorithm: the key holds when the next request may go out. Redis' own clock,
# so that workers on several machines agree.
_RESERVE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local free = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local after = free + tonumber(ARGV[1]) / tonumber(ARGV[2])
local keep_ms = math.ceil((after - now) * 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', keep_ms)
return string.format('%.6f', free - now)
"""


class Pace:
    """Grants starting times at EDRV_RATE_LIMIT requests a second, shared through Redis. While
    Redis is away each worker keeps to the whole rate by itself."""

    def __init__(
        self, rate_per_s: float, *, reserve: Callable[[int, float], float] | None = None
    ) -> None:
        self.rate_per_s = rate_per_s
        self._reserve = reserve or _reserve_in_redis
        self._free_at_s = 0.0

    def most(self, wanted: int) -> int:
        """How many to take on at once: half a second's worth, so that the turns of several workers
        come well before their leases end."""
        return min(wanted, max(1, int(self.rate_per_s / 2))) if self.rate_per_s else wanted

    def starts(self, count: int) -> list[float]:
        """When each of `count` requests may start, as time.time()."""
        now_s = time.time()
        if not self.rate_per_s:
            return [now_s] * count
        first_s = now_s + self._delay_s(count, now_s)
        return [first_s + number / self.rate_per_s for number in range(count)]

    def _delay_s(self, count: int, now_s: float) -> float:
        try:
            delay_s = self._reserve(count, self.rate_per_s)
        except redis.RedisError as error:
            log.warning("rate.local", error=str(error))
            delay_s = max(0.0, self._free_at_s - now_s)
        self._free_at_s = now_s + delay_s + count / self.rate_per_s
        return delay_s


def _reserve_in_redis(count: int, rate_per_s: float) -> float:
    answer = counters.connection().eval(
        _RESERVE, 1, "edrv:next-request-at", str(count), str(rate_per_s)
    )
    return float(answer)


class Sending(Enum):
    """What eDRV's state allows just now: all, a few to see whether it is back, or none."""

    FREELY = 0
    PROBING = 1
    HELD = 2


def sending(*, now: datetime) -> Sending:
    """Asked before every claim, so in one round."""
    [found] = sql.rows(_SENDING, {"pauses": [HOLD, WISH], "trouble": TROUBLE, "now": now})
    if found["is_held"]:
        return Sending.HELD
    return Sending.PROBING if found["is_in_trouble"] else Sending.FREELY


def held_until(*, now: datetime) -> datetime | None:
    """Until when nothing is to be sent at all; None when sending is fine."""
    pauses = Heartbeat.objects.filter(name__in=(HOLD, WISH), at__gt=now)
    return max((pause.at for pause in pauses), default=None)


def note_trouble(error: EdrvError, *, jitter: float, now: datetime) -> None:
    """eDRV fails whatever it is asked: everybody waits, longer the longer it lasts, and at least as
    long as eDRV wishes. No pause is shortened by a later one."""
    trouble, began = Heartbeat.objects.get_or_create(
        name=TROUBLE, defaults={"at": now, "detail": str(error)[:300]}
    )
    lasting_s = (now - trouble.at).total_seconds()
    pause_s = min(max(lasting_s, MIN_PAUSE_S), MAX_PAUSE_S) * (0.5 + jitter / 2)
    _pause(HOLD, now + timedelta(seconds=pause_s), error)
    if error.retry_after_s:
        _pause(WISH, now + timedelta(seconds=error.retry_after_s), error)
    if began:
        log.error("edrv.trouble", error=str(error), retry_after_s=error.retry_after_s)


def _pause(name: str, until: datetime, error: EdrvError) -> None:
    sql.run(_PAUSE, {"name": name, "until": until, "detail": str(error)[:300]})


def note_failed_sync(error: EdrvError, *, now: datetime) -> None:
    """eDRV did not let its fleet be read. Nothing is held up for that, but it is to be seen, and
    since when."""
    Heartbeat.objects.get_or_create(name=UNREAD, defaults={"at": now, "detail": str(error)[:300]})


def note_sync(*, now: datetime) -> None:
    """eDRV let its whole fleet be read. A pause that it asked for is kept all the same."""
    Heartbeat.objects.filter(name=UNREAD).delete()
    if held_until(now=now) is None:
        note_success(sent_at=now, now=now)


def in_trouble() -> bool:
    """Whether a trouble that was noted has not ended yet."""
    return Heartbeat.objects.filter(name=TROUBLE).exists()


def commands_waiting(*, now: datetime) -> int:
    """How many commands an outage holds back."""
    waiting = Q(next_attempt_at__lte=now) | Q(reason__in=REASONS)
    return Command.objects.filter(waiting, state__in=Command.CLAIMABLE).count()


def bring_forward(*, now: datetime) -> None:
    """eDRV is back: what waits only for that need not wait longer."""
    sql.run(_BRING_FORWARD, {"now": now, "reasons": list(REASONS)})


def note_success(*, sent_at: datetime, now: datetime) -> bool:
    """eDRV has answered what was sent at `sent_at`. Returns whether that ended a trouble, and our
    pause with it.

    Only what was sent since the trouble was noted can, and since the time that eDRV asked for: to
    something earlier, the answer is one of before, however late it comes.
    """
    Heartbeat.note(OK, at=now)
    if Heartbeat.objects.filter(name=WISH, at__gt=sent_at).exists():
        return False
    ended = Heartbeat.objects.filter(name=TROUBLE, at__lt=sent_at).delete()[0] > 0
    if ended:
        Heartbeat.objects.filter(name__in=(HOLD, WISH)).delete()
        log.info("edrv.recovered")
    return ended


_SENDING = """
    SELECT EXISTS (SELECT FROM chargers_heartbeat
                    WHERE name = ANY(%(pauses)s) AND at > %(now)s) AS is_held,
           EXISTS (SELECT FROM chargers_heartbeat WHERE name = %(trouble)s) AS is_in_trouble
"""

_PAUSE = """
    INSERT INTO chargers_heartbeat AS pause (name, at, detail)
    VALUES (%(name)s, %(until)s, %(detail)s)
        ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at, detail = EXCLUDED.detail
     WHERE pause.at < EXCLUDED.at
"""

# Without the sessions' locks, so whoever is busy is left alone.
_BRING_FORWARD = """
    UPDATE chargers_command SET next_attempt_at = %(now)s
     WHERE id IN (
           SELECT id FROM chargers_command
            WHERE state IN ('due', 'unconfirmed') AND next_attempt_at > %(now)s
              AND reason = ANY(%(reasons)s)
              FOR NO KEY UPDATE SKIP LOCKED)
"""
