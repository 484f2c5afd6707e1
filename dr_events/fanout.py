"""From events to wanted limits: event due → participations → plan → chargers.limits.want().

Everything that plans holds one lock to the end of its transaction, so a plan is never written
over a newer one; large events are planned in chunks, the largest draws first, so that the first
commands are on the wire while the rest is still being planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from chargers import audit, limits, sql
from chargers.limits import Want
from chargers.tasks import dispatch_bell
from dr_events import facts, judgement, lifecycle, planner, pools, restoring, scope
from dr_events.facts import Facts
from dr_events.models import Event
from dr_events.orders import Cap, Order, Part
from dr_events.planner import Plan, Planned

log = structlog.get_logger(__name__)

# Small, so that something is on the wire at once; then twice as many each time, so that there is
# always as much to send as is being planned.
FIRST_CHUNK = 64
CHUNK = 1000
PLANNING = "planning"
# Every active event is planned anew now and then, whatever the news did or did not say.
REPLAN_AFTER = timedelta(seconds=60)
# How often a cap that comes up as a slope is looked at.
RAMP_STEP = timedelta(seconds=2)


def advance(*, now: datetime) -> None:
    """Start and end the events whose time has come. Another worker may have been faster."""
    for row in sql.rows(_DUE_TO_START, {"now": now}):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.activate(row["id"], now=now)
    due_to_end = Event.objects.filter(status=Event.Status.ACTIVE, ends_at__lte=now)
    for event_id in list(due_to_end.values_list("id", flat=True)):
        with suppress(lifecycle.IllegalTransition):
            lifecycle.end(event_id, ending_as=Event.Status.COMPLETED, actor=audit.GATEWAY, now=now)


def plan_events(*, now: datetime) -> None:
    """Bring every event into effect of which something is new: its terms, its step, the time."""
    waiting = sql.rows(_TO_PLAN, {"now": now, "replan": REPLAN_AFTER})
    events = Event.objects.in_bulk([row["id"] for row in waiting])
    for row in waiting:
        with sql.only_one(f"event:{row['id']}") as had:
            if had and row["id"] in events:
                _plan_or_log(events[row["id"]], now)
    _plan_capacities(now)


def _plan_or_log(event: Event, now: datetime) -> None:
    """One event that cannot be planned must not keep the others from it. Who came to let go of
    one that was ended meanwhile found it taken, so that is done here."""
    try:
        plan_event(event, now=now)
        ended = Event.objects.filter(pk=event.pk).exclude(status=event.status).first()
        if ended and ended.ended_at:
            plan_event(ended, now=max(now, ended.ended_at))
    except Exception:
        log.exception("event.not_planned", event_id=str(event.id))


def plan_event(event: Event, *, now: datetime) -> None:
    """One pass over everything an event aims at, or no longer aims at. A pass that is cut short
    is made again, since the event's `planned_revision` moves only at its end."""
    if event.status != Event.Status.ACTIVE:
        again_at = _restore(event, now)
    elif _is_only_shared_anew(event, now):
        _share_anew(event.id, now)
        return
    else:
        again_at = _plan_active(event, now)
    # What planning itself has found to be due sooner stays.
    sql.run(_PLANNED, {"event": event.id, "revision": event.revision, "now": now,
                       "again_at": again_at})  # fmt: skip


def _plan_active(event: Event, now: datetime) -> datetime | None:
    """Returns when the next sessions begin that start at times of their own."""
    targets = list(event.targets.values_list("type", "value"))
    if event.reference_sessions is None:
        aimed_at = scope.take_reference(event.id, targets)
    else:
        aimed_at = scope.sessions_of(targets)
    sql.run("UPDATE dr_events_event SET plan_again_at = NULL WHERE id = %s", [event.id])
    begun = [session_id for session_id in aimed_at if scope.has_begun(event, session_id, now=now)]
    for chunk in _chunks(begun, whole=event.kind.is_shared or pools.any_at_all()):
        _take_in(event.id, chunk, now)
        if not Event.objects.filter(pk=event.id, status=Event.Status.ACTIVE).exists():
            # Nobody can let its sessions go while this pass holds the event.
            return None
    _let_go(event.id, now, keep=aimed_at)
    return scope.next_beginning(event, aimed_at, now=now)


def _is_only_shared_anew(event: Event, now: datetime) -> bool:
    """Whether nothing is new but how its sessions stand."""
    return (
        event.kind.is_shared
        and event.planned_revision == event.revision
        and event.planned_at is not None
        and event.planned_at > now - REPLAN_AFTER
    )


@transaction.atomic
def _share_anew(event_id: UUID, now: datetime) -> None:
    sql.one_at_a_time(PLANNING)
    plan_sessions(pools.members_of(event_id), now=now)


