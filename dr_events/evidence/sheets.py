"""A typed sheet of a table, of which each row goes to disk as it comes.

XlsxWriter looks at every cell by itself, and that is most of the time of a workbook with millions
of them. Here the kind of a column is known beforehand, so rows are written as they stand in the
file (ECMA-376, part 1, 18.3.1.73); all else of a sheet is XlsxWriter's, in its constant memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from dr_events.evidence.tables import Kind, Row, Table

# Excel's own limits.
MOST_ROWS, MOST_CHARACTERS = 1_048_576, 32_767
WIDTHS = {Kind.TEXT: 24, Kind.INTEGER: 12, Kind.NUMBER: 14, Kind.BOOLEAN: 10, Kind.TIME: 22}
# The day from which Excel counts, for all days after February 1900.
DAY_0, DAY = datetime(1899, 12, 30, tzinfo=UTC), timedelta(days=1)
# A text of nothing else needs no second look.
PLAIN = re.compile(r"[\w.:+,/-]+(?: [\w.:+,/-]+)*", re.ASCII)
Write = Callable[[int, Any], str]


class TypedSheet(Worksheet):
    """Rows of one table, below their header. `rows`: how many there are."""

    def begin(self, table: Table, *, head: Any, time: Any) -> None:
        """Write the header in the format `head`; times will be shown in the format `time`."""
        self.rows = 0
        self.freeze_panes(1, 0)
        for index, column in enumerate(table.columns):
            self.set_column(index, index, WIDTHS[column.kind])
            self.write_string(0, index, column.name, head)
        self._write_single_row(1)
        style = time._get_xf_index()  # noqa: SLF001
        self._writes = [
            self._write_of(column.kind, xl_col_to_name(index), style)
            for index, column in enumerate(table.columns)
        ]

    @property
    def is_full(self) -> bool:
        return self.rows + 1 == MOST_ROWS

    def add(self, row: Row) -> None:
        self.dim_rowmax = self.rows = self.rows + 1
        number = self.rows + 1
        cells = [
            write(number, value)
            for write, value in zip(self._writes, row, strict=True)
            if value is not None and value != ""
        ]
        self.fh.write(f'<row r="{number}">{"".join(cells)}</row>')

    def _write_of(self, kind: Kind, column: str, style: int) -> Write:
        """How a cell of such a column is written."""
        match kind:
            case Kind.TEXT:
                start, end = f'<c r="{column}', "</t></is></c>"
                return lambda row, text: (
                    f'{start}{row}" t="inlineStr"><is><t{self._text(text)}{end}'
                )
            case Kind.TIME:
                return lambda row, at: (
                    f'<c r="{column}{row}" s="{style}"><v>{(at - DAY_0) / DAY!r}</v></c>'
                )
            case Kind.BOOLEAN:
                return lambda row, is_so: f'<c r="{column}{row}" t="b"><v>{int(is_so)}</v></c>'
            case _:
                return lambda row, number: f'<c r="{column}{row}"><v>{number!r}</v></c>'

    def _text(self, text: str) -> str:
        if PLAIN.fullmatch(text) and "_x" not in text:
            return f">{text[:MOST_CHARACTERS]}"
        safe = self._escape_control_characters(text[:MOST_CHARACTERS])
        return f' xml:space="preserve">{escape(safe, quote=False)}'
