"""Rows of a table as cells of a CSV file, and back without loss. Pure.

UTF-8, comma, CRLF, a header (RFC 4180). Times are UTC to the microsecond; a missing value is
empty. A text that a spreadsheet would take for a formula, or that begins with an apostrophe, has
one apostrophe put before it, which reading takes away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from dr_events.evidence.tables import Kind, Row, Table

MARKED = ("=", "+", "-", "@", "\t", "\r", "'")


class BadFile(ValueError):
    """A file of a package does not have the form it should; the message says where."""


def cells_of(row: Sequence[Any]) -> list[str]:
    """A row as it is written."""
    return [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(MARKED) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return time_text(value)
    return repr(value)


def time_text(at: datetime) -> str:
    """2026-07-01T18:00:00.000000Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_in(text: str | None) -> datetime | None:
    """The inverse of `time_text`; None for nothing."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def rows_in(table: Table, lines: Iterable[list[str]]) -> Iterator[Any]:
    """The rows of a table's file, whose first line is the header. Columns that it is too old to
    have are empty. Raises BadFile."""
    kinds = [column.kind for column in table.columns]
    rest = iter(lines)
    lacking = [""] * _lacking(table, next(rest, []))
    for number, cells in enumerate(rest, start=2):
        try:
            yield table.row(*_values(kinds, [*cells, *lacking]))
        except ValueError as error:
            raise BadFile(f"{table.file_name}: line {number}: {error}") from error


def _lacking(table: Table, header: list[str]) -> int:
    """How many of the last columns are not there."""
    for lacking in range(table.added + 1):
        if header == table.names[: len(table.names) - lacking]:
            return lacking
    raise BadFile(f"{table.file_name}: the header is not that of the table")


def _values(kinds: Sequence[Kind], cells: Sequence[str]) -> Row:
    return tuple(_value(kind, cell) for kind, cell in zip(kinds, cells, strict=True))


def _value(kind: Kind, cell: str) -> Any:
    if kind is Kind.TEXT:
        return cell[1:] if cell.startswith("'") else cell
    if not cell:
        return None
    match kind:
        case Kind.INTEGER:
            return int(cell)
        case Kind.NUMBER:
            return float(cell)
        case Kind.BOOLEAN:
            return {"true": True, "false": False}[cell]
        case Kind.TIME:
            return time_in(cell)