def _plan_capacities(now: datetime) -> None:
    """Bring every standing capacity into effect that was told, ran out, or is due."""
    for site_id in sql.ids(_CAPACITIES_TO_PLAN, {"now": now, "replan": REPLAN_AFTER}):
        with transaction.atomic():
            sql.one_at_a_time(PLANNING)
            plan_sessions(pools.at_site(site_id), now=now)
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


@transaction.atomic
def _take_in(event_id: UUID, session_ids: Sequence[int], now: datetime) -> None:
    sql.one_at_a_time(PLANNING)
    joined = enlist({(event_id, session_id) for session_id in session_ids}, now=now)
    plan_sessions(session_ids, joined=joined, now=now)


def _restore(event: Event, now: datetime) -> datetime | None:
    """Let go of everybody, at once or as a slope. Returns when there is more to do."""
    pace = facts.pace_of(event)
    if pace is None or event.restore_at_once:
        _let_go(event.id, now, keep=[])
        return None
    assert event.ended_at is not None
    reached_at = max(event.ended_at, pace.reached_at or event.ended_at)
    with transaction.atomic():
        sql.one_at_a_time(PLANNING)
        leaving = restoring.leaving(event.id, replace(pace, reached_at=reached_at), now=now)
        release({(event.id, session_id) for session_id in leaving.due}, now=now)
        sql.run(
            "UPDATE dr_events_event SET slope_reached_at = %s WHERE id = %s",
            [leaving.reached_at, event.id],
        )
    return leaving.next_at


def _let_go(event_id: UUID, now: datetime, *, keep: Sequence[int]) -> None:
    """Release whoever takes part without being aimed at, until nobody is left. Cars that came
    after `keep` was read are looked at again, since only now nobody else can plan."""
    staying = list(keep)
    for most in _sizes():
        with transaction.atomic():
            sql.one_at_a_time(PLANNING)
            found = sql.ids(_LEAVING, {"event": event_id, "keep": staying, "most": most})
            aimed_at = scope.pairs_for(found)
            release({(event_id, session_id) for session_id in found} - aimed_at, now=now)
            staying += [session_id for event, session_id in aimed_at if event == event_id]
        if len(found) < most:
            return


def enlist(pairs: Iterable[tuple[UUID, int]], *, now: datetime) -> set[int]:
    """Make each (event, session) a participation, or one again, as long as the event is active.
    Returns the sessions that had been in none of these events. Holds PLANNING."""
    event_ids, session_ids = sql.columns(sorted(pairs), 2)
    enlisted = sql.rows(_ENLIST, {"events": event_ids, "sessions": session_ids, "now": now})
    return {row["session_id"] for row in enlisted if row["is_new"]}


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
    pools.wake(event_ids, now=now)
    restore(session_ids)


def plan_news(session_ids: Sequence[int], *, now: datetime) -> None:
    """Plan these sessions, of which something changed; those whose pool was shared just before
    have their turn with it, soon, and are only judged anew. Holds PLANNING."""
    rested = pools.rested(session_ids, now=now)
    plan_sessions(rested, now=now)
    judgement.refresh(set(session_ids).difference(rested), now=now)


def plan_sessions(
    session_ids: Iterable[int], *, joined: Set[int] = frozenset(), now: datetime
) -> None:
    """Plan these sessions and all who share a cap with them, record what is wanted of each, and
    ring for the dispatcher. `joined`: those that enlist() has just made participations of. Holds
    PLANNING."""
    asked_for = set(session_ids)
    if not asked_for:
        return
    together = pools.widened(asked_for)
    parts = facts.parts_of(together)
    known = facts.of_sessions(together, now=now)
    orders, capacities = facts.orders(now=now), facts.capacities(now=now)
    planned = planner.plan(
        orders,
        [found.car(parts.get(found.session_id, ())) for found in known],
        now=now,
        capacities=capacities,
        rules=facts.rules(),
    )
    _write_plans(planned.plans, now)
    changed = _want(planned.plans, known, now)
    as_enlisted = _as_enlisted(changed & joined, planned.plans, known, parts)
    judgement.refresh((asked_for | changed) - as_enlisted, now=now)
    _note_planned(planned, orders, now)
    if changed:
        names = {found.session_id: found.external_id for found in known}
        _log_wanted(planned.plans, names, changed)
        dispatch_bell.ring()


def _as_enlisted(
    joined: Set[int],
    plans: Sequence[Plan],
    known: Sequence[Facts],
    parts: Mapping[int, Sequence[Part]],
) -> set[int]:
    """Who has joined an event, only this one, and is given a limit for it: waiting for an answer
    to a command that is due now, as enlist() has written it down."""
    return {
        plan.session_id
        for plan, found in zip(plans, known, strict=True)
        if plan.session_id in joined and plan.limit and not found.exempt_reason
        if [part.excused for part in parts.get(plan.session_id, ())] == [""]
    }


def _want(plans: Sequence[Plan], known: Sequence[Facts], now: datetime) -> set[int]:
    """Nobody else changes what is wanted, so what stays as it is need not be looked at."""
    wants = [
        Want(plan.session_id, plan.limit, plan.cause, plan.expected_relief_w)
        for plan, found in zip(plans, known, strict=True)
        if plan.limit != found.grip.wanted
    ]
    return set(limits.want(wants, now=now))


