"""The event report: one row a participation, streamed in whatever size, as JSON or CSV.

Times are UTC, units are in the names, a missing reading is empty. All of a report comes from one
snapshot of the database, so that its counts add up to its rows: targeted = pending + confirmed +
failed + unreachable + exempt + ended.

To add a field: docs/recipes/add-a-report-field.md.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

from chargers import audit
from chargers.audit import Actor
from chargers.wording import spreadsheet_text
from dr_events import figures, intake
from dr_events.models import Event

CHUNK_ROWS = 1000
TIMES = ("declared_at", "starts_at", "ends_at", "activated_at", "ended_at", "restored_at")


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the report: its name, its SQL, and what it means to an auditor."""

    name: str
    sql: str
    meaning: str


COLUMNS = (
    Column("event", "event.id", "the gateway's id of the event"),
    Column("event_external_id", "event.external_id", "the declaring system's id of the event"),
    Column("test", "event.test", "true for a drill"),
    Column("session", "session.external_id", "eDRV's id of the charging session"),
    Column("connector", "connector.external_id", "eDRV's id of the connector"),
    Column("chargestation", "station.external_id", "eDRV's id of the chargestation"),
    Column("site", "site.external_id", "eDRV's id of the location"),
    Column("site_name", "site.name", ""),
    Column("site_timezone", "site.timezone", "IANA name; all times in this report are UTC"),
    Column("grid_zone", "site.grid_zone", ""),
    Column("substation", "site.substation", ""),
    Column("feeder", "site.feeder", ""),
    Column("state", "part.state", "where the participation stands, or how it ended"),
    Column("reason", "part.reason", "why it is not confirmed, or what is odd about it"),
    Column("binding", "part.binding", "this event's limit is in force on the session now"),
    Column("joined_at", "part.joined_at", "when the session came into the event"),
    Column("joined_late", "part.joined_late", "the car plugged in while the event ran"),
    Column("before_w", "part.before_w", "metered draw when it came in, W"),
    Column("wanted_unit", "part.wanted_unit", "power (W) or current (A per phase)"),
    Column("wanted_value", "part.wanted_value", "the limit wanted last, over all events"),
    Column("wanted_at", "part.wanted_at", "since when that limit was wanted"),
    Column("confirmed_unit", "part.confirmed_unit", "power (W) or current (A per phase)"),
    Column("confirmed_value", "part.confirmed_value", "the limit the station accepted last"),
    Column("attempts", "part.attempts", "requests sent to eDRV for this participation"),
    Column("first_sent_at", "part.first_sent_at", "the first of them"),
    Column("accepted_at", "part.accepted_at", "when the station accepted the wanted limit"),
    Column(
        "seconds_to_accepted",
        "CASE WHEN part.accepted_at >= part.wanted_at THEN"
        " round(EXTRACT(EPOCH FROM part.accepted_at - part.wanted_at), 3)::float8 END",
        "from wanting the limit to its acceptance, s",
    ),
    Column("complied_at", "part.complied_at", "first reading at or under the limit after that"),
    Column(
        "seconds_to_complied",
        "CASE WHEN part.complied_at >= part.wanted_at THEN"
        " round(EXTRACT(EPOCH FROM part.complied_at - part.wanted_at), 3)::float8 END",
        "from wanting the limit to that reading, s",
    ),
    Column("metered_w", "metered.power_w", "latest metered draw while in the event, W"),
    Column("metered_at", "metered.metered_at", "when that was metered"),
    Column("session_started_at", "session.started_at", ""),
    Column("session_ended_at", "session.ended_at", ""),
    Column("released_at", "part.released_at", "when the event let go of the session"),
    Column("restored_at", "part.restored_at", "since when the absence of its limit is proven"),
)

NAMES = [column.name for column in COLUMNS]


def export(event: Event, format_: str, *, actor: Actor, now: datetime) -> Iterator[bytes]:
    """The report of an event in one of FORMATS, piece by piece. Who took it is on record."""
    audit.record(
        actor,
        "report.exported",
        at=now,
        subject="event",
        subject_ids=[event.id],
        after={"format": format_},
    )
    return FORMATS[format_].write(event)


@dataclass(frozen=True, slots=True)
class Format:
    """`write` yields the report of an event piece by piece."""

    content_type: str
    write: Callable[[Event], Iterator[bytes]]


def _write_csv(event: Event) -> Iterator[bytes]:
    yield _csv_lines([NAMES])
    with _snapshot():
        for rows in _rows(event.id):
            yield _csv_lines([_csv_cells(row) for row in rows])


def _csv_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _csv_cells(row: Sequence[Any]) -> list[Any]:
    return [_csv_cell(value) for value in row]


def _csv_cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return spreadsheet_text(value) if isinstance(value, str) else value


def _write_json(event: Event) -> Iterator[bytes]:
    with _snapshot():
        yield orjson.dumps(_head(event))[:-1] + b',"participations":['
        separator = b""
        for rows in _rows(event.id):
            objects = [_json(dict(zip(NAMES, row, strict=True))) for row in rows]
            yield separator + b",".join(objects)
            separator = b","
        yield b"]}"


def _head(event: Event) -> dict[str, Any]:
    return {
        "event": {
            "id": str(event.id),
            "external_id": event.external_id,
            "name": event.name,
            "reason": event.reason,
            "test": event.test,
            "priority": event.priority,
            "status": event.status,
            **_terms(event),
            "targets": [
                {"type": type_, "value": value or None}
                for type_, value in event.targets.values_list("type", "value")
            ],
            "declared_by": event.declared_by,
            **{name: _utc(time) if (time := getattr(event, name)) else None for name in TIMES},
        },
        "generated_at": _utc(datetime.now(UTC)),
        "counts": figures.counts_of([event.id])[event.id].as_json(),
        "reasons": figures.reasons_of(event.id),
        "seconds_to_accepted": figures.seconds_to_accepted(event.id),
        "fields": {column.name: column.meaning for column in COLUMNS if column.meaning},
    }


def _terms(event: Event) -> dict[str, Any]:
    """What was ordered, and what it was counted from."""
    content = intake.content_of(event)
    names = ("limit", "intervals", "below_minimum", "randomize_start_s", "restore")
    return {**{name: content[name] for name in names}, "reference": event.reference}


def _json(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, default=str, option=orjson.OPT_UTC_Z)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _snapshot() -> Iterator[None]:
    """Everything read inside is of one moment."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _rows(event_id: UUID) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows in chunks, from a cursor on the server: memory stays flat."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_ROWS, [event_id])
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield rows


_ROWS = f"""
    SELECT {", ".join(f"{column.sql} AS {column.name}" for column in COLUMNS)}
      FROM dr_events_participation AS part
      JOIN dr_events_event AS event ON event.id = part.event_id
      JOIN chargers_session AS session ON session.id = part.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
      LEFT JOIN chargers_connector AS connector ON connector.id = session.connector_id
      LEFT JOIN LATERAL (
           SELECT reading.power_w, reading.metered_at FROM chargers_meterreading AS reading
            WHERE reading.session_id = session.id
              AND (part.released_at IS NULL OR reading.metered_at <= part.released_at)
            ORDER BY reading.metered_at DESC LIMIT 1) AS metered ON TRUE
     WHERE part.event_id = %s ORDER BY part.id
"""

FORMATS = {
    "json": Format("application/json", _write_json),
    "csv": Format("text/csv; charset=utf-8", _write_csv),
}
