"""Events in their time: which of them begin, are planned, let go of their sessions, and are over.

What that means for each session is in `participations`. Large events are planned in chunks, the
largest draws first, so that the first commands are on the wire while the rest is still being
planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Q

from chargers import sql
from dr_events import facts, lifecycle, participations, pools, restoring, scope
from dr_events.models import Event
from dr_events.participations import Clock

log = structlog.get_logger(__name__)

# Small, so that something is on the wire at once; then twice as many each time, so that there is
# always as much to send as is being planned.
FIRST_CHUNK = 64
CHUNK = 1000
# Every active event is planned anew now and then, whatever the news did or did not say.
REPLAN_AFTER = timedelta(seconds=60)


def advance(*, now: datetime) -> None:
    """Start and end the events whose time has come. Another worker may have been faster, or an
    amendment."""
    for event_id in _ids_of(lifecycle.has_to_begin(now)):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.activate(event_id, now=now)
    for event_id in _ids_of(lifecycle.has_run_out(now)):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.run_out(event_id, now=now)


def _ids_of(whose: Q) -> list[UUID]:
    return list(Event.objects.filter(whose).values_list("id", flat=True))


def plan_events(*, clock: Clock) -> None:
    """Bring every event into effect of which something is new: its terms, its step, the time."""
    waiting = sql.rows(_TO_PLAN, {"now": clock(), "replan": REPLAN_AFTER})
    events = Event.objects.in_bulk([row["id"] for row in waiting])
    for row in waiting:
        with sql.only_one(f"event:{row['id']}") as had:
            if had and row["id"] in events:
                _plan_or_log(events[row["id"]], clock)
    _plan_capacities(clock)


def _plan_or_log(event: Event, clock: Clock) -> None:
    """One event that cannot be planned must not keep the others from it. Who came to let go of
    one that was ended meanwhile found it taken, so that is done here."""
    try:
        plan_event(event, clock=clock)
        ended = Event.objects.filter(pk=event.pk).exclude(status=event.status).first()
        if ended:
            plan_event(ended, clock=clock)
    except Exception:
        log.exception("event.not_planned", event_id=str(event.id))


def plan_event(event: Event, *, clock: Clock) -> None:
    """One pass over everything an event aims at, or no longer aims at. A pass that is cut short
    is made again, since the event's `planned_revision` moves only at its end."""
    began_at = clock()
    if event.status != Event.Status.ACTIVE:
        again_at = _restore(event, clock)
    elif _is_only_shared_anew(event, began_at):
        _share_anew(event.id, clock)
        return
    else:
        again_at = _plan_active(event, clock)
    # What planning itself has found to be due sooner stays.
    sql.run(_PLANNED, {"event": event.id, "revision": event.revision, "now": began_at,
                       "again_at": again_at})  # fmt: skip


def _plan_active(event: Event, clock: Clock) -> datetime | None:
    """Returns when the next sessions begin that start at times of their own."""
    targets = list(event.targets.values_list("type", "value"))
    if event.reference_sessions is None:
        aimed_at = scope.take_reference(event.id, targets)
    else:
        aimed_at = scope.sessions_of(targets)
    sql.run("UPDATE dr_events_event SET plan_again_at = NULL WHERE id = %s", [event.id])
    now = clock()
    begun = [session_id for session_id in aimed_at if scope.has_begun(event, session_id, now=now)]
    for chunk in _chunks(begun, whole=event.kind.is_shared or pools.any_at_all()):
        _take_in(event.id, chunk, clock)
        if not Event.objects.filter(pk=event.id, status=Event.Status.ACTIVE).exists():
            # Nobody can let its sessions go while this pass holds the event.
            return None
    _let_go(event.id, clock, keep=aimed_at)
    return scope.next_beginning(event, aimed_at, now=now)


def _is_only_shared_anew(event: Event, now: datetime) -> bool:
    """Whether nothing is new but how its sessions stand."""
    return (
        event.kind.is_shared
        and event.planned_revision == event.revision
        and event.planned_at is not None
        and event.planned_at > now - REPLAN_AFTER
    )


def _share_anew(event_id: UUID, clock: Clock) -> None:
    with participations.planning(clock) as now:
        participations.plan_sessions(pools.members_of(event_id), now=now)


def _plan_capacities(clock: Clock) -> None:
    """Bring every standing capacity into effect that was told, ran out, or is due."""
    for site_id in sql.ids(_CAPACITIES_TO_PLAN, {"now": clock(), "replan": REPLAN_AFTER}):
        with participations.planning(clock) as now:
            participations.plan_sessions(pools.at_site(site_id), now=now)
            pools.note_empty(site_id, now=now)


