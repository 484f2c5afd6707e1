"""declare, amend, end, cancel: the one door for REST, admin and command line.

Each is one transaction: the event, its audit row, its notices and the bell, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from rest_framework.serializers import ValidationError

from chargers import audit
from chargers.audit import Actor
from chargers.problems import Problem
from dr_events import declarations, lifecycle
from dr_events.content import content_of, restore_of
from dr_events.declarations import Declaration
from dr_events.models import Event, EventInterval, EventTarget
from dr_events.notices import telling
from dr_events.notices.models import Kind
from dr_events.tasks import steer_bell
from dr_events.timeline import Step

Status = Event.Status


@dataclass(frozen=True, slots=True)
class Declared:
    """An event, and whether this call made it (or an earlier one with the same content)."""

    event: Event
    created: bool


def declare(
    data: Any, *, actor: Actor, now: datetime, idempotency_key: str | None = None
) -> Declared:
    """Declare an event.

    Saying the same again, under the same idempotency key or external id, gives the same event.
    Raises ValidationError, naming every wrong field, or Problem 409 where the key or the
    external id already stands for something else.
    """
    declaration = declarations.read_declaration(data)
    known = _known(declaration, actor, idempotency_key)
    if known is None:
        declarations.check_period(declaration, now=now)
        try:
            return Declared(_create(declaration, actor, now, idempotency_key), created=True)
        except IntegrityError:
            # Declared at the same moment by the same client.
            known = _known(declaration, actor, idempotency_key)
            if known is None:
                raise
    _bind(known, idempotency_key)
    return Declared(known, created=False)


def _known(declaration: Declaration, actor: Actor, idempotency_key: str | None) -> Event | None:
    mine = Event.objects.filter(declared_by=actor.name)
    found = {}
    if idempotency_key is not None:
        found["Idempotency-Key"] = mine.filter(idempotency_key=idempotency_key).first()
    if declaration.external_id is not None:
        found["external_id"] = mine.filter(external_id=declaration.external_id).first()
    for field, event in found.items():
        if event is not None and event.request_digest != declaration.digest():
            raise Problem(
                409,
                "already_declared",
                f"{field} already stands for event {event.id}, declared with other content.",
                field=field,
            )
    return next((event for event in found.values() if event is not None), None)


def _bind(event: Event, idempotency_key: str | None) -> None:
    """A key that was answered with an event found by its external id stands for it from now on."""
    if idempotency_key is not None and event.idempotency_key is None:
        # Another declaration may have taken the key at this very moment.
        with suppress(IntegrityError), transaction.atomic():
            Event.objects.filter(pk=event.pk).update(idempotency_key=idempotency_key)


@transaction.atomic
def _create(
    declaration: Declaration, actor: Actor, now: datetime, idempotency_key: str | None
) -> Event:
    starts_at = declaration.starts_at or now
    steps, ends_at = declaration.schedule(starts_at)
    restore = declaration.restore
    event = Event.objects.create(
        external_id=declaration.external_id,
        name=declaration.name,
        reason=declaration.reason,
        test=declaration.test,
        priority=declaration.priority,
        starts_at=starts_at,
        ends_at=ends_at,
        limit_kind=declaration.amount.kind,
        limit_unit=declaration.amount.unit,
        limit_value=declaration.amount.value,
        below_minimum=declaration.below_minimum,
        randomize_start=declaration.randomize_start,
        restore_w_per_min=restore.rate_w_per_min if restore else None,
        restore_random_share=restore.random_share if restore else 0.0,
        declared_by=actor.name,
        declared_at=now,
        idempotency_key=idempotency_key,
        request_digest=declaration.digest(),
    )
    _write_steps(event, steps)
    _write_targets(event, declaration.targets)
    audit.record(
        actor,
        "event.declared",
        at=now,
        subject="event",
        subject_ids=[event.id],
        after=content_of(event),
    )
    telling.tell_of_event(Kind.DECLARED, event.id, actor=actor, now=now)
    if starts_at + min(event.randomize_start, declarations.NO_TIME) <= now:
        lifecycle.activate(event.id, now=now)
        event.refresh_from_db()
    steer_bell.ring()
    return event


def amend(event_id: UUID, data: Any, *, actor: Actor, now: datetime) -> Event:
    """Change a scheduled or active event: what is named in `data`, nothing else.

    Raises ValidationError, or Problem 409 for an event that has ended.
    """
    changes = declarations.read_amendment(data)
    with transaction.atomic():
        event = _locked(event_id)
        if event.is_over:
            raise Problem(409, "event_over", f"The event is {event.status}: too late to amend it.")
        before = content_of(event)
        _apply(event, changes, now)
        after = content_of(event)
        if after != before:
            _save_amended(event, before, after, actor, now)
    return event


def _apply(event: Event, changes: dict[str, Any], now: datetime) -> None:
    for name in ("name", "reason", "priority", "below_minimum"):
        if name in changes:
            setattr(event, name, changes[name])
    if "randomize_start" in changes:
        _apply_randomize_start(event, changes["randomize_start"] or declarations.NO_TIME)
    if "restore" in changes:
        restore = declarations.read_restore(changes["restore"])
        event.restore_w_per_min = restore.rate_w_per_min if restore else None
        event.restore_random_share = restore.random_share if restore else 0.0
    _apply_period(event, changes, now)
    _apply_amounts(event, changes, now)
    if "targets" in changes:
        _write_targets(event, declarations.read_targets(changes["targets"]))


def _apply_randomize_start(event: Event, window: timedelta) -> None:
    if event.status != Status.SCHEDULED and window != event.randomize_start:
        raise ValidationError({"randomize_start": "cannot change: the event has started"})
    event.randomize_start = window


def _apply_period(event: Event, changes: dict[str, Any], now: datetime) -> None:
    if "starts_at" in changes:
        starts_at = changes["starts_at"] or now
        if event.status != Status.SCHEDULED and starts_at != event.starts_at:
            raise ValidationError({"starts_at": "cannot change: the event has started"})
        if starts_at != event.starts_at:
            declarations.check_start(starts_at, now=now)
        event.starts_at = starts_at
    if changes.get("duration") is not None:
        event.ends_at = event.starts_at + changes["duration"]
    elif "ends_at" in changes or "duration" in changes:
        event.ends_at = changes.get("ends_at")
    if {"starts_at", "ends_at", "duration"} & set(changes):
        declarations.check_end(event.ends_at, starts_at=event.starts_at, now=now)


def _apply_amounts(event: Event, changes: dict[str, Any], now: datetime) -> None:
    """A limit instead of all steps, steps instead of a limit; or the same ones, in a period that
    may have changed."""
    intervals = declarations.read_intervals(changes.get("intervals", ()))
    if intervals:
        follows = intervals[-1].duration and not {"ends_at", "duration"} & set(changes)
        steps, event.ends_at = declarations.schedule(
            intervals, starts_at=event.starts_at, ends_at=None if follows else event.ends_at
        )
        declarations.check_end(event.ends_at, starts_at=event.starts_at, now=now, field="intervals")
        amount = intervals[0].amount
    else:
        limit = changes.get("limit")
        amount = declarations.read_amount(limit) if limit else event.amount
        steps = [] if limit else event.steps
        declarations.check_steps(steps, starts_at=event.starts_at, ends_at=event.ends_at)
    event.limit_kind, event.limit_unit, event.limit_value = amount.kind, amount.unit, amount.value
    declarations.check_combination(
        amount.kind,
        below_minimum=event.below_minimum,
        randomize_start=event.randomize_start,
        restore=restore_of(event),
        steps=steps,
    )
    _write_steps(event, steps)


def _save_amended(
    event: Event, before: dict[str, Any], after: dict[str, Any], actor: Actor, now: datetime
) -> None:
    event.revision = F("revision") + 1
    event.save()
    event.refresh_from_db()
    audit.record(
        actor,
        "event.amended",
        at=now,
        subject="event",
        subject_ids=[event.id],
        before={name: value for name, value in before.items() if value != after[name]},
        after={name: value for name, value in after.items() if value != before[name]},
    )
    steer_bell.ring()


def end(event_id: UUID, *, actor: Actor, now: datetime) -> Event:
    """End an active event now; ending it again changes nothing. Raises Problem 409 for one that
    has not begun or was cancelled."""
    with transaction.atomic():
        event = _locked(event_id)
        if event.status == Status.ACTIVE:
            lifecycle.end(event.id, ending_as=Status.COMPLETED, actor=actor, now=now)
            steer_bell.ring()
        elif event.status == Status.SCHEDULED:
            raise Problem(409, "not_active", "The event has not begun: cancel it instead.")
        elif event.ending_as == Status.CANCELLED:
            raise Problem(409, "event_over", "The event was cancelled.")
    event.refresh_from_db()
    return event


def cancel(event_id: UUID, *, actor: Actor, now: datetime) -> Event:
    """Cancel a scheduled or active event; limits already set are lifted. Cancelling it again
    changes nothing. Raises Problem 409 for one that has ended."""
    with transaction.atomic():
        event = _locked(event_id)
        if event.status == Status.SCHEDULED:
            lifecycle.cancel_scheduled(event.id, actor=actor, now=now)
        elif event.status == Status.ACTIVE:
            lifecycle.end(event.id, ending_as=Status.CANCELLED, actor=actor, now=now)
            steer_bell.ring()
        elif event.ending_as != Status.CANCELLED:
            raise Problem(409, "event_over", "The event has ended: nothing is left to cancel.")
    event.refresh_from_db()
    return event


def restore_at_once(event_id: UUID, *, actor: Actor, now: datetime) -> Event:
    """Give all power back now, whatever slope was ordered; saying it again changes nothing.
    Raises Problem 409 for an event that is not restoring."""
    with transaction.atomic():
        event = _locked(event_id)
        if event.status in (Status.SCHEDULED, Status.ACTIVE):
            raise Problem(409, "not_restoring", f"The event is {event.status}: end it first.")
        if event.status == Status.RESTORING and not event.restore_at_once:
            Event.objects.filter(pk=event.pk).update(
                restore_at_once=True, revision=F("revision") + 1
            )
            audit.record(
                actor, "event.restore_at_once", at=now, subject="event", subject_ids=[event.id]
            )
            steer_bell.ring()
    event.refresh_from_db()
    return event


def _locked(event_id: UUID) -> Event:
    event = Event.objects.select_for_update(no_key=True).filter(pk=event_id).first()
    if event is None:
        raise Problem(404, "not_found", f"There is no event {event_id}.")
    return event


def _write_targets(event: Event, targets: Sequence[tuple[str, str]]) -> None:
    wanted, present = set(targets), set(event.targets.values_list("type", "value"))
    for type_, value in present - wanted:
        event.targets.filter(type=type_, value=value).delete()
    EventTarget.objects.bulk_create(
        EventTarget(event=event, type=type_, value=value)
        for type_, value in sorted(wanted - present)
    )


def _write_steps(event: Event, steps: Sequence[Step]) -> None:
    if list(steps) == event.steps:
        return
    event.intervals.all().delete()
    EventInterval.objects.bulk_create(
        EventInterval(
            event=event,
            starts_after=step.starts_after,
            ends_after=step.ends_after,
            limit_unit=step.amount.unit,
            limit_value=step.amount.value,
        )
        for step in steps
    )
