"""The event report: one row a participation, in whatever size and in several formats.

Times are UTC, units are in the names, a missing reading is empty. All of a report comes from one
snapshot of the database, so that its counts add up to its rows: targeted = pending + confirmed +
failed + unreachable + exempt + ended.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import UUID

import orjson
from django.db import connection

from chargers import audit, chain, sql
from chargers.audit import Actor
from chargers.wording import FORMULA_BEGINS
from dr_events import figures
from dr_events.evidence import keys, seal
from dr_events.evidence.baselines import METER_BEFORE
from dr_events.evidence.computation import Terms
from dr_events.evidence.gathering import (
    PHASES,
    VOLTAGE_V,
    event_json,
    milliseconds,
    snapshot,
    terms_of,
)
from dr_events.evidence.production import Production, Progress
from dr_events.evidence.report_table import COLUMNS, FIGURE_NAMES, FIGURES, REPORT, Column
from dr_events.evidence.tables import PARTICIPATIONS, PERFORMANCE, Kind, Stream, Table
from dr_events.models import Event

CHUNK_ROWS = 1000
PIECE_BYTES = 1 << 16
# Two figures of one report that a reader would take for the same.
TOTALS = {
    "counts.complied": "confirmed, exempt or ended sessions with a reading at or under the limit"
    " that their station had accepted, also where they left or drew more later",
    "performance.summary.complied": "sessions with the outcome complied; outcomes exclude each"
    " other, so who left, or drew more in the end, is not among them",
}


def note_export(
    event: Event, format_: str, *, actor: Actor, now: datetime, sha256: str | None = None
) -> None:
    """Put on record who took a report, or asked for one that has no SHA-256 yet."""
    audit.record(
        actor,
        "report.exported",
        at=now,
        subject="event",
        subject_ids=[event.id],
        after={"format": format_, **({"sha256": sha256} if sha256 else {})},
    )


@dataclass(frozen=True, slots=True)
class Order:
    """One report that was asked for: of which event, by whom, as of when. `progress` is told the
    number of participations done."""

    event: Event
    actor: Actor
    now: datetime
    progress: Progress = lambda _: None


@dataclass(frozen=True, slots=True)
class Made:
    """A report as a file without a name, which is gone once it has been read; and its manifest,
    signed."""

    file: IO[bytes]
    size_bytes: int
    sha256: str
    manifest: bytes

    def __iter__(self) -> Iterator[bytes]:
        with self.file as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


@dataclass(frozen=True, slots=True)
class Format:
    """`write` writes the report to a file, whose name is to end in `suffix`, and tells how many
    rows of each raw table it is made of. `methods`: the baselines in it; None for all that are
    configured."""

    content_type: str
    suffix: str
    write: Callable[[Order, Terms, Path], Mapping[str, int]]
    methods: tuple[str, ...] | None = None

    def terms(self, order: Order) -> Terms:
        """By what the figures of this format are computed."""
        terms = terms_of(order.event, now=order.now)
        return terms if self.methods is None else replace(terms, methods=self.methods)


def make(order: Order, format_: str) -> Made:
    """The report as a whole file: nobody is sent the first half of one that then fails, and who
    reads it slowly keeps no connection to the database."""
    found = FORMATS[format_]
    file = tempfile.NamedTemporaryFile(prefix="report-")  # noqa: SIM115  it outlives this
    with snapshot():
        order.event.refresh_from_db()
        terms, head = found.terms(order), chain.head()
        inputs = found.write(order, terms, Path(file.name))
        told = event_json(order.event)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size_bytes = file.tell()
    file.seek(0)
    key_id, seed = keys.newest()
    manifest = seal.sealed(
        seal.of_event(told, terms),
        file={
            "name": file_name(order.event.id, format_),
            "format": format_,
            "sha256": sha256,
            "bytes": size_bytes,
        },
        inputs=inputs,
        sealing=seal.Sealing(terms.as_of, order.actor.name, head.as_json(), key_id),
        seed=seed,
    )
    return Made(file, size_bytes, sha256, manifest)


def file_name(event_id: UUID, format_: str) -> str:
    return f"event-{event_id}.{FORMATS[format_].suffix}"


def _write_csv(order: Order, _: Terms, target: Path) -> Mapping[str, int]:
    with target.open("wb") as file, connection.cursor() as cursor:
        query = cursor.mogrify(_CSV, [order.event.id])
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as lines:
            # A message is a row, and ends as PostgreSQL ends lines.
            file.writelines(b"%b\r\n" % line[:-1] for line in lines)
        return {PARTICIPATIONS.name: cursor.rowcount}


def _write_json(order: Order, terms: Terms, target: Path) -> Mapping[str, int]:
    """Every participation with its figures; then those of the event."""
    rest: dict[str, list[Any]] = {"summary": [], "sites": [], "load": []}
    separator = b""
    production = Production(order.event, terms, order.progress)
    with target.open("wb") as file:
        file.write(orjson.dumps(_head(order.event))[:-1] + b',"participations":[')
        for table, row in _stream(production, order.event.id, intervals=False):
            if table is REPORT:
                file.write(separator + _json(row._asdict()))
                separator = b","
            elif table.name in rest:
                rest[table.name].append(row)
        file.write(b'],"performance":' + _json(_performance(terms, rest)) + b"}")
    return production.counts


def _performance(terms: Terms, rows: dict[str, list[Any]]) -> dict[str, Any]:
    """The event's figures, by site and over time."""
    is_good = METER_BEFORE.id in terms.settlement_grade
    return {
        "interval_minutes": terms.interval_minutes,
        "method": METER_BEFORE.as_json(is_settlement_grade=is_good),
        "summary": {row.figure: {"value": row.value, "unit": row.unit} for row in rows["summary"]},
        "sites": [row._asdict() for row in rows["sites"]],
        "load": [row._asdict() for row in rows["load"]],
    }


