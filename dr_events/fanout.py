"""From events to wanted limits: event due → participations → plan → chargers.limits.want().

Everything that plans holds one lock to the end of its transaction, so a plan is never written
over a newer one; large events are planned in chunks, the largest draws first, so that the first
commands are on the wire while the rest is still being planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q

from chargers import audit, limits, sql
from chargers.limits import Want
from chargers.tasks import dispatch_bell
from dr_events import facts, judgement, lifecycle, planner, scope
from dr_events.models import Event
from dr_events.planner import Plan

log = structlog.get_logger(__name__)

FIRST_CHUNK = 200
CHUNK = 1000
PLANNING = "planning"
# Every active event is planned anew now and then, whatever the news did or did not say.
REPLAN_AFTER = timedelta(seconds=60)


def advance(*, now: datetime) -> None:
    """Start and end the events whose time has come. Another worker may have been faster."""
    for event_id in _ids(status=Event.Status.SCHEDULED, starts_at__lte=now):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.activate(event_id, now=now)
    for event_id in _ids(status=Event.Status.ACTIVE, ends_at__lte=now):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.end(event_id, ending_as=Event.Status.COMPLETED, actor=audit.GATEWAY, now=now)


def _ids(**conditions: object) -> list[UUID]:
    return list(Event.objects.filter(**conditions).values_list("id", flat=True))


def plan_events(*, now: datetime) -> None:
    """Bring every event whose revision the planner has not seen into effect."""
    waiting = Event.objects.filter(
        Q(status__in=(Event.Status.ACTIVE, Event.Status.RESTORING)),
        Q(planned_revision__lt=F("revision"))
        | Q(status=Event.Status.ACTIVE, planned_at__lt=now - REPLAN_AFTER),
    )
    for event in waiting.order_by(F("priority").asc(nulls_last=True), "declared_at"):
        with sql.only_one(f"event:{event.id}") as had:
            if had:
                _plan_or_log(event, now)


def _plan_or_log(event: Event, now: datetime) -> None:
    """One event that cannot be planned must not keep the others from it."""
    try:
        plan_event(event, now=now)
    except Exception:
        log.exception("event.not_planned", event_id=str(event.id))


def plan_event(event: Event, *, now: datetime) -> None:
    """One pass over everything an event aims at, or no longer aims at. A pass that is cut short
    is made again, since the event's `planned_revision` moves only at its end."""
    if event.status == Event.Status.ACTIVE:
        aimed_at = scope.sessions_of(list(event.targets.values_list("type", "value")))
        for chunk in _chunks(aimed_at):
            _take_in(event.id, chunk, now)
        _let_go(event.id, now, keep=aimed_at)
    else:
        _let_go(event.id, now, keep=[])
    Event.objects.filter(pk=event.pk).update(planned_revision=event.revision, planned_at=now)


