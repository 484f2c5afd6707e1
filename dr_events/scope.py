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
    return sql.ids(f"WITH {_aimed_at(targets)} {_LARGEST_FIRST}", _columns(targets))


def take_reference(event_id: UUID, targets: Sequence[Target]) -> list[int]:
    """Note what `sessions_of` the targets draw as the reference of an event that has none yet;
    returns them. In one statement: a round with 10,000 ids takes longer than finding them."""
    query = f"WITH {_aimed_at(targets)}, {_TAKE_REFERENCE} {_LARGEST_FIRST}"
    return sql.ids(query, {**_columns(targets), "event": event_id})


def is_empty(targets: Sequence[Target]) -> bool:
    """Whether none of the targets names a started session."""
    query = f"WITH {_aimed_at(targets)} SELECT EXISTS (SELECT FROM aimed_at) AS any_session"
    [found] = sql.rows(query, _columns(targets))
    return not found["any_session"]


def _columns(targets: Sequence[Target]) -> dict[str, list[str]]:
    types, values = sql.columns(targets, 2)
    return {"types": types, "values": values}


def _aimed_at(targets: Sequence[Target]) -> str:
    """SQL of the named query `aimed_at`: sessions and what they draw. Only of the types there are,
    since the plan is made for all that is in it."""
    types = sorted({type_ for type_, _ in targets})
    if "all" in types:
        ways = [_ANYWHERE]
    else:
        ways = [_BY_TYPE[type_] for type_ in types] or [f"{_ANYWHERE} AND FALSE"]
    return f"target AS (SELECT * FROM {_TARGETS}), aimed_at AS ({' UNION '.join(ways)})"


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
    types = sorted({type_ for type_, _ in targets})
    if not types:
        return []
    matched = " UNION ALL ".join(_MATCHED[type_] for type_ in types)
    found = sql.rows(f"WITH target AS (SELECT * FROM {_TARGETS}) {matched}", _columns(targets))
    known = {(row["type"], row["value"]) for row in found}
    return [target for target in targets if target not in known]


_TARGETS = "unnest(%(types)s::text[], %(values)s::text[]) AS target (type, value)"

_STARTED = "session.ended_at IS NULL AND session.status = 'started'"

_ANYWHERE = f"SELECT id, power_w FROM chargers_session AS session WHERE {_STARTED}"

# What a target of each type names, by its value.
_NAMED = {
    "grid_zone": ("chargers_site", "grid_zone"),
    "substation": ("chargers_site", "substation"),
    "feeder": ("chargers_site", "feeder"),
    "site": ("chargers_site", "external_id"),
    "chargestation": ("chargers_chargestation", "external_id"),
    "session": ("chargers_session", "external_id"),
}

_DOWN_FROM = {
    "chargers_site": """
          JOIN chargers_chargestation AS station ON station.site_id = named.id
          JOIN chargers_session AS session ON session.chargestation_id = station.id""",
    "chargers_chargestation": """
          JOIN chargers_session AS session ON session.chargestation_id = named.id""",
    "chargers_session": "JOIN chargers_session AS session ON session.id = named.id",
}

# From the few sites and stations down to their sessions, by index all the way. OFFSET 0 keeps who
# asks for one session only from being served by reading the sites until one fits.
_BY_TYPE = {
    type_: f"""
        SELECT session.id, session.power_w
          FROM (SELECT named.id FROM target JOIN {table} AS named
                    ON target.type = '{type_}' AND target.value = named.{column} OFFSET 0) AS named
          {_DOWN_FROM[table]}
         WHERE {_STARTED}"""
    for type_, (table, column) in _NAMED.items()
}

_LARGEST_FIRST = "SELECT id FROM aimed_at ORDER BY power_w DESC NULLS LAST, id"

# The draw of the whole scope before anything is limited; what is not metered is counted, not
# guessed at.
_TAKE_REFERENCE = """
    noted AS (
        UPDATE dr_events_event
           SET reference_w = drawn.power_w, reference_sessions = drawn.sessions,
               reference_unmetered = drawn.unmetered
          FROM (SELECT COALESCE(sum(power_w), 0) AS power_w, count(*) AS sessions,
                       count(*) FILTER (WHERE power_w IS NULL) AS unmetered
                  FROM aimed_at) AS drawn
         WHERE id = %(event)s AND reference_sessions IS NULL)
"""

_CALLED = {
    "chargers_site": "site", "chargers_chargestation": "station", "chargers_session": "session",
}  # fmt: skip

_IS_NAMED = " OR ".join(
    f"(target.type = '{type_}' AND target.value = {_CALLED[table]}.{column})"
    for type_, (table, column) in _NAMED.items()
)

_PAIRS = f"""
    SELECT DISTINCT event.id AS event_id, session.id AS session_id
      FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
      JOIN dr_events_event AS event ON event.status = 'active'
      JOIN dr_events_eventtarget AS target
        ON target.event_id = event.id AND (target.type = 'all' OR {_IS_NAMED})
     WHERE session.id = ANY(%s) AND {_STARTED}
"""

_MATCHED = {
    "all": """
        SELECT type, value FROM target WHERE type = 'all' AND EXISTS (SELECT FROM chargers_site)""",
    **{
        type_: f"""
        SELECT type, value FROM target WHERE type = '{type_}' AND EXISTS (
               SELECT FROM {table} AS named WHERE named.{column} = target.value)"""
        for type_, (table, column) in _NAMED.items()
    },
}
