"""The raw rows of an event, read from the database: all of one moment, a few hundred
participations at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from chargers import chain, circuits, sql
from chargers.canonical import digest_of
from chargers.models import AuditEntry
from dr_events.content import content_of
from dr_events.evidence.computation import Terms
from dr_events.evidence.instants import seconds_of, time_of
from dr_events.evidence.intervals import (
    MAX_GAP_S,
    Reading,
    curve_of,
    cuts_between,
    intervals_of,
)
from dr_events.evidence.performance import REBOUND_S, SHOWN_BEFORE_S, Part
from dr_events.evidence.site_baselines import QUARTER_S, Occasion, days_before, seen_on
from dr_events.evidence.tables import (
    ATTEMPTS,
    AUDIT,
    CHAIN,
    COMMANDS,
    OPT_OUTS,
    PARTICIPATIONS,
    READINGS,
    SITE_HISTORY,
    Table,
)
from dr_events.models import Event

CHUNK = 500
SESSIONS_AT_ONCE = 50
TIMES = ("declared_at", "starts_at", "ends_at", "activated_at", "ended_at", "restored_at")
GAP = timedelta(seconds=MAX_GAP_S)

# A participation's circuit is that of when the session came in: connectors are corrected later, and
# what an event came to must not change with them. Those from before that was kept have none.
VOLTAGE_V = f"COALESCE((part.place ->> 'voltage_v')::float8, {circuits.VOLTAGE_V})"
PHASES = f"COALESCE((part.place ->> 'phases')::int, {circuits.PHASES})"


@contextmanager
def snapshot() -> Iterator[None]:
    """Everything read inside is of one moment. It locks nothing, so it may take its time."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            sql.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            sql.think_for_long()
        yield


def terms_of(event: Event, *, now: datetime) -> Terms:
    """By what an event's figures are computed, as configured."""
    return Terms(
        interval_minutes=settings.EVIDENCE_INTERVAL_MIN,
        methods=tuple(settings.EVIDENCE_BASELINES),
        settlement_grade=tuple(settings.EVIDENCE_SETTLEMENT_GRADE),
        as_of=now.astimezone(UTC),
        started_at=event.activated_at,
        ended_at=event.ended_at,
        holidays=settings.BASELINE_HOLIDAYS,
        ends_at=event.ends_at,
    )


def event_json(event: Event) -> dict[str, Any]:
    """What was ordered, by whom, and when it happened."""
    content = content_of(event)
    names = ("limit", "intervals", "below_minimum", "randomize_start_s", "restore")
    return {
        "id": str(event.id),
        "external_id": event.external_id,
        "name": event.name,
        "reason": event.reason,
        "test": event.test,
        "priority": event.priority,
        "status": event.status,
        **{name: content[name] for name in names},
        "reference": event.reference,
        "targets": [
            {"type": type_, "value": value or None}
            for type_, value in event.targets.values_list("type", "value")
        ],
        "declared_by": event.declared_by,
        **{name: milliseconds(at) if (at := getattr(event, name)) else None for name in TIMES},
        "amendments": [
            {"at": milliseconds(one.at), "by": one.actor, "before": one.before, "after": one.after}
            for one in _amendments(event)
        ],
    }


def _amendments(event: Event) -> QuerySet[AuditEntry]:
    """What stands above is what was ordered last; before each of these it was something else."""
    return AuditEntry.objects.filter(
        at__gte=event.declared_at,
        subject="event",
        subject_ids__contains=[str(event.pk)],
        action="event.amended",
    ).order_by("id")


