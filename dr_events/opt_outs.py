"""Leaving one event: a driver's or an owner's opt-out, an operator's exemption.

Takes effect at once: the limit is lifted, unless another event wants one. Whoever is out stays
in the event's counts. Drivers are not known here, so a session's opt-out is its chargestation's
to answer for, in the budget of the year.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from chargers import audit, news, sql
from chargers.audit import Actor
from chargers.models import ChargeStation, Session, Site
from chargers.problems import Problem
from dr_events import shapes
from dr_events.models import Event, OptOut

MODELS: dict[str, Any] = {"site": Site, "chargestation": ChargeStation, "session": Session}


@dataclass(frozen=True, slots=True)
class OptedOut:
    """An opt-out, and whether this call made it or it had been there."""

    opt_out: OptOut
    created: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """How many opt-outs of a year somebody has used. Those of drills do not count."""

    used: int
    allowed: int | None

    @property
    def is_spent(self) -> bool:
        return self.allowed is not None and self.used >= self.allowed


def opt_out(event_id: UUID, data: Any, *, actor: Actor, now: datetime) -> OptedOut:
    """Take a site, chargestation or session out of an event; saying it again changes nothing.

    Raises ValidationError naming the field, or Problem 409 for an event that is over or a budget
    that is spent.
    """
    said = shapes.read_opt_out(data)
    with transaction.atomic():
        event = _open_event(event_id)
        present = _present(event, said)
        if present:
            return OptedOut(present, created=False)
        budget_of = _budget_of(said)
        if said["kind"] == OptOut.Kind.OPT_OUT and not event.test:
            _must_have_budget(budget_of, now)
        try:
            with transaction.atomic():
                made = _create(event, said, budget_of, actor, now)
        except IntegrityError:
            present = _present(event, said)
            if present is None:
                raise
            return OptedOut(present, created=False)
    return OptedOut(made, created=True)


def withdraw(event_id: UUID, opt_out_id: int, *, actor: Actor, now: datetime) -> OptOut:
    """Take back an opt-out: the event limits the session again. It stays on record, and in the
    budget. Withdrawing it again changes nothing. Raises Problem 404, or 409 for an event that is
    over: whom it left alone stays as it was."""
    with transaction.atomic():
        found = (
            OptOut.objects.select_for_update(no_key=True)
            .select_related("event")
            .filter(pk=opt_out_id, event_id=event_id)
            .first()
        )
        if found is None:
            raise Problem(404, "not_found", f"The event has no opt-out {opt_out_id}.")
        if found.withdrawn_at is None:
            _must_be_open(found.event)
            OptOut.objects.filter(pk=found.pk).update(withdrawn_at=now)
            _note("opt_out.withdrawn", found, actor, now)
            news.tell(_session_ids(found.type, found.value))
    found.refresh_from_db()
    return found


def excused_from(event_id: UUID, session_ids: Iterable[int]) -> dict[int, str]:
    """Which of these sessions the event leaves alone, or will once it has begun, and why."""
    found = sql.rows(_EXCUSED_SESSIONS, {"event": event_id, "sessions": list(session_ids)})
    return {row["id"]: row["excused"] for row in found if row["excused"]}


def budget(budget_of: str, *, now: datetime) -> Budget:
    """The opt-outs that a site or chargestation has used in this calendar year, in the gateway's
    time zone."""
    local = timezone.localtime(now)
    year = local.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    used = OptOut.objects.filter(
        budget_of=budget_of, kind=OptOut.Kind.OPT_OUT, event__test=False, declared_at__gte=year
    ).count()
    return Budget(used, settings.OPT_OUTS_A_YEAR)


def _open_event(event_id: UUID) -> Event:
    event = Event.objects.select_for_update(no_key=True).filter(pk=event_id).first()
    if event is None:
        raise Problem(404, "not_found", f"There is no event {event_id}.")
    _must_be_open(event)
    return event


def _must_be_open(event: Event) -> None:
    if event.is_over:
        raise Problem(
            409, "event_over", f"The event is {event.status}: too late to leave or rejoin it."
        )


def _present(event: Event, said: dict[str, Any]) -> OptOut | None:
    return OptOut.objects.filter(
        event=event, type=said["type"], value=said["value"], withdrawn_at=None
    ).first()


def _budget_of(said: dict[str, Any]) -> str:
    """Raises ValidationError for what is not known."""
    type_, value = said["type"], said["value"]
    found = MODELS[type_].objects.filter(external_id=value).first()
    if found is None:
        raise shapes.invalid("value", f"nothing is known as {type_} {value}", code="unknown")
    if isinstance(found, Session):
        return f"chargestation {found.chargestation.external_id}"
    return f"{type_} {value}"


def _must_have_budget(budget_of: str, now: datetime) -> None:
    # Two at the same moment would both find the last one left.
    sql.one_at_a_time(f"opt_outs:{budget_of}")
    spent = budget(budget_of, now=now)
    if spent.is_spent:
        raise Problem(
            409,
            "opt_out_budget_spent",
            f"{budget_of} has used the {spent.allowed} opt-outs of this year.",
        )


def _create(
    event: Event, said: dict[str, Any], budget_of: str, actor: Actor, now: datetime
) -> OptOut:
    made = OptOut.objects.create(
        event=event,
        kind=said["kind"],
        type=said["type"],
        value=said["value"],
        budget_of=budget_of,
        reason=said.get("reason", ""),
        declared_by=actor.name,
        declared_at=now,
    )
    _note(f"opt_out.{made.kind}", made, actor, now)
    news.tell(_session_ids(made.type, made.value))
    return made


def _note(action: str, found: OptOut, actor: Actor, now: datetime) -> None:
    audit.record(
        actor,
        action,
        at=now,
        subject="event",
        subject_ids=[found.event_id],
        after={"type": found.type, "value": found.value, "reason": found.reason},
    )


def _session_ids(type_: str, value: str) -> list[int]:
    return sql.ids(_SESSIONS, {"type": type_, "value": value})


_SESSIONS = """
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE session.ended_at IS NULL
       AND CASE %(type)s WHEN 'site' THEN site.external_id
                         WHEN 'chargestation' THEN station.external_id
                         ELSE session.external_id END = %(value)s
"""

# Why the event `participation.event_id` leaves `session` alone, for statements that name these,
# `station` and `site`.
EXCUSED = """
           (SELECT CASE opt.kind WHEN 'opt_out' THEN 'opted_out' ELSE 'exempted' END
              FROM dr_events_optout AS opt
             WHERE opt.event_id = participation.event_id AND opt.withdrawn_at IS NULL
               AND (opt.type, opt.value) IN (
                   ('session', session.external_id), ('chargestation', station.external_id),
                   ('site', site.external_id))
             ORDER BY opt.id LIMIT 1)
"""

_EXCUSED_SESSIONS = f"""
    SELECT session.id, {EXCUSED} AS excused
      FROM (SELECT %(event)s::uuid AS event_id) AS participation
     CROSS JOIN chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE session.id = ANY(%(sessions)s)
"""