def _chunks(session_ids: Sequence[int], *, whole: bool) -> Iterator[Sequence[int]]:
    """Who shares a cap is planned at once: with shares of a part of them the cap would be
    exceeded."""
    if whole:
        yield session_ids
        return
    start = 0
    for size in _sizes():
        if start >= len(session_ids):
            return
        yield session_ids[start : start + size]
        start += size


def _sizes() -> Iterator[int]:
    """Of one chunk after another."""
    size = FIRST_CHUNK
    while True:
        yield size
        size = min(2 * size, CHUNK)


def _take_in(event_id: UUID, session_ids: Sequence[int], clock: Clock) -> None:
    pairs = {(event_id, session_id) for session_id in session_ids}
    with participations.planning(clock) as now:
        joined = participations.enlist(pairs, now=now)
        participations.plan_sessions(session_ids, joined=joined, now=now)


def _restore(event: Event, clock: Clock) -> datetime | None:
    """Let go of everybody, at once or as a slope. Returns when there is more to do."""
    pace = facts.pace_of(event)
    if pace is None or event.restore_at_once:
        _let_go(event.id, clock, keep=[])
        return None
    assert event.ended_at is not None
    reached_at = max(event.ended_at, pace.reached_at or event.ended_at)
    with participations.planning(clock) as now:
        leaving = restoring.leaving(event.id, replace(pace, reached_at=reached_at), now=now)
        participations.release({(event.id, session_id) for session_id in leaving.due}, now=now)
        sql.run(
            "UPDATE dr_events_event SET slope_reached_at = %s WHERE id = %s",
            [leaving.reached_at, event.id],
        )
    return leaving.next_at


def _let_go(event_id: UUID, clock: Clock, *, keep: Sequence[int]) -> None:
    """Release whoever takes part without being aimed at, until nobody is left. Cars that came
    after `keep` was read are looked at again, since only now nobody else can plan."""
    staying = list(keep)
    for most in _sizes():
        with participations.planning(clock) as now:
            found = sql.ids(_LEAVING, {"event": event_id, "keep": staying, "most": most})
            aimed_at = scope.pairs_for(found)
            leaving = {(event_id, session_id) for session_id in found} - aimed_at
            participations.release(leaving, now=now)
            staying += [session_id for event, session_id in aimed_at if event == event_id]
        if len(found) < most:
            return


def finish_events(*, now: datetime) -> None:
    """End the events that are restoring and have nobody left to restore."""
    for event in sql.rows(_RESTORED_EVENTS):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.finish(event["id"], now=now)


_TO_PLAN = """
    SELECT event.id FROM dr_events_event AS event
     WHERE event.status IN ('active', 'restoring')
       AND (event.planned_revision < event.revision
            OR event.planned_at < %(now)s - %(replan)s
            OR event.plan_again_at <= %(now)s
            OR (event.status = 'active' AND EXISTS (
                SELECT FROM dr_events_eventinterval AS step
                 CROSS JOIN unnest(ARRAY[step.starts_after, step.ends_after]) AS change (after)
                 WHERE step.event_id = event.id
                   AND event.starts_at + change.after > event.planned_at
                   AND event.starts_at + change.after <= %(now)s)))
     ORDER BY event.priority NULLS LAST, event.declared_at
"""

_PLANNED = """
    UPDATE dr_events_event
       SET planned_revision = %(revision)s, planned_at = %(now)s,
           plan_again_at = CASE WHEN status = 'active'
                                THEN LEAST(plan_again_at, %(again_at)s) ELSE %(again_at)s END
     WHERE id = %(event)s
"""

_CAPACITIES_TO_PLAN = """
    SELECT site_id FROM dr_events_sitecapacity
     WHERE planned_at IS NULL OR planned_at < %(now)s - %(replan)s
        OR plan_again_at <= %(now)s
        OR (valid_until > planned_at AND valid_until <= %(now)s)
     ORDER BY site_id
"""

_LEAVING = """
    SELECT session_id FROM dr_events_participation
     WHERE event_id = %(event)s AND released_at IS NULL AND session_id <> ALL(%(keep)s)
     ORDER BY session_id LIMIT %(most)s
"""

# Each half by an index of its own; together they would read every participation there ever was.
_RESTORED_EVENTS = """
    SELECT event.id FROM dr_events_event AS event
     WHERE event.status = 'restoring' AND event.planned_revision = event.revision
       AND NOT EXISTS (
           SELECT FROM dr_events_participation AS running
            WHERE running.event_id = event.id AND running.released_at IS NULL)
       AND NOT EXISTS (
           SELECT FROM dr_events_participation AS unrestored
            WHERE unrestored.event_id = event.id
              AND unrestored.was_limited AND unrestored.restored_at IS NULL)
"""
