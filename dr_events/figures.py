"""Counts over participations. Set-based: one query for however many events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chargers import load, pace, sql


@dataclass(frozen=True, slots=True)
class Counts:
    """targeted = pending + confirmed + failed + unreachable + exempt + ended; complied and
    restored are counted beside that."""

    targeted: int = 0
    pending: int = 0
    confirmed: int = 0
    failed: int = 0
    unreachable: int = 0
    exempt: int = 0
    ended: int = 0
    complied: int = 0
    restored: int = 0

    def as_json(self) -> dict[str, int]:
        return asdict(self)


def counts_of(event_ids: Iterable[UUID]) -> dict[UUID, Counts]:
    """Counts by event; all zero for events without participations."""
    wanted = list(event_ids)
    if not wanted:
        return {}
    counted = {row.pop("event_id"): Counts(**row) for row in sql.rows(_COUNTS, [wanted])}
    return {event_id: counted.get(event_id, Counts()) for event_id in wanted}


def reasons_of(event_id: UUID) -> list[dict[str, Any]]:
    """How many participations carry each reason: `state`, `reason`, `sessions`."""
    return sql.rows(_REASONS, [event_id])


def waiting_for_edrv(event_ids: Iterable[UUID]) -> dict[UUID, int]:
    """How many participations are unreachable for no fault but eDRV's, by event; one outage of
    its is one trouble, not as many as there are sessions."""
    rows = sql.rows(_WAITING_FOR_EDRV, [list(event_ids), list(pace.REASONS)])
    return {row["event_id"]: row["sessions"] for row in rows}


def seconds_to_accepted(event_id: UUID) -> dict[str, float | None]:
    """p50 and p95 of the seconds from wanting a limit to the station's acceptance."""
    return sql.rows(_SECONDS_TO_ACCEPTED, [event_id])[0]


def seconds_to_complied(event_id: UUID) -> dict[str, float | None]:
    """p50 and p95 of the seconds from wanting a limit to the first reading at or under it."""
    return sql.rows(_SECONDS_TO_COMPLIED, [event_id])[0]


def power_of(event_id: UUID, *, now: datetime) -> dict[str, Any]:
    """Metered watts of the event's sessions: `before_w`, when each came into the event, and
    `now_w`, of those that are still charging; `unmetered` of these have no reading that still
    says so."""
    return sql.rows(_POWER, {"event": event_id, "since": load.oldest_reading(now)})[0]


_COUNTS = """
    SELECT event_id, count(*) AS targeted,
           count(*) FILTER (WHERE state = 'pending') AS pending,
           count(*) FILTER (WHERE state = 'confirmed') AS confirmed,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'unreachable') AS unreachable,
           count(*) FILTER (WHERE state = 'exempt') AS exempt,
           count(*) FILTER (WHERE state = 'ended') AS ended,
           count(complied_at) FILTER (
               WHERE state NOT IN ('pending', 'failed', 'unreachable')) AS complied,
           count(restored_at) AS restored
      FROM dr_events_participation WHERE event_id = ANY(%s) GROUP BY event_id
"""

_REASONS = """
    SELECT state, reason, count(*) AS sessions FROM dr_events_participation
     WHERE event_id = %s AND reason <> '' GROUP BY state, reason ORDER BY 3 DESC, 1, 2
"""

_WAITING_FOR_EDRV = """
    SELECT event_id, count(*) AS sessions FROM dr_events_participation
     WHERE event_id = ANY(%s) AND state = 'unreachable' AND reason = ANY(%s) GROUP BY event_id
"""

_SECONDS_TO_ACCEPTED = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) AS p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY took_s) AS p95
      FROM (SELECT EXTRACT(EPOCH FROM accepted_at - wanted_at)::float8 AS took_s
              FROM dr_events_participation
             WHERE event_id = %s AND accepted_at >= wanted_at) AS accepted
"""

_SECONDS_TO_COMPLIED = _SECONDS_TO_ACCEPTED.replace("accepted_at", "complied_at")

_POWER = """
    SELECT sum(participation.before_w) AS before_w,
           sum(session.power_w) FILTER (WHERE session.metered_at >= %(since)s) AS now_w,
           count(session.id) - count(session.power_w)
               FILTER (WHERE session.metered_at >= %(since)s) AS unmetered
      FROM dr_events_participation AS participation
      LEFT JOIN chargers_session AS session
        ON session.id = participation.session_id AND session.ended_at IS NULL
     WHERE participation.event_id = %(event)s
"""
