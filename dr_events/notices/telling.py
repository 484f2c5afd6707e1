"""Writing down what is to be told, in the transaction of what it tells of: either both have
happened or neither. The sweep of due deliveries is the guarantee, the bell makes it sooner."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import Signal

from chargers.audit import Actor
from dr_events.models import Event
from dr_events.notices import contents
from dr_events.notices.models import Delivery, Kind, Notice, Subscription, Trouble

# Sent on commit; a doorbell.
written = Signal()
# Whoever may no longer see events is no longer told of them.
NEEDED = "dr_events.view_event"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def wanting(kind: Kind) -> QuerySet[Subscription]:
    """The subscriptions to this kind of people who may know."""
    allowed = User.objects.with_perm(NEEDED, backend=MODEL_BACKEND)
    return Subscription.objects.filter(
        is_active=True, kinds__contains=[kind], owner__in=allowed.values("pk")
    )


def tell_of_event(kind: Kind, event_id: UUID, *, actor: Actor, now: datetime) -> None:
    """An event has moved. Called in the transaction that moves it."""
    subscriptions = list(wanting(kind))
    if subscriptions:
        event = Event.objects.get(pk=event_id)
        content = contents.event_content(kind, event, by=actor.name, now=now)
        subject = contents.event_subject(kind, event)
        write(kind, subject, content, subscriptions, event_id=event_id, now=now)


def tell_of_trouble(trouble: Trouble, *, now: datetime) -> None:
    """Trouble began, grew or is over: `told_figure` is what was told before."""
    subscriptions = list(wanting(Kind.TROUBLE))
    if subscriptions:
        content = contents.trouble_content(trouble, now=now)
        subject = trouble.subject if trouble.figure else f"Over: {trouble.subject}"[:200]
        write(Kind.TROUBLE, subject, content, subscriptions, event_id=trouble.event_id, now=now)


def write(
    kind: str,
    subject: str,
    content: dict[str, Any],
    subscriptions: Iterable[Subscription],
    *,
    now: datetime,
    event_id: UUID | None = None,
) -> Notice:
    """One notice, and a due delivery for each subscription."""
    with transaction.atomic():
        notice = Notice.objects.create(
            kind=kind, subject=subject, content=content, event_id=event_id, at=now
        )
        Delivery.objects.bulk_create(
            Delivery(
                notice=notice,
                subscription=one,
                owner_id=one.owner_id,
                channel=one.channel,
                address=one.address,
                next_attempt_at=now,
            )
            for one in subscriptions
        )
        transaction.on_commit(_ring)
    return notice


def _ring() -> None:
    written.send(sender=None)