def _chunks(session_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    yield session_ids[:FIRST_CHUNK]
    for start in range(FIRST_CHUNK, len(session_ids), CHUNK):
        yield session_ids[start : start + CHUNK]


@transaction.atomic
def _take_in(event_id: UUID, session_ids: Sequence[int], now: datetime) -> None:
    sql.one_at_a_time(PLANNING)
    enlist({(event_id, session_id) for session_id in session_ids}, now=now)
    plan_sessions(session_ids, now=now)


def _let_go(event_id: UUID, now: datetime, *, keep: Sequence[int]) -> None:
    """Release whoever takes part without being aimed at, until nobody is left. Cars that came
    after `keep` was read are looked at again, since only now nobody else can plan."""
    staying = list(keep)
    while True:
        with transaction.atomic():
            sql.one_at_a_time(PLANNING)
            found = sql.ids(_LEAVING, {"event": event_id, "keep": staying, "most": CHUNK})
            aimed_at = scope.pairs_for(found)
            release({(event_id, session_id) for session_id in found} - aimed_at, now=now)
            staying += [session_id for event, session_id in aimed_at if event == event_id]
        if len(found) < CHUNK:
            return


def enlist(pairs: Iterable[tuple[UUID, int]], *, now: datetime) -> None:
    """Make each (event, session) a participation, or one again, as long as the event is active.
    Holds PLANNING."""
    event_ids, session_ids = sql.columns(sorted(pairs), 2)
    sql.run(_ENLIST, {"events": event_ids, "sessions": session_ids, "now": now})


def release(pairs: Iterable[tuple[UUID, int]], *, now: datetime) -> None:
    """End these participations: what other events want of the sessions is wanted now, or
    nothing. Holds PLANNING."""
    event_ids, session_ids = sql.columns(sorted(pairs), 2)
    if not session_ids:
        return
    # A claim between reading whether a limit may be there and wanting it gone would go unproven.
    sql.lock_sessions(session_ids)
    judgement.refresh(session_ids, now=now)
    sql.run(_RELEASE, {"events": event_ids, "sessions": session_ids, "now": now})
    plan_sessions(session_ids, now=now)
    sql.run(_NOTE_GENERATION, {"events": event_ids, "sessions": session_ids})
    restore(session_ids)


def plan_sessions(session_ids: Iterable[int], *, now: datetime) -> None:
    """Plan these sessions, record what is wanted of each, and ring for the dispatcher. Holds
    PLANNING."""
    memberships = facts.memberships(session_ids)
    known = facts.of_sessions(session_ids)
    cars = [found.car(memberships.get(found.session_id, ())) for found in known]
    plans = planner.plan(facts.orders(), cars)
    _write_plans(plans, now)
    changed = set(limits.want([_want(plan) for plan in plans], now=now))
    judgement.refresh(memberships, now=now)
    if changed:
        _log_wanted(plans, {found.session_id: found.external_id for found in known}, changed)
        dispatch_bell.ring()


def _log_wanted(plans: Sequence[Plan], names: Mapping[int, str], changed: set[int]) -> None:
    by_event: dict[UUID | None, list[str]] = {}
    for plan in plans:
        if plan.session_id in changed:
            by_event.setdefault(plan.binding, []).append(names[plan.session_id])
    for event_id, sessions in by_event.items():
        what = "limits.set" if event_id else "limits.lifted"
        log.info(what, event_id=event_id and str(event_id), sessions=sessions)


def _want(plan: Plan) -> Want:
    return Want(plan.session_id, plan.limit, plan.cause, plan.expected_relief_w)


def _write_plans(plans: Sequence[Plan], now: datetime) -> None:
    records = [
        (
            plan.session_id,
            plan.limit and str(plan.limit.unit),
            plan.limit and plan.limit.value,
            plan.binding,
        )
        for plan in plans
    ]
    sql.run(_WRITE_PLANS, [now, *sql.columns(records, 4)])


def restore(session_ids: Sequence[int]) -> None:
    """Note which released participations have the proof that no limit of theirs is left: the
    session's newest wanted limit, or its end, is confirmed."""
    sql.run(_RESTORE, [list(session_ids)])


def finish_events(*, now: datetime) -> None:
    """End the events that are restoring and have nobody left to restore."""
    for event in sql.rows(_RESTORED_EVENTS):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.finish(event["id"], now=now)


_LEAVING = """
    SELECT session_id FROM dr_events_participation
     WHERE event_id = %(event)s AND released_at IS NULL AND session_id <> ALL(%(keep)s)
     ORDER BY session_id LIMIT %(most)s
"""

_ENLIST = """
    INSERT INTO dr_events_participation AS participation
           (event_id, session_id, state, reason, binding, joined_at, joined_late,
            joined_generation, before_w, attempts, was_limited)
    SELECT event.id, session.id, 'pending', '', FALSE, %(now)s,
           session.started_at > event.activated_at, session.generation, session.power_w, 0, FALSE
      FROM unnest(%(events)s::uuid[], %(sessions)s::bigint[]) AS pair (event_id, session_id)
      JOIN dr_events_event AS event ON event.id = pair.event_id AND event.status = 'active'
      JOIN chargers_session AS session ON session.id = pair.session_id
                                      AND session.ended_at IS NULL
        ON CONFLICT (event_id, session_id) DO UPDATE
       SET state = 'pending', reason = '', released_at = NULL, released_generation = NULL,
           was_limited = FALSE, restored_at = NULL
     WHERE participation.released_at IS NOT NULL
"""

# Whoever never had an answer is counted as ended: nothing is known of it any more. Whoever had one
# and was still waiting for the answer to a change was confirmed at what it had before.
_RELEASE = """
    UPDATE dr_events_participation AS participation
       SET released_at = %(now)s, binding = FALSE, next_attempt_at = NULL,
           was_limited = session.may_be_limited OR (
               session.ended_at IS NOT NULL AND participation.confirmed_unit IS NOT NULL),
           state = CASE WHEN gone.reason <> 'event_ended' THEN 'ended'
                        WHEN state = 'pending' AND accepted_at IS NOT NULL THEN 'confirmed'
                        WHEN state = 'pending' THEN 'ended' ELSE state END,
           reason = CASE WHEN gone.reason <> 'event_ended' THEN gone.reason
                         WHEN state = 'pending' THEN 'event_ended_before_answer'
                         ELSE participation.reason END
      FROM unnest(%(events)s::uuid[], %(sessions)s::bigint[]) AS pair (event_id, session_id)
      JOIN dr_events_event AS event ON event.id = pair.event_id
      JOIN chargers_session AS session ON session.id = pair.session_id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN session.ended_at IS NOT NULL THEN 'session_ended'
                       WHEN event.status = 'active' THEN 'target_removed'
                       ELSE 'event_ended' END AS reason) AS gone
     WHERE participation.event_id = pair.event_id
       AND participation.session_id = pair.session_id
       AND participation.released_at IS NULL
"""

_NOTE_GENERATION = """
    UPDATE dr_events_participation AS participation
       SET released_generation = session.generation
      FROM unnest(%(events)s::uuid[], %(sessions)s::bigint[]) AS pair (event_id, session_id)
      JOIN chargers_session AS session ON session.id = pair.session_id
     WHERE participation.event_id = pair.event_id
       AND participation.session_id = pair.session_id
"""

_WRITE_PLANS = """
    UPDATE dr_events_participation AS participation
       SET wanted_unit = plan.unit, wanted_value = plan.value,
           binding = participation.event_id IS NOT DISTINCT FROM plan.event_id,
           wanted_at = CASE WHEN (participation.wanted_unit, participation.wanted_value)
                                 IS DISTINCT FROM (plan.unit, plan.value)
                            THEN %s ELSE participation.wanted_at END
      FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::uuid[])
        AS plan (session_id, unit, value, event_id)
     WHERE participation.session_id = plan.session_id AND participation.released_at IS NULL
       AND participation.event_id IN (SELECT id FROM dr_events_event WHERE status = 'active')
       AND (participation.wanted_unit, participation.wanted_value, participation.binding)
           IS DISTINCT FROM (plan.unit, plan.value,
                             participation.event_id IS NOT DISTINCT FROM plan.event_id)
"""

_RESTORE = """
    UPDATE dr_events_participation AS participation
       SET restored_at = GREATEST(participation.released_at,
                                  COALESCE(session.ended_at, session.confirmed_at))
      FROM chargers_session AS session
     WHERE session.id = ANY(%s) AND participation.session_id = session.id
       AND participation.was_limited AND participation.restored_at IS NULL
       AND participation.released_generation IS NOT NULL
       AND (session.ended_at IS NOT NULL OR NOT session.may_be_limited
            OR session.confirmed_generation >= participation.released_generation)
"""

_RESTORED_EVENTS = """
    SELECT event.id FROM dr_events_event AS event
     WHERE event.status = 'restoring' AND event.planned_revision = event.revision
       AND NOT EXISTS (
           SELECT FROM dr_events_participation AS participation
            WHERE participation.event_id = event.id
              AND (participation.released_at IS NULL
                   OR (participation.was_limited AND participation.restored_at IS NULL)))
"""
