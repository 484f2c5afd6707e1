"""The states of an event, and the only functions that move one.

    scheduled ──▶ active ──▶ restoring ──▶ completed
        │                        └───────▶ cancelled
        └──────────────────────────────▶ cancelled

Each is a conditional UPDATE with its audit row and its notices in one transaction; the row count
settles the race, and who loses it gets IllegalTransition. What happens because its time has come is
conditional on that too: an amendment may put it off at this very moment.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import DateTimeField, F, Q, Value

from chargers import audit
from chargers.audit import Actor
from dr_events.models import Event
from dr_events.notices import telling
from dr_events.notices.models import Kind

log = structlog.get_logger(__name__)

Status = Event.Status
ALWAYS = Q()
NOTICES = {
    (Status.SCHEDULED, Status.ACTIVE): Kind.STARTED,
    (Status.SCHEDULED, Status.CANCELLED): Kind.ENDED,
    (Status.ACTIVE, Status.RESTORING): Kind.ENDED,
    (Status.RESTORING, Status.COMPLETED): Kind.RESTORED,
    (Status.RESTORING, Status.CANCELLED): Kind.RESTORED,
}


class IllegalTransition(Exception):
    """The event is not in the state this transition starts from, or its time has not come."""

    def __init__(self, event_id: UUID, wanted: str, found: str | None) -> None:
        super().__init__(f"event {event_id} is {found or 'unknown'}: cannot become {wanted}")


def has_to_begin(now: datetime) -> Q:
    """Of an event: its start has come, or the first of its sessions' own starts."""
    first_start_has_come = Q(
        starts_at__lte=Value(now, output_field=DateTimeField()) - F("randomize_start")
    )
    return Q(status=Status.SCHEDULED) & (Q(starts_at__lte=now) | first_start_has_come)


def has_run_out(now: datetime) -> Q:
    """Of an event: its end has come."""
    return Q(status=Status.ACTIVE, ends_at__lte=now)


def activate(event_id: UUID, *, now: datetime) -> None:
    """scheduled → active: the event's time has come."""
    _move(
        event_id,
        Status.SCHEDULED,
        Status.ACTIVE,
        audit.GATEWAY,
        now,
        only_if=has_to_begin(now),
        activated_at=now,
    )


def run_out(event_id: UUID, *, now: datetime) -> None:
    """active → restoring, to become completed: the event's end has come."""
    _move(
        event_id,
        Status.ACTIVE,
        Status.RESTORING,
        audit.GATEWAY,
        now,
        only_if=has_run_out(now),
        ended_at=now,
        ending_as=Status.COMPLETED,
    )


def end(event_id: UUID, *, ending_as: str, actor: Actor, now: datetime) -> None:
    """active → restoring, to become completed or cancelled once every limit is gone."""
    _move(event_id, Status.ACTIVE, Status.RESTORING, actor, now, ended_at=now, ending_as=ending_as)


def cancel_scheduled(event_id: UUID, *, actor: Actor, now: datetime) -> None:
    """scheduled → cancelled: nothing was ever sent."""
    _move(
        event_id,
        Status.SCHEDULED,
        Status.CANCELLED,
        actor,
        now,
        ended_at=now,
        restored_at=now,
        ending_as=Status.CANCELLED,
    )


def finish(event_id: UUID, *, now: datetime) -> None:
    """restoring → completed or cancelled: the absence of every limit is proven."""
    ending_as = Event.objects.values_list("ending_as", flat=True).get(pk=event_id)
    _move(event_id, Status.RESTORING, Status(ending_as), audit.GATEWAY, now, restored_at=now)


def _move(
    event_id: UUID,
    before: Status,
    after: Status,
    actor: Actor,
    now: datetime,
    *,
    only_if: Q = ALWAYS,
    **changes: Any,
) -> None:
    with transaction.atomic():
        moved = Event.objects.filter(only_if, pk=event_id, status=before).update(
            status=after, revision=F("revision") + 1, **changes
        )
        if not moved:
            found = Event.objects.filter(pk=event_id).values_list("status", flat=True).first()
            raise IllegalTransition(event_id, after, found)
        audit.record(
            actor,
            f"event.{after}",
            at=now,
            subject="event",
            subject_ids=[event_id],
            before={"status": before},
            after={"status": after},
        )
        telling.tell_of_event(NOTICES[before, after], event_id, actor=actor, now=now)
    log.info(f"event.{after}", event_id=str(event_id), actor=actor.name)
