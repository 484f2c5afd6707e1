"""The load curve of an event: what its sessions drew, were held to, and are expected to draw.

A point is written every SLOT while the event runs or restores, and for AFTERWARDS, so that the
rebound is seen; the page reads points, never readings. For LEAD before the start the curve is that
of the places it aims at, where it aims at places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chargers import circuits, load, sql
from dr_events.models import Event

SLOT = timedelta(seconds=5)
AFTERWARDS = timedelta(minutes=10)
LEAD = timedelta(minutes=10)
MOST_POINTS = 480


@dataclass(frozen=True, slots=True)
class Point:
    """W. None is a gap: too few of the sessions were metered, or none is held."""

    at: datetime
    power_w: float | None
    limit_w: float | None = None
    expected_w: float | None = None


def sample(*, now: datetime) -> None:
    """Write this slot's point of every event that has a curve, unless it is written."""
    at = load.slot_of(now, SLOT)
    parameters = {
        "at": at,
        "since": load.oldest_reading(now),
        "restored_since": now - AFTERWARDS,
    }
    if sql.rows(_ANY, parameters)[0]["any"]:
        sql.run(_SAMPLE, parameters)


def points_of(event: Event, targets: Sequence[tuple[str, str]]) -> list[Point]:
    """The curve in at most about MOST_POINTS, in two queries; before the start what its places
    drew."""
    [span] = sql.rows(_SPAN, [event.pk])
    if span["first"] is None:
        return []
    length_s = (span["last"] - span["first"]).total_seconds()
    slots = max(1, -(-length_s // (SLOT.total_seconds() * MOST_POINTS)))
    found = sql.rows(
        _POINTS,
        {
            "event": event.pk,
            "bucket": SLOT * slots,
            "first": span["first"],
            "enough": load.ENOUGH_METERED,
        },
    )
    return [*_lead(targets, span["first"]), *(Point(**row) for row in found)]


def _lead(targets: Sequence[tuple[str, str]], first: datetime) -> list[Point]:
    if not all(type_ in ("all", "grid_zone", "substation", "feeder") for type_, _ in targets):
        return []
    types, values = sql.columns(targets, 2)
    rows: list[dict[str, Any]] = sql.rows(
        _LEAD,
        {
            "types": types,
            "values": values,
            "since": first - LEAD,
            "until": first,
            "enough": load.ENOUGH_METERED,
        },
    )
    return [Point(row["at"], row["power_w"]) for row in rows]


_HAS_CURVE = """
    (event.status IN ('active', 'restoring')
     OR (event.status IN ('completed', 'cancelled') AND event.restored_at >= %(restored_since)s))
"""

_ANY = f"SELECT EXISTS (SELECT FROM dr_events_event AS event WHERE {_HAS_CURVE}) AS any"

_FRESH_W = "(CASE WHEN session.metered_at >= %(since)s THEN session.power_w END)"

_SAMPLE = f"""
    INSERT INTO dr_events_eventload
           (event_id, at, sessions, metered, power_w, limit_w, expected_w)
    SELECT event_id, %(at)s, count(*), count(power_w),
           sum(power_w),
           CASE WHEN count(wanted_w) > 0
                THEN sum(COALESCE(wanted_w, power_w, before_w, 0)) END,
           sum(CASE WHEN wanted_w IS NULL OR state IN ('failed', 'unreachable')
                    THEN COALESCE(power_w, before_w, 0)
                    ELSE LEAST(COALESCE(before_w, wanted_w), wanted_w) END)
      FROM (
           SELECT part.event_id, part.state, part.before_w, {_FRESH_W} AS power_w,
                  {circuits.WANTED_W} AS wanted_w
             FROM dr_events_event AS event
             JOIN dr_events_participation AS part ON part.event_id = event.id
             JOIN chargers_session AS session ON session.id = part.session_id
              AND session.ended_at IS NULL
             {circuits.JOINS}
            WHERE {_HAS_CURVE}
              AND (part.released_at IS NULL OR event.status <> 'active')) AS car
     GROUP BY event_id
        ON CONFLICT DO NOTHING
"""

_SPAN = "SELECT min(at) AS first, max(at) AS last FROM dr_events_eventload WHERE event_id = %s"

_POINTS = """
    SELECT date_bin(%(bucket)s, at, %(first)s) AS at,
           avg(power_w) FILTER (WHERE metered >= %(enough)s * sessions) AS power_w,
           avg(limit_w) AS limit_w, avg(expected_w) AS expected_w
      FROM dr_events_eventload WHERE event_id = %(event)s GROUP BY 1 ORDER BY 1
"""

_LEAD = """
    SELECT at, CASE WHEN sum(metered) >= %(enough)s * sum(cars) THEN sum(power_w) END AS power_w
      FROM chargers_placeload AS place
     WHERE at >= %(since)s AND at < %(until)s
       AND EXISTS (
           SELECT FROM unnest(%(types)s::text[], %(values)s::text[]) AS target (type, value)
            WHERE target.type = 'all'
               OR (target.type = 'grid_zone' AND target.value = place.grid_zone)
               OR (target.type = 'substation' AND target.value = place.substation)
               OR (target.type = 'feeder' AND target.value = place.feeder))
     GROUP BY at ORDER BY at
"""