def _stream(
    production: Production, event_id: UUID, *, intervals: bool
) -> Iterator[tuple[Table, Any]]:
    """All rows of the evidence and, after each of `performance`, the report's own row of that
    participation with its figures. Both come in the order of participations."""
    facts = (row for rows in _rows(event_id) for row in rows)
    for table, row in production.rows(intervals=intervals):
        yield table, row
        if table is PERFORMANCE:
            figures_ = (getattr(row, name) for name in FIGURE_NAMES)
            yield REPORT, REPORT.row(*next(facts), *figures_)


def _head(event: Event) -> dict[str, Any]:
    meanings = {column.name: column.meaning for column in COLUMNS if column.meaning}
    meanings |= {column.name: column.meaning for column in FIGURES} | TOTALS
    return {
        "event": event_json(event),
        "generated_at": milliseconds(datetime.now(UTC)),
        "counts": figures.counts_of([event.id])[event.id].as_json(),
        "reasons": figures.reasons_of(event.id),
        "seconds_to_accepted": figures.seconds_to_accepted(event.id),
        "fields": meanings,
    }


def _json(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_UTC_Z)


def _rows(event_id: UUID) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows in chunks, from a cursor on the server: memory stays flat."""
    with connection.chunked_cursor() as cursor:
        sql.read_times_fast(cursor)
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
           SELECT COALESCE(reading.power_w, reading.current_a * {VOLTAGE_V} * {PHASES}) AS power_w,
                  reading.metered_at
             FROM chargers_meterreading AS reading
            WHERE reading.session_id = session.id AND reading.metered_at >= part.joined_at
              AND (part.released_at IS NULL OR reading.metered_at <= part.released_at)
              AND (reading.power_w IS NOT NULL OR reading.current_a IS NOT NULL)
            ORDER BY reading.metered_at DESC LIMIT 1) AS metered ON TRUE
     WHERE part.event_id = %s ORDER BY part.id
"""


def _as_csv(column: Column) -> str:
    """The SQL of a cell of the CSV file, from the column's value under its own name. What is
    missing is empty, and so is an empty text: COPY would quote that."""
    name = column.name
    match column.kind:
        case Kind.TIME:
            return f"""to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
        case Kind.BOOLEAN:
            return f"{name}::text"
        case Kind.NUMBER:
            return _NUMBER.format(name)
        case Kind.INTEGER:
            return name
        case Kind.TEXT:
            return _TEXT.format(name)


# Marked as `chargers.wording.spreadsheet_text` does.
_FORMULA_BEGINS = ", ".join(f"chr({ord(begin)})" for begin in FORMULA_BEGINS)
_TEXT = f"""
    CASE WHEN left({{0}}, 1) IN ({_FORMULA_BEGINS}) THEN '''' || {{0}} ELSE NULLIF({{0}}, '') END"""
# As Python and JavaScript write numbers: 4200.0, and no exponent below 1e16.
_NUMBER = """
    CASE WHEN abs({0}) < 1e16
         THEN CASE WHEN abs({0}) < 1e15 THEN {0}::text ELSE {0}::text::numeric::text END
              || CASE WHEN {0} = trunc({0}) THEN '.0' ELSE '' END
         ELSE {0}::text END"""
_CSV = f"""
    SELECT {", ".join(f"{_as_csv(column)} AS {column.name}" for column in COLUMNS)}
      FROM ({_ROWS}) AS facts
"""


class Build(Protocol):
    """Writes a file from the rows of the evidence."""

    def __call__(
        self, target: Path, stream: Stream, *, event: dict[str, Any], terms: Terms, by: str
    ) -> None: ...


def _built_by(module: str, *, intervals: bool) -> Callable[[Order, Terms, Path], Mapping[str, int]]:
    """What a module of the evidence builds. It is imported when it is needed: some libraries are
    slow to load. `intervals`: it has them."""

    def write(order: Order, terms: Terms, target: Path) -> Mapping[str, int]:
        build: Build = import_module(f"dr_events.evidence.{module}").write
        production = Production(order.event, terms, order.progress)
        stream = _stream(production, order.event.id, intervals=intervals)
        build(target, stream, event=event_json(order.event), terms=terms, by=order.actor.name)
        return production.counts

    return write


# The baseline that the figures of every participation rest on.
ITS_OWN = (METER_BEFORE.id,)
FORMATS = {
    "json": Format("application/json", "json", _write_json, ITS_OWN),
    "csv": Format("text/csv; charset=utf-8", "csv", _write_csv, ()),
    "xlsx": Format(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
        _built_by("xlsx", intervals=True),
    ),
    "pdf": Format("application/pdf", "pdf", _built_by("pdf", intervals=False)),
    "parquet": Format(
        "application/vnd.apache.parquet",
        "parquet",
        _built_by("parquet", intervals=False),
        ITS_OWN,
    ),
    "package": Format("application/zip", "zip", _built_by("package", intervals=True)),
}