def milliseconds(at: datetime) -> str:
    """2026-07-01T18:00:00.000Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parts(event: Event, *, as_of: datetime) -> Iterator[Part]:
    """Each participation with its commands, attempts and readings, in the order of their
    numbers. Memory holds a few hundred of them."""
    with connection.chunked_cursor() as cursor:
        sql.read_times_fast(cursor)
        cursor.execute(_PARTICIPATIONS, [event.id])
        names = [column.name for column in cursor.description or ()]
        while rows := cursor.fetchmany(CHUNK):
            yield from _whole([_participation(dict(zip(names, row, strict=True))) for row in rows],
                              as_of)  # fmt: skip


def _participation(row: dict[str, Any]) -> Any:
    return PARTICIPATIONS.row(*(row[name] for name in PARTICIPATIONS.names))


def _whole(rows: Sequence[Any], as_of: datetime) -> Iterator[Part]:
    wanted = [row.participation for row in rows]
    bounds = {"parts": wanted, "as_of": as_of, "before": _seconds(SHOWN_BEFORE_S) + GAP,
              "after": _seconds(REBOUND_S) + GAP}  # fmt: skip
    commands = _by_participation(COMMANDS, _COMMANDS, bounds)
    attempts = _by_participation(ATTEMPTS, _ATTEMPTS, bounds)
    readings = _by_participation(READINGS, _READINGS, bounds)
    for row in rows:
        id_ = row.participation
        yield Part(row, commands[id_], attempts[id_], readings[id_])


def _by_participation(table: Table, query: str, bounds: dict[str, Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    with connection.cursor() as cursor:
        sql.read_times_fast(cursor)
        cursor.execute(query, bounds)
        for row in cursor.fetchall():
            found[row[0]].append(table.row(*row))
    return found


def opt_outs(event: Event) -> Iterator[Any]:
    """Rows of the table `opt_outs`."""
    for row in event.opt_outs.order_by("id").values_list(
        "id", "kind", "type", "value", "reason", "declared_by", "declared_at", "withdrawn_at"
    ):
        yield OPT_OUTS.row(*row)


# --- the audit record -------------------------------------------------------------------------


def audit_rows(event: Event, command_ids: set[int]) -> Iterator[Any]:
    """Rows of the table `audit`: the entries of the event and of these commands."""
    names = {str(command_id) for command_id in command_ids}
    with connection.chunked_cursor() as cursor:
        sql.read_times_fast(cursor)
        until = event.restored_at or datetime.max.replace(tzinfo=UTC)
        cursor.execute(_AUDIT, {"event": str(event.id), "since": event.declared_at, "until": until})
        columns = [column.name for column in cursor.description or ()]
        while rows := cursor.fetchmany(CHUNK):
            for values in rows:
                row = dict(zip(columns, values, strict=True))
                if row["subject"] == "event" or not names.isdisjoint(row["subject_ids"]):
                    yield _audit_row(row)


def _audit_row(row: dict[str, Any]) -> Any:
    content = chain.content_of(row)
    assert digest_of(content) == bytes(row["digest"]), "verify_audit says more"
    texts = {name: _json_text(content[name]) for name in ("subject_ids", "before", "after")}
    return AUDIT.row(**{name: row[name] for name in AUDIT.names} | texts)


def _json_text(value: Any) -> str:
    return "" if value is None else orjson.dumps(value).decode()


def chain_rows(first: int, last: int) -> Iterator[Any]:
    """Rows of the table `chain`, from the link before `first` to `last`."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_CHAIN, [first - 1, last])
        while rows := cursor.fetchmany(CHUNK):
            for position, digest, hash_ in rows:
                yield CHAIN.row(position, bytes(digest).hex(), bytes(hash_).hex())


# --- a site's history ---------------------------------------------------------------------------


def site_history(event: Event, site: str, timezone: str, terms: Terms) -> Iterator[Any]:
    """Rows of the table `site_history` for one site: the hours around the event, on its day and
    on those before it that may serve. Before the site's first session there are no rows."""
    occasion = terms.occasion(timezone)
    if occasion is None:
        return
    seen_from = sql.rows(_FIRST_SESSION, [site])[0]["started_at"] or terms.as_of
    cuts = (occasion.start_s, occasion.end_s)
    for start_s, end_s in windows_of(occasion):
        # Of a long event what is looked at of one day runs into that of the next.
        start, end = max(time_of(start_s), seen_from), min(time_of(end_s), terms.as_of)
        if start < end:
            yield from _quarters(event, site, seconds_of(start), seconds_of(end), cuts)
            seen_from = end


def windows_of(occasion: Occasion) -> list[tuple[float, float]]:
    """When its baselines look at a site's load, from when to when, in the order of time."""
    days = (occasion.day, *days_before(occasion))
    return sorted(seen_on(day, occasion) for day in days)


