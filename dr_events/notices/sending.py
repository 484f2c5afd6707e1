"""Delivering: claim → commit → send → record, as commands are sent. A lease makes the deliveries
of a dead worker due again, so a receiver may get a notice twice, with the same id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from chargers import audit, sql
from dr_events.notices import contents, mail, post, retries, signing
from dr_events.notices.models import TEST, Attempt, Channel, Delivery, Subscription
from dr_events.notices.reach import Reach
from dr_events.notices.retries import Outcome

log = structlog.get_logger(__name__)

# Longer than any attempt takes. A mail has some fifteen steps, of EMAIL_TIMEOUT each at the most.
LEASE = timedelta(seconds=60)
MAIL_LEASE = timedelta(minutes=3)
# One turn: so many together, of which so many to one address, and one to an address that fails.
BATCH = 40
TO_ONE = 4
# All of them go out at once: one that waited for its turn would use up its lease.
MAILS = 4
# A task does not go on for ever; what is left is rung for again.
TURNS = 5

State = Delivery.State


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt that may be made now, with all it needs."""

    delivery_id: int
    attempt_id: int
    number: int
    subscription_id: int
    channel: str
    address: str
    secret: str
    notice_id: UUID
    subject: str
    content: dict[str, Any]
    failing_since: datetime | None


def reach() -> Reach:
    """Where webhooks may go, by the settings."""
    return Reach(private=settings.NOTIFY_PRIVATE_ADDRESSES, loopback=settings.PLAIN_HTTP)


def is_any_due(*, now: datetime) -> bool:
    return Delivery.objects.filter(state=State.DUE, next_attempt_at__lte=now).exists()


def drain(*, more_due: Callable[[], None]) -> None:
    """Send all that is due; ring again where there may be more."""
    for _ in range(TURNS):
        if not turn(now=timezone.now()):
            return
    more_due()


def turn(*, now: datetime) -> int:
    """One round of attempts, all at once. Returns how many were made."""
    settle_hopeless(now=now)
    claims = claim(now=now)
    if claims:
        async_to_sync(_attempt_all)(claims)
    return len(claims)


def settle_hopeless(*, now: datetime) -> None:
    """Nobody wants it any more, or it is a day old. A test is sent to an address that is off."""
    due = Delivery.objects.filter(state=State.DUE, next_attempt_at__lte=now)
    settled = {"next_attempt_at": None, "settled_at": now}
    unwanted = Q(subscription=None) | Q(subscription__is_active=False) & ~Q(notice__kind=TEST)
    due.filter(unwanted).update(state=State.DROPPED, **settled)
    due.filter(notice__at__lte=now - retries.GIVE_UP_AFTER).update(state=State.GIVEN_UP, **settled)


@transaction.atomic
def claim(*, now: datetime) -> list[Claim]:
    """Take what is due, oldest first. Addresses that failed are left alone until their time has
    come, and then asked with one."""
    leases = {"lease": now + LEASE, "mail_lease": now + MAIL_LEASE}
    sizes = {"batch": BATCH, "to_one": TO_ONE, "mails": MAILS}
    rows = sql.rows(_CLAIM, {"now": now, **leases, **sizes})
    taken = [row["delivery_id"] for row in rows]
    Attempt.objects.filter(delivery__in=taken, outcome="").update(outcome="lost", ended_at=now)
    attempts = Attempt.objects.bulk_create(
        Attempt(delivery_id=row["delivery_id"], number=row["number"], begun_at=now) for row in rows
    )
    return [
        Claim(attempt_id=attempt.pk, **{**row, "content": orjson.loads(row["content"])})
        for row, attempt in zip(rows, attempts, strict=True)
    ]


async def _attempt_all(claims: Sequence[Claim]) -> None:
    async with post.open_session(reach()) as session:
        await asyncio.gather(*(_attempt_and_record(one, session) for one in claims))


async def _attempt_and_record(one: Claim, session: post.Session) -> None:
    """On record as soon as it has ended: the others may take longer than its lease."""
    outcome = await _attempt(one, session)
    await sync_to_async(record)(one, outcome, jitter=random.random(), now=timezone.now())


