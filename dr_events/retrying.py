"""Trying again what could not get done by itself, because a person says so."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from chargers import audit, limits
from chargers.audit import Actor
from chargers.limits import TriedAgain
from chargers.problems import Problem
from chargers.tasks import dispatch_bell
from dr_events import roster, troubles
from dr_events.models import Event
from dr_events.roster import Narrowing


@transaction.atomic
def retry(event_id: UUID, narrowing: Narrowing, *, actor: Actor, now: datetime) -> TriedAgain:
    """Try again at every session so narrowed down that is failed, unreachable or non-responsive.
    Raises Problem 409 for an event that is not active."""
    event = Event.objects.select_for_update(no_key=True).get(pk=event_id)
    if event.status != Event.Status.ACTIVE:
        raise Problem(409, "not_active", f"The event is {event.status}: nothing is to be retried.")
    session_ids = roster.retriable_ids(event.pk, narrowing)
    done = limits.try_again(session_ids, now=now)
    audit.record(
        actor,
        "event.retried",
        at=now,
        subject="event",
        subject_ids=[event.pk] if session_ids else [],
        after={"narrowed_to": narrowing.as_query(), "sessions": len(session_ids),
               "sent_anew": done.sent_anew, "sent_at_once": done.hurried},
    )  # fmt: skip
    dispatch_bell.ring()
    return done


@transaction.atomic
def lift_again(event_id: UUID | None, *, actor: Actor, now: datetime) -> TriedAgain:
    """Try again now to lift every limit that this event left behind; with None, those of no event.
    What is on the wire stays as it is."""
    session_ids = troubles.stuck_ids(event_id, now=now)
    done = limits.try_again(session_ids, now=now)
    subject, subject_ids = ("event", [event_id]) if event_id else ("session", session_ids)
    audit.record(
        actor,
        f"{subject}.lifted_again",
        at=now,
        subject=subject,
        subject_ids=subject_ids if session_ids else [],
        after={"sessions": len(session_ids), "sent_anew": done.sent_anew,
               "sent_at_once": done.hurried},
    )  # fmt: skip
    dispatch_bell.ring()
    return done