def _quarters(
    event: Event, site: str, start_s: float, end_s: float, cuts: tuple[float, float]
) -> Iterator[Any]:
    whole = cuts_between(start_s, end_s, step_s=QUARTER_S, also=cuts)
    edges = [at_s for at_s in whole if at_s % QUARTER_S == 0 or at_s in cuts]
    if len(edges) < 2:
        return
    energy_wh = [0.0] * (len(edges) - 1)
    covered_s, open_s = list(energy_wh), list(energy_wh)
    bounds = {"site": site, "start": time_of(edges[0]), "end": time_of(edges[-1]), "gap": GAP,
              "event": event.id}  # fmt: skip
    for session, readings in _sessions_at(bounds):
        for index, interval in enumerate(intervals_of(curve_of(readings), edges)):
            stay_s = _overlap_s(session, interval.start_s, interval.end_s)
            energy_wh[index] += interval.energy_wh or 0.0
            covered_s[index] += min(interval.covered_s, stay_s)
            open_s[index] += stay_s
    held = [(seconds_of(row["start"]), row["end"] and seconds_of(row["end"]))
            for row in sql.rows(_OTHER_EVENTS, bounds)]  # fmt: skip
    for index, (at_s, until_s) in enumerate(pairwise(edges)):
        complete = 100 * covered_s[index] / open_s[index] if open_s[index] else 100.0
        is_held = any(a < until_s and (b is None or b > at_s) for a, b in held)
        yield SITE_HISTORY.row(
            site, time_of(at_s), time_of(until_s), round(energy_wh[index], 3),
            round(complete, 2), is_held,
        )  # fmt: skip


def _sessions_at(bounds: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Reading]]]:
    """The sessions that were there, each with its readings."""
    sessions = sql.rows(_SESSIONS_AT, bounds)
    for first in range(0, len(sessions), SESSIONS_AT_ONCE):
        some = sessions[first : first + SESSIONS_AT_ONCE]
        told = defaultdict(list)
        for row in sql.rows(_READINGS_OF, {**bounds, "sessions": [one["id"] for one in some]}):
            told[row["session_id"]].append(row)
        for session in some:
            watts_per_ampere = session["voltage_v"] * session["phases"]
            yield session, [
                Reading(seconds_of(row["metered_at"]), row["power_w"], row["current_a"],
                        watts_per_ampere)
                for row in told[session["id"]]
            ]  # fmt: skip


def _overlap_s(session: dict[str, Any], start_s: float, end_s: float) -> float:
    ended_at = session["ended_at"]
    until_s = min(end_s, seconds_of(ended_at)) if ended_at else end_s
    return max(0.0, until_s - max(start_s, seconds_of(session["started_at"])))


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


_PARTICIPATIONS = f"""
    SELECT part.id AS participation, session.external_id AS session,
           COALESCE(connector.external_id, '') AS connector,
           station.external_id AS chargestation, site.external_id AS site,
           COALESCE(part.place ->> 'site_name', site.name) AS site_name,
           COALESCE(part.place ->> 'timezone', site.timezone) AS site_timezone,
           COALESCE(part.place ->> 'grid_zone', site.grid_zone) AS grid_zone,
           COALESCE(part.place ->> 'substation', site.substation) AS substation,
           COALESCE(part.place ->> 'feeder', site.feeder) AS feeder,
           part.state, part.reason, part.joined_at, part.joined_late, part.before_w,
           COALESCE(part.wanted_unit, '') AS wanted_unit, part.wanted_value, part.wanted_at,
           COALESCE(part.confirmed_unit, '') AS confirmed_unit, part.confirmed_value,
           part.attempts, part.first_sent_at, part.accepted_at, part.complied_at,
           part.released_at, part.was_limited, part.restored_at,
           session.started_at AS session_started_at, session.ended_at AS session_ended_at,
           part.non_responsive_at,
           {VOLTAGE_V} AS voltage_v, {PHASES} AS phases
      FROM dr_events_participation AS part
      JOIN chargers_session AS session ON session.id = part.session_id
      {circuits.JOINS}
     WHERE part.event_id = %s ORDER BY part.id
"""

