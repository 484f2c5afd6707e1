"""Reading a package: its raw tables as participations, its computed ones as cells. Pure.

The raw tables lie in the order of participations, so several files are read side by side and
memory holds one participation at a time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import ZipFile

from dr_events.evidence.files import rows_in
from dr_events.evidence.performance import Part
from dr_events.evidence.tables import (
    ATTEMPTS,
    COMMANDS,
    PARTICIPATIONS,
    READINGS,
    SITE_HISTORY,
    Table,
)

PIECE = 1 << 16


class Grouped:
    """Rows in the order of a key, taken key by key."""

    def __init__(self, rows: Iterator[Any], key: Callable[[Any], Any]) -> None:
        self._rows, self._key = rows, key
        self._next = next(rows, None)

    def take(self, key: Any) -> list[Any]:
        """The rows of this key, if they are the next."""
        taken = []
        while self._next is not None and self._key(self._next) == key:
            taken.append(self._next)
            self._next = next(self._rows, None)
        return taken

    @property
    def rest(self) -> Any:
        """The next row that nobody has taken."""
        return self._next


class Package:
    """An opened package. Reading raises BadFile, KeyError for a file that is not there, and
    whatever a damaged archive makes `zipfile` raise."""

    def __init__(self, archive: ZipFile) -> None:
        self.archive = archive

    def bytes_of(self, name: str) -> bytes:
        return self.archive.read(name)

    def pieces_of(self, name: str) -> Iterator[bytes]:
        with self.archive.open(name) as file:
            while piece := file.read(PIECE):
                yield piece

    def lines_of(self, table: Table) -> Iterator[list[str]]:
        """The cells of a table's file, the header first."""
        with self.archive.open(table.file_name) as file:
            yield from csv.reader(io.TextIOWrapper(file, "utf-8", newline=""), strict=True)

    def rows_of(self, table: Table) -> Iterator[Any]:
        return rows_in(table, self.lines_of(table))

    def parts(self) -> Iterator[Part]:
        """Each participation with its commands, attempts and readings."""
        commands, attempts, readings = (
            Grouped(self.rows_of(table), _participation) for table in (COMMANDS, ATTEMPTS, READINGS)
        )
        for row in self.rows_of(PARTICIPATIONS):
            id_ = row.participation
            yield Part(row, commands.take(id_), attempts.take(id_), readings.take(id_))
        for table, grouped in ((COMMANDS, commands), (ATTEMPTS, attempts), (READINGS, readings)):
            if grouped.rest is not None:
                raise ValueError(f"{table.file_name}: rows of no participation, or out of order")

    def history(self) -> Callable[[str, str], list[Any]]:
        """Gives a site's rows of `site_history`, for sites in the order of their ids."""
        grouped = Grouped(self.rows_of(SITE_HISTORY), lambda row: row.site)
        return lambda site, _timezone: grouped.take(site)


def _participation(row: Any) -> Any:
    return row.participation
