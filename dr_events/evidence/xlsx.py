"""The evidence as a workbook: a summary with charts, then a typed sheet for each table. Rows go
to disk as they come (XlsxWriter's constant memory)."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import xlsxwriter

from dr_events.evidence import seal
from dr_events.evidence.computation import Terms
from dr_events.evidence.files import time_in
from dr_events.evidence.outcomes import Outcome
from dr_events.evidence.sheets import MOST_CHARACTERS, TypedSheet
from dr_events.evidence.tables import (
    BASELINES,
    INTERVALS,
    LOAD,
    SITES,
    SUMMARY,
    Row,
    Stream,
    Table,
    dictionary,
)

SHEETS = {"report": "Participations", SITES.name: "Sites", LOAD.name: "Load",
          INTERVALS.name: "Intervals", BASELINES.name: "Baselines"}  # fmt: skip
OPTIONS = {"constant_memory": True, "remove_timezone": True, "strings_to_formulas": False,
           "strings_to_urls": False, "strings_to_numbers": False}  # fmt: skip


def write(target: Path, stream: Stream, *, event: dict[str, Any], terms: Terms, by: str) -> None:
    """Write the workbook of an event to a file."""
    with xlsxwriter.Workbook(str(target), OPTIONS) as book:
        workbook = _Workbook(book)
        figures = {}
        for table, row in stream:
            if table is SUMMARY:
                figures[row[0]] = row
            elif table.name in SHEETS:
                workbook.add(table, row)
        workbook.write_dictionary()
        workbook.write_summary(event, terms, figures, by)


class _Workbook:
    def __init__(self, book: Any) -> None:
        self._book = book
        self._formats = {
            "head": book.add_format({"bold": True, "bottom": 1, "text_wrap": True}),
            "title": book.add_format({"bold": True, "font_size": 16}),
            "bold": book.add_format({"bold": True}),
            "time": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
        }
        self._summary = book.add_worksheet("Summary")
        self._sheets: dict[str, list[TypedSheet]] = defaultdict(list)

    def add(self, table: Table, row: Row) -> None:
        """A table that has too many rows for one sheet goes on in another."""
        sheets = self._sheets[table.name]
        if not sheets or sheets[-1].is_full:
            sheets.append(self._begun(table, len(sheets) + 1))
        sheets[-1].add(row)

    def _begun(self, table: Table, number: int) -> TypedSheet:
        name = SHEETS[table.name] if number == 1 else f"{SHEETS[table.name]} {number}"
        sheet: TypedSheet = self._book.add_worksheet(name, TypedSheet)
        sheet.begin(table, head=self._formats["head"], time=self._formats["time"])
        return sheet

    def write_dictionary(self) -> None:
        sheet = self._book.add_worksheet("Dictionary")
        sheet.set_column(0, 3, 20)
        sheet.set_column(4, 4, 90)
        for index, name in enumerate(("table", "origin", "column", "kind", "meaning")):
            sheet.write_string(0, index, name, self._formats["head"])
        for number, row in enumerate(dictionary(), start=1):
            sheet.write_row(number, 0, row)

    def write_summary(
        self, event: dict[str, Any], terms: Terms, figures: dict[str, Row], by: str
    ) -> None:
        """From top to bottom: the sheet is written as it is read."""
        sheet, formats = self._summary, self._formats
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, 24)
        sheet.set_column(2, 2, 8)
        sheet.write_string(0, 0, event["name"][:MOST_CHARACTERS], formats["title"])
        facts = _facts(event, terms, by)
        for number, (name, value) in enumerate(facts, start=2):
            sheet.write_string(number, 0, name, formats["bold"])
            self._fact(number, value)
        first = len(facts) + 3
        for number, (name, value, unit) in enumerate(figures.values(), start=first):
            sheet.write_string(number, 0, name.replace("_", " "))
            if value is not None:
                sheet.write_number(number, 1, value)
            sheet.write_string(number, 2, unit)
        self._add_charts(first + 1)

    def _fact(self, number: int, value: Any) -> None:
        if isinstance(value, datetime):
            self._summary.write_datetime(number, 1, value, self._formats["time"])
        else:
            self._summary.write_string(number, 1, str(value)[:MOST_CHARACTERS])

    def _add_charts(self, first_outcome: int) -> None:
        self._summary.insert_chart("E2", self._load_chart())
        outcomes = self._book.add_chart({"type": "bar"})
        last = first_outcome + len(Outcome) - 1
        outcomes.add_series(
            {
                "name": "Participations by outcome",
                "categories": ["Summary", first_outcome, 0, last, 0],
                "values": ["Summary", first_outcome, 1, last, 1],
                "data_labels": {"value": True},
            }
        )
        outcomes.set_title({"name": "Participations by outcome"})
        outcomes.set_legend({"none": True})
        outcomes.set_y_axis({"reverse": True})
        outcomes.set_size({"width": 760, "height": 320})
        self._summary.insert_chart("E20", outcomes)

    def _load_chart(self) -> Any:
        chart = self._book.add_chart({"type": "line"})
        load = self._sheets[LOAD.name]
        rows, name = (load[0].rows, load[0].name) if load else (1, "Summary")
        at, kw = LOAD.names.index("starts_at"), LOAD.names.index("metered_kw")
        chart.add_series(
            {
                "name": "metered kW",
                "categories": [name, 1, at, rows, at],
                "values": [name, 1, kw, rows, kw],
                "line": {"width": 2},
            }
        )
        chart.set_title({"name": "Load of all participations, kW"})
        chart.set_x_axis({"date_axis": False, "num_format": "hh:mm", "name": "UTC"})
        chart.set_y_axis({"min": 0})
        chart.show_blanks_as("gap")
        chart.set_legend({"none": True})
        chart.set_size({"width": 760, "height": 340})
        return chart


def _facts(event: dict[str, Any], terms: Terms, by: str) -> list[tuple[str, Any]]:
    scope = ", ".join(f"{one['type']} {one['value'] or ''}".strip() for one in event["targets"])
    told = [
        ("event", event["external_id"] or event["id"]),
        ("drill", "yes" if event["test"] else "no"),
        ("reason", event["reason"]),
        ("status", event["status"]),
        ("scope", scope),
        ("limit", orjson.dumps(event["limit"]).decode()),
        ("declared by", event["declared_by"]),
        *((name.replace("_", " ") + ", UTC", time_in(event[name]) or "") for name in TIMES),
        ("baseline", "meter before / meter after; others in Baselines"),
        ("interval, minutes", terms.interval_minutes),
        ("made by", by),
        ("made at, UTC", terms.as_of),
        ("software", seal.SOFTWARE["version"]),
    ]
    return [(name, value) for name, value in told if value not in ("", None)]


TIMES = ("declared_at", "starts_at", "ends_at", "activated_at", "ended_at", "restored_at")