# From the limit that was wanted before the session came in, to what became of its release.
_OF_PART = """
      FROM dr_events_participation AS part
      JOIN chargers_command AS command ON command.session_id = part.session_id
       AND command.created_at <= COALESCE(part.released_at, %(as_of)s) + %(after)s
       AND command.generation >= part.joined_generation
"""

_COMMANDS = f"""
    SELECT part.id, command.id, command.generation, command.kind, COALESCE(command.unit, ''),
           command.value, command.cause, command.state, command.reason, command.created_at,
           command.first_sent_at, command.accepted_at, command.settled_at
      {_OF_PART}
     WHERE part.id = ANY(%(parts)s) ORDER BY part.id, command.generation
"""

_ATTEMPTS = f"""
    SELECT part.id, attempt.id, command.id, attempt.number, attempt.verb,
           COALESCE(attempt.unit, ''), attempt.value, attempt.claimed_at, attempt.sent_at,
           attempt.answered_at, attempt.http_status, COALESCE(attempt.action_id, ''),
           attempt.outcome, attempt.station_at
      {_OF_PART}
      JOIN chargers_attempt AS attempt ON attempt.command_id = command.id
     WHERE part.id = ANY(%(parts)s) ORDER BY part.id, attempt.id
"""

_READINGS = """
    SELECT part.id, reading.metered_at, reading.power_w, reading.current_a, reading.meter_wh
      FROM dr_events_participation AS part
      JOIN chargers_meterreading AS reading ON reading.session_id = part.session_id
       AND reading.metered_at >= part.joined_at - %(before)s
       AND reading.metered_at <= LEAST(COALESCE(part.released_at, %(as_of)s) + %(after)s,
                                       %(as_of)s)
     WHERE part.id = ANY(%(parts)s) ORDER BY part.id, reading.metered_at
"""

_AUDIT = """
    SELECT link.position, entry.at, entry.actor, entry.origin, entry.action, entry.subject,
           entry.subject_ids, entry.before, entry.after, entry.digest
      FROM chargers_auditentry AS entry
      JOIN chargers_auditlink AS link ON link.entry_id = entry.id
     WHERE entry.at >= %(since)s
       AND ((entry.subject = 'command' AND entry.at <= %(until)s)
            OR (entry.subject = 'event' AND entry.subject_ids @> ARRAY[%(event)s]::varchar[]))
     ORDER BY link.position
"""

_CHAIN = """
    SELECT position, digest, hash FROM chargers_auditlink
     WHERE position BETWEEN %s AND %s ORDER BY position
"""

_FIRST_SESSION = """
    SELECT min(session.started_at) AS started_at FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE site.external_id = %s
"""

_SESSIONS_AT = f"""
    SELECT session.id, session.started_at, session.ended_at, {VOLTAGE_V} AS voltage_v,
           {PHASES} AS phases
      FROM chargers_session AS session
      {circuits.JOINS}
      LEFT JOIN dr_events_participation AS part
        ON part.session_id = session.id AND part.event_id = %(event)s
     WHERE site.external_id = %(site)s AND session.started_at < %(end)s
       AND (session.ended_at IS NULL OR session.ended_at > %(start)s)
     ORDER BY session.id
"""

_READINGS_OF = """
    SELECT session_id, metered_at, power_w, current_a FROM chargers_meterreading
     WHERE session_id = ANY(%(sessions)s)
       AND metered_at BETWEEN %(start)s - %(gap)s AND %(end)s + %(gap)s
     ORDER BY session_id, metered_at
"""

_OTHER_EVENTS = """
    SELECT min(part.joined_at) AS start,
           CASE WHEN bool_or(part.released_at IS NULL) THEN NULL
                ELSE max(part.released_at) END AS end
      FROM dr_events_participation AS part
      JOIN chargers_session AS session ON session.id = part.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE site.external_id = %(site)s AND part.event_id <> %(event)s
       AND part.joined_at < %(end)s AND (part.released_at IS NULL OR part.released_at > %(start)s)
     GROUP BY part.event_id
"""