def _note_planned(planned: Planned, orders: Mapping[UUID, Order], now: datetime) -> None:
    """What the next pass has to know: how far each slope is used, and when it is due."""
    for event_id, reached_at in planned.reached.items():
        sql.run(_SLOPED, {"event": event_id, "reached_at": reached_at,
                          "again_at": planned.again_at})  # fmt: skip
    if not planned.caps:
        return
    again_at, rising = planned.again_at, []
    for event_id in {event_id for event_id, _ in planned.caps if event_id}:
        order = orders.get(event_id)
        if order and order.pace and isinstance(order.ask, Cap):
            rising.append((event_id, order.ask.cap_w, now))
            again_at = min(again_at or now + RAMP_STEP, now + RAMP_STEP)
    if rising:
        sql.run(_CLIMBED, sql.columns(rising, 3))
    pools.note_shared(
        {event_id for event_id, _ in planned.caps if event_id},
        {site_id for event_id, site_id in planned.caps if event_id is None and site_id},
        again_at=again_at,
        now=now,
    )


def _log_wanted(plans: Sequence[Plan], names: Mapping[int, str], changed: set[int]) -> None:
    by_event: dict[UUID | None, list[str]] = {}
    for plan in plans:
        if plan.session_id in changed:
            by_event.setdefault(plan.binding, []).append(names[plan.session_id])
    for event_id, sessions in by_event.items():
        what = "limits.set" if event_id else "limits.lifted"
        for start in range(0, len(sessions), CHUNK):
            some = sessions[start : start + CHUNK]
            log.info(what, event_id=event_id and str(event_id), sessions=some)


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


_DUE_TO_START = """
    SELECT id FROM dr_events_event
     WHERE status = 'scheduled' AND starts_at + LEAST(randomize_start, INTERVAL '0') <= %(now)s
"""

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

_SLOPED = """
    UPDATE dr_events_event
       SET slope_reached_at = %(reached_at)s,
           plan_again_at = LEAST(plan_again_at, %(again_at)s)
     WHERE id = %(event)s
"""

_CLIMBED = """
    UPDATE dr_events_event AS event
       SET slope_w = climbed.cap_w, slope_reached_at = climbed.at
      FROM unnest(%s::uuid[], %s::float8[], %s::timestamptz[]) AS climbed (id, cap_w, at)
     WHERE event.id = climbed.id
"""

_LEAVING = """
    SELECT session_id FROM dr_events_participation
     WHERE event_id = %(event)s AND released_at IS NULL AND session_id <> ALL(%(keep)s)
     ORDER BY session_id LIMIT %(most)s
"""

_ENLIST = """
    INSERT INTO dr_events_participation AS participation
           (event_id, session_id, state, reason, binding, joined_at, joined_late,
            joined_generation, before_w, place, attempts, was_limited, next_attempt_at,
            confirmed_unit, confirmed_value)
    SELECT event.id, session.id, 'pending', '', FALSE, %(now)s,
           session.started_at > event.activated_at, session.generation, session.power_w,
           jsonb_build_object(
               'site_name', site.name, 'timezone', site.timezone, 'grid_zone', site.grid_zone,
               'substation', site.substation, 'feeder', site.feeder),
           0, FALSE, %(now)s, session.confirmed_unit, session.confirmed_value
      FROM unnest(%(events)s::uuid[], %(sessions)s::bigint[]) AS pair (event_id, session_id)
      JOIN dr_events_event AS event ON event.id = pair.event_id AND event.status = 'active'
      JOIN chargers_session AS session ON session.id = pair.session_id
                                      AND session.ended_at IS NULL
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     -- Else the order in which reports list them would hang on how it was planned.
     ORDER BY pair.event_id, pair.session_id
        ON CONFLICT (event_id, session_id) DO UPDATE
       SET state = 'pending', reason = '', released_at = NULL, released_generation = NULL,
           was_limited = FALSE, restored_at = NULL
     WHERE participation.released_at IS NOT NULL
 RETURNING participation.session_id,
           -- No earlier version of the row has been replaced.
           participation.xmax = 0 AS is_new
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
      -- Found by their sessions: by statistics older than an event's end next to nobody waits for
      -- his proof, and going through all who do looks cheap. OFFSET keeps this apart.
      FROM (SELECT * FROM dr_events_participation WHERE session_id = ANY(%s) OFFSET 0) AS mine
      JOIN chargers_session AS session ON session.id = mine.session_id
     WHERE participation.id = mine.id
       AND mine.was_limited AND mine.restored_at IS NULL
       AND mine.released_generation IS NOT NULL
       AND (session.ended_at IS NOT NULL OR NOT session.may_be_limited
            OR session.confirmed_generation >= mine.released_generation)
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
