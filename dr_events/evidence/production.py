"""All rows of an event's evidence as one stream, raw and computed, in one pass over the database.
Every file format is made of these rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dr_events.evidence import gathering
from dr_events.evidence.computation import Terms, computed
from dr_events.evidence.performance import Part
from dr_events.evidence.tables import (
    ATTEMPTS,
    AUDIT,
    CHAIN,
    COMMANDS,
    OPT_OUTS,
    PARTICIPATIONS,
    RAW,
    READINGS,
    SITE_HISTORY,
    Row,
    Table,
)
from dr_events.models import Event

Progress = Callable[[int], None]
PROGRESS_EVERY = 500


class Production:
    """One pass. Raw rows are handed out as soon as they have been read, each before what is
    computed from it. `counts`: how many there were of each raw table. Has to be used inside
    `gathering.snapshot`."""

    def __init__(self, event: Event, terms: Terms, progress: Progress) -> None:
        self._event, self._terms, self._progress = event, terms, progress
        self._read: deque[tuple[Table, Row]] = deque()
        self._command_ids: set[int] = set()
        self.counts: dict[str, int] = {table.name: 0 for table in RAW}

    def rows(self, *, intervals: bool = True) -> Iterator[tuple[Table, Row]]:
        """Every row of every table, those of a participation together; `intervals`, which are
        most of them, only where they are wanted."""
        tables = computed(self._terms, self._parts(), self._history, intervals=intervals)
        for found in tables:
            yield from self._taken()
            yield found
        yield from self._taken()
        for row in gathering.opt_outs(self._event):
            yield self._counted(OPT_OUTS, row)
        yield from self._audit()

    def _taken(self) -> Iterator[tuple[Table, Row]]:
        while self._read:
            yield self._read.popleft()

    def _parts(self) -> Iterator[Part]:
        parts = gathering.parts(self._event, as_of=self._terms.as_of)
        for number, part in enumerate(parts, start=1):
            self._keep(PARTICIPATIONS, [part.row])
            self._keep(COMMANDS, part.commands)
            self._keep(ATTEMPTS, part.attempts)
            self._keep(READINGS, part.readings)
            self._command_ids.update(command.command for command in part.commands)
            if number % PROGRESS_EVERY == 0:
                self._progress(number)
            yield part

    def _history(self, site: str, timezone: str) -> Sequence[Any]:
        rows = list(gathering.site_history(self._event, site, timezone, self._terms))
        self._keep(SITE_HISTORY, rows)
        return rows

    def _counted(self, table: Table, row: Row) -> tuple[Table, Row]:
        self.counts[table.name] += 1
        return table, row

    def _keep(self, table: Table, rows: Sequence[Any]) -> None:
        self.counts[table.name] += len(rows)
        self._read.extend((table, row) for row in rows)

    def _audit(self) -> Iterator[tuple[Table, Row]]:
        positions = []
        for row in gathering.audit_rows(self._event, self._command_ids):
            positions.append(row.position)
            yield self._counted(AUDIT, row)
        if positions:
            for row in gathering.chain_rows(positions[0], positions[-1]):
                yield self._counted(CHAIN, row)
