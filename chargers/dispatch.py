"""Send every due command at once and record every answer: claim → commit → send → record.

This thread works with the database while a burst's own thread talks to eDRV, so neither waits
for the other. A worker that dies leaves its claims to fall due again and a trace of what it may
have sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from chargers import counters, news, pace, sessions, settlement, sql
from chargers.claims import Claim, claim, lease_for
from chargers.edrv.burst import Burst, Job, Reply
from chargers.edrv.calls import Endpoint
from chargers.edrv.errors import ProviderFailed
from chargers.edrv.payloads import ActionStatus
from chargers.models import Command
from chargers.pace import Sending
from chargers.replies import Result, judge
from chargers.sessions import Said
from chargers.settlement import Answer, Move
from chargers.watch import Watch

log = structlog.get_logger(__name__)

# A claim outlives its HTTP time-out by this much: time to start sending, and to record.
LEASE_MARGIN_S = 3.0
# Claimed but not yet in flight: a round more than fits, and so many at least, so that the network
# never waits for the database.
PREFETCH = 200
# A claim costs one round of SQL however small it is.
SMALLEST_CLAIM = 50
COLLECT_WAIT_S = 0.02


def endpoint() -> Endpoint:
    """eDRV as the settings have it."""
    return Endpoint(
        api_url=settings.EDRV_API_URL,
        api_key=settings.EDRV_API_KEY,
        command_method=settings.EDRV_COMMAND_METHOD,
        timeout_s=settings.EDRV_TIMEOUT_S,
    )


def drain(*, more_due: Callable[[], None] = lambda: None) -> int:
    """Send commands until none is due; returns how many attempts were made. `more_due` is called
    once if there may be more than one worker can take on at once."""
    target = endpoint()
    with Burst(target, concurrency=settings.EDRV_MAX_CONCURRENCY) as burst:
        dispatcher = Dispatcher(burst, target, pace.Pace(settings.EDRV_RATE_LIMIT), more_due)
        while dispatcher.step():
            pass
    return dispatcher.attempts


class Dispatcher:
    """One worker's sending: what is in flight, and when to claim more."""

    def __init__(
        self, burst: Burst, target: Endpoint, rate: pace.Pace, more_due: Callable[[], None]
    ) -> None:
        self._burst = burst
        self._endpoint = target
        self._rate = rate
        self._more_due: Callable[[], None] | None = more_due
        self._flying: dict[int, Claim] = {}
        in_flight = settings.EDRV_MAX_CONCURRENCY
        self._window = in_flight + max(in_flight, PREFETCH)
        self._watch = Watch()
        self.attempts = 0

    def step(self) -> bool:
        """Claim what there is room for, record what has come back. False when nothing is left."""
        claimed = self._claim_more()
        replies = self._burst.collect(wait_s=COLLECT_WAIT_S) if self._burst.outstanding else []
        if replies:
            self._record(replies)
        return bool(claimed or self._burst.outstanding or replies)

    def _claim_more(self) -> int:
        room = self._room()
        if room < min(SMALLEST_CLAIM, self._rate.most(self._window)) and self._burst.outstanding:
            return 0
        now = timezone.now()
        sending = pace.sending(now=now)
        self._watch.is_worried = sending is not Sending.FREELY
        if sending is Sending.HELD:
            return 0
        if sending is Sending.PROBING:
            room = pace.PROBE - self._burst.outstanding
        claims = self._claim(room, now) if room > 0 else []
        if len(claims) == room and self._more_due:
            self._more_due()
            self._more_due = None
        return len(claims)

    def _room(self) -> int:
        """At a given rate what waits for its time counts; what is in flight, however long it takes
        to be answered, does not."""
        free = self._window - self._burst.outstanding
        if not self._rate.rate_per_s:
            return free
        return min(free, self._rate.most(self._window) - self._burst.waiting)

    def _claim(self, most: int, now: datetime) -> list[Claim]:
        lease_until = lease_for(self._endpoint.timeout_s, now=now, margin_s=LEASE_MARGIN_S)
        claims = claim(most, endpoint=self._endpoint, now=now, lease_until=lease_until)
        if not claims:
            return []
        send_before_s = lease_until.timestamp() - self._endpoint.timeout_s
        self._flying.update((one.attempt_id, one) for one in claims)
        self._burst.submit(
            [
                Job(one.attempt_id, one.call, send_before_s, start_s)
                for one, start_s in zip(claims, self._rate.starts(len(claims)), strict=True)
            ]
        )
        self.attempts += len(claims)
        log.info(
            "commands.sending",
            commands=[one.command_id for one in claims],
            sessions=[one.session_external_id for one in claims],
        )
        return claims

    def _record(self, replies: Sequence[Reply]) -> None:
        now = timezone.now()
        results = take_in([(self._flying.pop(reply.key), reply) for reply in replies], now=now)
        self._watch.see(results, now=now)


