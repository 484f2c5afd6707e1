"""Which sessions an event aims at. Only sessions that have started can be limited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from chargers import sql
from dr_events import pacing
from dr_events.models import Event

Target = tuple[str, str]


def sessions_of(targets: Sequence[Target]) -> list[int]:
    """The started sessions that any of the targets names, the largest draw first."""
    types, values = sql.columns(targets, 2)
    return sql.ids(_SESSIONS_OF_TARGETS, {"types": types, "values": values})


def is_empty(targets: Sequence[Target]) -> bool:
    """Whether none of the targets names a started session."""
    types, values = sql.columns(targets, 2)
    [found] = sql.rows(_ANY_SESSION_OF_TARGETS, {"types": types, "values": values})
    return not found["any_session"]


def metered_w(session_ids: Iterable[int]) -> float:
    """What these sessions draw together; what is not metered is left out."""
    [found] = sql.rows(
        "SELECT COALESCE(sum(power_w), 0) AS watts FROM chargers_session WHERE id = ANY(%s)",
        [list(session_ids)],
    )
    return float(found["watts"])


def pairs_for(session_ids: Iterable[int]) -> set[tuple[UUID, int]]:
    """(event, session) for every active event that aims at one of these sessions."""
    found = sql.rows(_PAIRS, [list(session_ids)])
    return {(row["event_id"], row["session_id"]) for row in found}


def begun_pairs_for(session_ids: Iterable[int], *, now: datetime) -> set[tuple[UUID, int]]:
    """Those of `pairs_for` whose own start has come, where an event starts by chance."""
    pairs = pairs_for(session_ids)
    spread = Event.objects.filter(id__in={event_id for event_id, _ in pairs}).exclude(
        randomize_start=timedelta(0)
    )
    later = {event.id: event for event in spread}
    return {
        (event_id, session_id)
        for event_id, session_id in pairs
        if event_id not in later or has_begun(later[event_id], session_id, now=now)
    }


def has_begun(event: Event, session_id: int, *, now: datetime) -> bool:
    """Whether this session's own start of the event has come."""
    return not event.randomize_start or _begins_at(event, session_id) <= now


def next_beginning(event: Event, session_ids: Sequence[int], *, now: datetime) -> datetime | None:
    """When the next of these sessions has its own start; None where all have begun."""
    if not event.randomize_start:
        return None
    starts = (_begins_at(event, session_id) for session_id in session_ids)
    return min((start for start in starts if start > now), default=None)


def _begins_at(event: Event, session_id: int) -> datetime:
    return event.starts_at + pacing.random_start(event.randomize_start, event.id, session_id)


def unmatched(targets: Sequence[Target]) -> list[Target]:
    """The targets that name nothing in the fleet, whether or not a car is charging there."""
    types, values = sql.columns(targets, 2)
    matched = sql.rows(_MATCHED, {"types": types, "values": values})
    known = {(row["type"], row["value"]) for row in matched}
    return [target for target in targets if target not in known]


_TARGETS = "unnest(%(types)s::text[], %(values)s::text[]) AS target (type, value)"

_SITE_MATCHES = """
    target.type = 'all'
    OR (target.type = 'grid_zone' AND target.value = site.grid_zone)
    OR (target.type = 'substation' AND target.value = site.substation)
    OR (target.type = 'feeder' AND target.value = site.feeder)
    OR (target.type = 'site' AND target.value = site.external_id)
"""

# From the few sites and stations down to their sessions, by index all the way.
_BY_PLACE = f"""
    WITH target AS (SELECT * FROM {_TARGETS}),
    stations AS (
        SELECT station.id FROM chargers_chargestation AS station
         WHERE station.site_id IN (
               SELECT site.id FROM chargers_site AS site JOIN target ON {_SITE_MATCHES})
        UNION
        SELECT station.id FROM chargers_chargestation AS station
          JOIN target ON target.type = 'chargestation' AND target.value = station.external_id),
    by_place AS NOT MATERIALIZED (
        SELECT session.id, session.power_w FROM chargers_session AS session
         WHERE session.ended_at IS NULL AND session.status = 'started'
           AND session.chargestation_id IN (SELECT id FROM stations)),
    by_name AS NOT MATERIALIZED (
        SELECT session.id, session.power_w FROM chargers_session AS session
          JOIN target ON target.type = 'session' AND target.value = session.external_id
         WHERE session.ended_at IS NULL AND session.status = 'started')
"""

_SESSIONS_OF_TARGETS = f"""
    {_BY_PLACE}
    SELECT id FROM (SELECT * FROM by_place UNION SELECT * FROM by_name) AS found
     ORDER BY power_w DESC NULLS LAST, id
"""

_ANY_SESSION_OF_TARGETS = f"""
    {_BY_PLACE}
    SELECT EXISTS (SELECT FROM by_name) OR EXISTS (SELECT FROM by_place) AS any_session
"""

_PAIRS = f"""
    SELECT DISTINCT event.id AS event_id, session.id AS session_id
      FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
      JOIN dr_events_event AS event ON event.status = 'active'
      JOIN dr_events_eventtarget AS target ON target.event_id = event.id AND (
           {_SITE_MATCHES}
           OR (target.type = 'chargestation' AND target.value = station.external_id)
           OR (target.type = 'session' AND target.value = session.external_id))
     WHERE session.id = ANY(%s) AND session.ended_at IS NULL AND session.status = 'started'
"""

_MATCHED = f"""
    SELECT target.type, target.value FROM {_TARGETS}
     WHERE EXISTS (SELECT FROM chargers_site AS site WHERE {_SITE_MATCHES})
        OR (target.type = 'chargestation' AND EXISTS (
            SELECT FROM chargers_chargestation WHERE external_id = target.value))
        OR (target.type = 'session' AND EXISTS (
            SELECT FROM chargers_session WHERE external_id = target.value))
"""
