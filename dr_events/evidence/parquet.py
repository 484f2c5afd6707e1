"""The report as one Parquet file: a row a participation, with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dr_events.evidence import seal
from dr_events.evidence.computation import Terms
from dr_events.evidence.report_table import REPORT
from dr_events.evidence.tables import Kind, Stream, Table

GROUP_ROWS = 10_000
TYPES = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TIME: pa.timestamp("us", tz="UTC"),
}


def write(target: Path, stream: Stream, *, event: dict[str, Any], terms: Terms, by: str) -> None:
    """Write the rows of the table `report`, ten thousand at a time. The event, the terms and the
    meaning of each column are in the file's metadata."""
    writer: pq.ParquetWriter | None = None
    rows: list[Any] = []
    schema: pa.Schema | None = None
    for table, row in stream:
        if table is not REPORT:
            continue
        if schema is None or writer is None:
            schema = _schema(table, event, terms)
            writer = pq.ParquetWriter(target, schema)
        rows.append(row)
        if len(rows) == GROUP_ROWS:
            writer.write_table(_table_of(rows, schema))
            rows.clear()
    if schema is None or writer is None:
        _write_empty(target, event, terms)
        return
    writer.write_table(_table_of(rows, schema))
    writer.close()


def _write_empty(target: Path, event: dict[str, Any], terms: Terms) -> None:
    """An event in which nobody took part."""
    schema = _schema(REPORT, event, terms)
    pq.write_table(schema.empty_table(), target)


def _schema(table: Table, event: dict[str, Any], terms: Terms) -> pa.Schema:
    fields = [
        pa.field(column.name, TYPES[column.kind], metadata={"meaning": column.meaning})
        for column in table.columns
    ]
    told = {
        "event": orjson.dumps(event),
        "terms": orjson.dumps(seal.terms_json(terms)),
        "software": orjson.dumps(seal.SOFTWARE),
    }
    return pa.schema(fields, metadata=told)


def _table_of(rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)],
        schema=schema,
    )