async def _attempt(one: Claim, session: post.Session) -> Outcome:
    if one.channel == Channel.EMAIL:
        text = contents.text_of(one.subject, one.content)
        return await asyncio.to_thread(
            mail.send, one.address, one.subject, text, notice_id=one.notice_id
        )
    body = orjson.dumps(one.content)
    message_id = f"msg_{one.notice_id.hex}"
    signed = signing.headers(message_id, body, secret=one.secret, now=timezone.now())
    return await post.post(session, one.address, body, signed, reach=reach())


@transaction.atomic
def record(one: Claim, outcome: Outcome, *, jitter: float, now: datetime) -> None:
    """Write down how an attempt went, and what follows. One that was given up for lost and
    repeated changes nothing any more, unless it got through."""
    Attempt.objects.filter(pk=one.attempt_id).update(
        outcome=outcome.word, status=outcome.status, answer=outcome.answer[:500], ended_at=now
    )
    delivery = Delivery.objects.filter(pk=one.delivery_id, state=State.DUE)
    if outcome.is_delivered:
        delivery.update(state=State.DELIVERED, next_attempt_at=None, settled_at=now)
        _note_success(one)
        return
    log.warning("notice.not_delivered", delivery=one.delivery_id, outcome=outcome.word)
    mine = delivery.filter(attempts=one.number)
    wait_s = retries.wait_s(outcome, attempts=one.number, jitter=jitter)
    if wait_s is None:
        mine.update(state=State.GIVEN_UP, next_attempt_at=None, settled_at=now)
    else:
        mine.update(next_attempt_at=now + timedelta(seconds=wait_s))
    _note_failure(one, outcome, wait_s, now)


def _note_success(one: Claim) -> None:
    Subscription.objects.filter(pk=one.subscription_id, failing_since__isnull=False).update(
        failing_since=None, hold_until=None
    )


def _note_failure(one: Claim, outcome: Outcome, wait_s: float | None, now: datetime) -> None:
    subscription = Subscription.objects.filter(pk=one.subscription_id)
    lasting = now - (one.failing_since or now)
    hold = retries.hold(lasting, wait_s or 0.0)
    subscription.update(failing_since=Coalesce(F("failing_since"), now), hold_until=now + hold)
    if outcome.gone and subscription.filter(is_active=True).update(is_active=False):
        audit.record(
            audit.GATEWAY,
            "subscription.gone",
            at=now,
            subject="subscription",
            subject_ids=[one.subscription_id],
            after={"answer": outcome.status},
        )


_CLAIM = """
    WITH found AS (
        SELECT due.id, due.next_attempt_at, subscription.secret, subscription.failing_since,
               row_number() OVER (PARTITION BY subscription.channel
                                  ORDER BY due.next_attempt_at, due.id)
                   <= CASE subscription.channel WHEN 'email' THEN %(mails)s ELSE %(batch)s END
                   AS has_room
          FROM notices_subscription AS subscription
         CROSS JOIN LATERAL (
               SELECT id, next_attempt_at FROM notices_delivery
                WHERE subscription_id = subscription.id AND state = 'due'
                  AND next_attempt_at <= %(now)s
                ORDER BY next_attempt_at
                LIMIT CASE WHEN subscription.failing_since IS NULL THEN %(to_one)s ELSE 1 END
                  FOR NO KEY UPDATE SKIP LOCKED) AS due
         WHERE subscription.hold_until IS NULL OR subscription.hold_until <= %(now)s),
    chosen AS (
        SELECT * FROM found WHERE has_room ORDER BY next_attempt_at LIMIT %(batch)s)
    UPDATE notices_delivery AS delivery
       SET attempts = attempts + 1,
           next_attempt_at = CASE delivery.channel WHEN 'email' THEN %(mail_lease)s
                                                   ELSE %(lease)s END
      FROM chosen, notices_notice AS notice
     WHERE delivery.id = chosen.id AND notice.id = delivery.notice_id
 RETURNING delivery.id AS delivery_id, delivery.attempts AS number, delivery.subscription_id,
           delivery.channel, delivery.address, chosen.secret, chosen.failing_since,
           notice.id AS notice_id, notice.subject, notice.content::text
"""