def take_in(answered: Sequence[tuple[Claim, Reply]], *, now: datetime) -> list[Result]:
    """Understand what came back, and write it down. A reply that breaks this is set aside as one
    that is not eDRV's, and none of the others with it."""
    try:
        return _judge_and_record(answered, now)
    except (OperationalError, InterfaceError) as error:
        # A deadlock's victim, or the connection was lost: the database's trouble, which is mostly
        # over by now. What eDRV has answered must not be lost with it.
        log.warning("record.again", error=str(error))
        return _judge_and_record(answered, now)
    except Exception as error:
        log.exception("record.one_by_one", error=repr(error))
        return [_take_in_alone(claimed, reply, now) for claimed, reply in answered]


def _judge_and_record(answered: Sequence[tuple[Claim, Reply]], now: datetime) -> list[Result]:
    results = [judge(claimed, reply, jitter=random.random()) for claimed, reply in answered]
    record(results, now=now)
    return results


def _take_in_alone(claimed: Claim, reply: Reply, now: datetime) -> Result:
    try:
        [result] = _judge_and_record([(claimed, reply)], now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.exception("record.set_aside", command=claimed.command_id)
        unlike = ProviderFailed(f"cannot be recorded: {error!r}", reply.status, ambiguous=True)
        [result] = _judge_and_record([(claimed, replace(reply, body=b"", error=unlike))], now)
    return result


def record(results: Sequence[Result], *, now: datetime) -> None:
    """Write down what came back, in one transaction; then let it take effect."""
    with transaction.atomic():
        sql.lock_sessions(result.claim.session_id for result in results)
        sql.run(_RECORD_REPLIES, sql.columns((_reply_row(result) for result in results), 8))
        settlement.advance([_move(result) for result in results], now=now)
        settlement.reconsider_limited(
            [r.claim.session_id for r in results if not r.may_have_effect]
        )
        news.tell_standing(r.claim.session_id for r in results if r.next.reason)
        sql.run(_WAKE_WAITING, [[r.action.id for r in results if r.action]])
        settlement.settle(_answers(results), now=now)
        _apply_looks(results, now)
    counters.count_each("attempt", (result.outcome for result in results))
    _log(results)


def _move(result: Result) -> Move:
    claimed = result.claim
    return Move(claimed.command_id, claimed.number, result.next, _sent_at(result.reply))


def _sent_at(reply: Reply) -> datetime | None:
    return None if reply.sent_at_s is None else datetime.fromtimestamp(reply.sent_at_s, UTC)


def _answers(results: Sequence[Result]) -> list[Answer]:
    return [
        Answer(result.claim.looked_attempt_id or result.claim.attempt_id, result.action)
        for result in results
        if result.action is not None and result.action.status is not ActionStatus.REQUESTED
    ]


def _apply_looks(results: Sequence[Result], now: datetime) -> None:
    sessions.apply([Said(r.session, now) for r in results if r.session], now=now)
    sessions.forget([r.claim.session_external_id for r in results if r.gone], now=now)


def _reply_row(result: Result) -> tuple[object, ...]:
    reply = result.reply
    action_id = result.action.id if result.action and result.outcome == "requested" else None
    return (
        result.claim.attempt_id,
        _sent_at(reply),
        datetime.fromtimestamp(reply.answered_at_s, UTC),
        reply.status or None,
        action_id,
        result.outcome,
        result.may_have_effect,
        str(result.error)[: settlement.MAX_ANSWER] if result.error else "",
    )


def _log(results: Sequence[Result]) -> None:
    for result in results:
        if result.error is not None:
            log.warning(
                "command.error",
                command=result.claim.command_id,
                session=result.claim.session_external_id,
                error=str(result.error),
                next=str(result.next.step),
                after_s=round(result.next.after_s, 1),
            )


def close_lost_attempts(*, now: datetime) -> int:
    """Attempts whose worker never came back with an answer. They may have gone out."""
    return sql.run(_CLOSE_LOST, [now])


def is_any_due(*, now: datetime) -> bool:
    """Whether a dispatcher has anything to do now."""
    if pace.held_until(now=now):
        return False
    return Command.due(now=now).exists()


_RECORD_REPLIES = """
    UPDATE chargers_attempt AS attempt
       SET sent_at = reply.sent_at, answered_at = reply.answered_at,
           http_status = reply.http_status, action_id = reply.action_id,
           outcome = reply.outcome, may_have_effect = reply.may_have_effect,
           answer = reply.answer
      FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::int[], %s::text[],
                  %s::text[], %s::bool[], %s::text[])
        AS reply (attempt_id, sent_at, answered_at, http_status, action_id, outcome,
                  may_have_effect, answer)
     WHERE attempt.id = reply.attempt_id
"""

# The webhook may have been faster than the answer that names its action.
_WAKE_WAITING = """
    UPDATE chargers_webhookdelivery SET state = 'pending'
     WHERE state = 'waiting' AND waiting_for = ANY(%s)
"""

_CLOSE_LOST = """
    UPDATE chargers_attempt SET outcome = 'lost'
     WHERE outcome = '' AND lease_until < %s - INTERVAL '1 minute'
"""
