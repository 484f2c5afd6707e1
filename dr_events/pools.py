"""Which sessions have to be planned together, since they share a cap, and how often that is done.

Everything here belongs inside `participations.planning()`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from chargers import sql
from dr_events.models import SiteCapacity
from dr_events.orders import EventId, SiteId

# A pool is shared anew at most so often, the larger the more seldom: news of it comes in showers.
REST = timedelta(seconds=1)
REST_A_SESSION = timedelta(milliseconds=0.2)


def widened(session_ids: Iterable[int]) -> list[int]:
    """These sessions and all that share a cap with one of them, or with one of those."""
    found = set(session_ids)
    fresh, events, sites = set(found), set[EventId](), set[SiteId]()
    while fresh:
        more_events = set(_event_ids(fresh)) - events
        more_sites = set(_site_ids(fresh)) - sites
        if not more_events and not more_sites:
            break
        events |= more_events
        sites |= more_sites
        fresh = set(_members(more_events, more_sites)) - found
        found |= fresh
    return sorted(found)


def any_at_all() -> bool:
    """Whether any two sessions may share anything."""
    [found] = sql.rows(_ANY)
    return bool(found["found"])


def members_of(event_id: UUID) -> list[int]:
    """The sessions that take part in an event."""
    return _members([event_id], [])


def at_site(site_id: SiteId) -> list[int]:
    """The sessions that are charging at a site."""
    return _members([], [site_id])


def rested(session_ids: Sequence[int], *, now: datetime) -> list[int]:
    """Those of these sessions that can be planned now: none of their pools was shared just before.
    Of the others the pools are to be shared when they have rested."""
    resting = sql.rows(
        _RESTING, {"sessions": list(session_ids), "now": now, "rest": REST, "each": REST_A_SESSION}
    )
    for column, statement in (("event_id", _WAKE_EVENTS), ("site_id", _WAKE_CAPACITIES)):
        wake = {row[column]: row["rested_at"] for row in resting if row[column] is not None}
        if wake:
            sql.run(statement, sql.columns(wake.items(), 2))
    tired = {row["session_id"] for row in resting}
    return [session_id for session_id in session_ids if session_id not in tired]


def wake(event_ids: Collection[EventId], *, now: datetime) -> None:
    """Somebody has left these events: what he had is to be shared among the others."""
    sql.run(_WAKE_EVENTS, [list(event_ids), [now] * len(event_ids)])


def note_shared(
    event_ids: Collection[EventId],
    site_ids: Collection[SiteId],
    *,
    again_at: datetime | None,
    now: datetime,
) -> None:
    """These pools were shared now, and are to be again then."""
    sql.run(_SHARED_EVENTS, [now, again_at, list(event_ids)])
    SiteCapacity.objects.filter(site_id__in=site_ids).update(planned_at=now, plan_again_at=again_at)


def note_empty(site_id: SiteId, *, now: datetime) -> None:
    """A site where nobody is charging was looked at now."""
    SiteCapacity.objects.filter(site_id=site_id).exclude(planned_at=now).update(
        planned_at=now, plan_again_at=None
    )


def _event_ids(session_ids: Collection[int]) -> list[UUID]:
    return [row["event_id"] for row in sql.rows(_EVENTS, [list(session_ids)])]


def _site_ids(session_ids: Collection[int]) -> list[int]:
    return sql.ids(_SITES, [list(session_ids)])


def _members(event_ids: Collection[UUID], site_ids: Collection[int]) -> list[int]:
    return sql.ids(_MEMBERS, {"events": list(event_ids), "sites": list(site_ids)})


_CAP_KINDS = "('per_site', 'per_event', 'relief')"

_ANY = f"""
    SELECT EXISTS (SELECT FROM dr_events_event
                    WHERE status = 'active' AND limit_kind IN {_CAP_KINDS})
        OR EXISTS (SELECT FROM dr_events_sitecapacity) AS found
"""

_EVENTS = f"""
    SELECT DISTINCT participation.event_id
      FROM dr_events_participation AS participation
      JOIN dr_events_event AS event ON event.id = participation.event_id
     WHERE participation.session_id = ANY(%s) AND participation.released_at IS NULL
       AND event.status = 'active' AND event.limit_kind IN {_CAP_KINDS}
"""

_SITES = """
    SELECT DISTINCT capacity.site_id
      FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN dr_events_sitecapacity AS capacity ON capacity.site_id = station.site_id
     WHERE session.id = ANY(%s)
"""

_MEMBERS = """
    SELECT session_id FROM dr_events_participation
     WHERE event_id = ANY(%(events)s) AND released_at IS NULL
     UNION
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
     WHERE station.site_id = ANY(%(sites)s)
       AND session.ended_at IS NULL AND session.status = 'started'
"""

_RESTING = f"""
    SELECT participation.session_id, event.id AS event_id, NULL::bigint AS site_id,
           event.planned_at + %(rest)s
               + %(each)s * COALESCE(event.reference_sessions, 0) AS rested_at
      FROM dr_events_participation AS participation
      JOIN dr_events_event AS event ON event.id = participation.event_id
     WHERE participation.session_id = ANY(%(sessions)s) AND participation.released_at IS NULL
       AND event.status = 'active' AND event.limit_kind IN {_CAP_KINDS}
       AND event.planned_at + %(rest)s
           + %(each)s * COALESCE(event.reference_sessions, 0) > %(now)s
     UNION ALL
    SELECT session.id, NULL, capacity.site_id, capacity.planned_at + %(rest)s
      FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN dr_events_sitecapacity AS capacity ON capacity.site_id = station.site_id
     WHERE session.id = ANY(%(sessions)s) AND capacity.planned_at + %(rest)s > %(now)s
"""

_WAKE_EVENTS = """
    UPDATE dr_events_event AS event
       SET plan_again_at = LEAST(event.plan_again_at, pool.rested_at)
      FROM unnest(%s::uuid[], %s::timestamptz[]) AS pool (id, rested_at)
     WHERE event.id = pool.id AND event.status = 'active'
"""

_WAKE_CAPACITIES = """
    UPDATE dr_events_sitecapacity AS capacity
       SET plan_again_at = LEAST(capacity.plan_again_at, pool.rested_at)
      FROM unnest(%s::bigint[], %s::timestamptz[]) AS pool (site_id, rested_at)
     WHERE capacity.site_id = pool.site_id
"""

_SHARED_EVENTS = """
    UPDATE dr_events_event SET planned_at = %s, plan_again_at = %s WHERE id = ANY(%s)
"""
