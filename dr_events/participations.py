"""Who takes part in an event, what is wanted of each session, and the proof that no limit is left.

From sessions to limits: participations → facts → plan → chargers.limits.want(). Everything that
plans does so inside `planning()`, so a plan is never written over a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from chargers import circuits, limits, sql
from chargers.limits import Want
from chargers.tasks import dispatch_bell
from dr_events import facts, judgement, planner, pools
from dr_events.facts import Facts
from dr_events.orders import Cap, Order, Part
from dr_events.planner import Plan, Planned

log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]

# How often a cap that comes up as a slope is looked at.
RAMP_STEP = timedelta(seconds=2)
# So many sessions are named by one line of the log.
NAMED_AT_ONCE = 1000


@contextmanager
def planning(clock: Clock) -> Iterator[datetime]:
    """A transaction in which nobody else plans. Gives the time, at which is looked only now: who
    planned for the moment at which it began to wait would undo what others have planned since."""
    with transaction.atomic():
        sql.one_at_a_time("planning")
        yield clock()


def enlist(pairs: Iterable[tuple[UUID, int]], *, now: datetime) -> set[int]:
    """Make each (event, session) a participation, or one again, as long as the event is active.
    Returns the sessions that had been in none of these events. Inside `planning()`."""
    event_ids, session_ids = sql.columns(sorted(pairs), 2)
    enlisted = sql.rows(_ENLIST, {"events": event_ids, "sessions": session_ids, "now": now})
    return {row["session_id"] for row in enlisted if row["is_new"]}


def release(pairs: Iterable[tuple[UUID, int]], *, now: datetime) -> None:
    """End these participations: what other events want of the sessions is wanted now, or
    nothing. Inside `planning()`."""
    event_ids, session_ids = sql.columns(sorted(pairs), 2)
    if not session_ids:
        return
    # A claim between reading whether a limit may be there and wanting it gone would go unproven.
    sql.lock_sessions(session_ids)
    judgement.refresh(session_ids)
    sql.run(_RELEASE, {"events": event_ids, "sessions": session_ids, "now": now})
    plan_sessions(session_ids, now=now)
    sql.run(_NOTE_GENERATION, {"events": event_ids, "sessions": session_ids})
    pools.wake(event_ids, now=now)
    restore(session_ids)


def plan_news(session_ids: Sequence[int], *, now: datetime) -> None:
    """Plan these sessions, of which something changed; those whose pool was shared just before
    have their turn with it, soon, and are only judged anew. Inside `planning()`."""
    rested = pools.rested(session_ids, now=now)
    plan_sessions(rested, now=now)
    judgement.refresh(set(session_ids).difference(rested))


def plan_sessions(
    session_ids: Iterable[int], *, joined: Set[int] = frozenset(), now: datetime
) -> None:
    """Plan these sessions and all who share a cap with them, record what is wanted of each, and
    ring for the dispatcher. `joined`: those that enlist() has just made participations of. Inside
    `planning()`."""
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
    judgement.refresh((asked_for | changed) - as_enlisted)
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
        for start in range(0, len(sessions), NAMED_AT_ONCE):
            some = sessions[start : start + NAMED_AT_ONCE]
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

_ENLIST = f"""
    INSERT INTO dr_events_participation AS participation
           (event_id, session_id, state, reason, binding, joined_at, joined_late,
            joined_generation, before_w, place, attempts, was_limited, next_attempt_at,
            confirmed_unit, confirmed_value)
    SELECT event.id, session.id, 'pending', '', FALSE, %(now)s,
           session.started_at > event.activated_at, session.generation, session.power_w,
           jsonb_build_object(
               'site_name', site.name, 'timezone', site.timezone, 'grid_zone', site.grid_zone,
               'substation', site.substation, 'feeder', site.feeder,
               'voltage_v', {circuits.VOLTAGE_V}, 'phases', {circuits.PHASES}),
           0, FALSE, %(now)s, session.confirmed_unit, session.confirmed_value
      FROM unnest(%(events)s::uuid[], %(sessions)s::bigint[]) AS pair (event_id, session_id)
      JOIN dr_events_event AS event ON event.id = pair.event_id AND event.status = 'active'
      JOIN chargers_session AS session ON session.id = pair.session_id
                                      AND session.ended_at IS NULL
      {circuits.JOINS}
     -- Else the order in which reports list them would hang on how it was planned.
     ORDER BY pair.event_id, pair.session_id
        -- Who is back has proven nothing yet: how its first stay was answered is in its commands.
        -- When it came in, and what it drew then, stays: no later draw is without the event.
        ON CONFLICT (event_id, session_id) DO UPDATE
       SET state = 'pending', reason = '', released_at = NULL, released_generation = NULL,
           was_limited = FALSE, restored_at = NULL, wanted_unit = NULL, wanted_value = NULL,
           wanted_at = NULL, confirmed_unit = EXCLUDED.confirmed_unit,
           confirmed_value = EXCLUDED.confirmed_value, accepted_at = NULL, complied_at = NULL,
           over_limit_since = NULL
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
           state = CASE WHEN state = 'exempt' THEN state
                        WHEN gone.reason <> 'event_ended' THEN 'ended'
                        WHEN state = 'pending' AND accepted_at IS NOT NULL THEN 'confirmed'
                        WHEN state = 'pending' THEN 'ended' ELSE state END,
           reason = CASE WHEN state = 'exempt' THEN participation.reason
                         WHEN gone.reason <> 'event_ended' THEN gone.reason
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
