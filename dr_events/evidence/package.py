"""The sealed package: every table as a file, a data dictionary, a manifest and its signature, in
one ZIP. Built on disk, row by row."""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import orjson

from chargers import chain
from dr_events.evidence import keys, seal
from dr_events.evidence.computation import Terms
from dr_events.evidence.files import cells_of
from dr_events.evidence.tables import TABLES, Row, Stream, Table, dictionary

README = """This package is the evidence of one demand-response event.

dictionary.csv   what every column of every table means, and its unit
event.json       what was ordered, and when it happened
summary, sites, performance, intervals, load, baselines: computed from the other tables
participations, commands, attempts, readings, opt_outs, site_history, audit, chain: as recorded
manifest.json    SHA-256 of every file, the methods and their versions, the audit chain's head
signature.json   Ed25519 signature of manifest.json

python -m dr_events.verify PACKAGE checks all of it, and computes every figure anew.
"""


class Folder:
    """One CSV file a table, open side by side; counts its rows and hashes as it writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._writers: dict[str, Any] = {}
        self.rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        for table in TABLES:
            path = self._path / table.file_name
            file = self._stack.enter_context(path.open("w", encoding="utf-8", newline=""))
            self._writers[table.name] = csv.writer(file)
            self._writers[table.name].writerow(table.names)
            self.rows[table.file_name] = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, table: Table, row: Row) -> None:
        self._writers[table.name].writerow(cells_of(row))
        self.rows[table.file_name] += 1


def write(target: Path, stream: Stream, *, event: dict[str, Any], terms: Terms, by: str) -> None:
    """Write a package of all rows of an event to a file."""
    with tempfile.TemporaryDirectory(prefix="evidence-") as name:
        folder = Path(name)
        with Folder(folder) as tables:
            for table, row in stream:
                if table.file_name in tables.rows:
                    tables.add(table, row)
        _write_texts(folder, event)
        files = [_described(path, tables.rows) for path in sorted(folder.iterdir())]
        key_id, key = keys.newest()
        manifest = seal.manifest_of(
            terms,
            event=event,
            files=files,
            sealing=seal.Sealing(terms.as_of, by, chain.head().as_json(), key_id),
        )
        (folder / seal.MANIFEST).write_bytes(manifest)
        (folder / seal.SIGNATURE).write_bytes(seal.sign(manifest, key_id=key_id, seed=key))
        _pack(folder, target)


def _write_texts(folder: Path, event: dict[str, Any]) -> None:
    (folder / "README.txt").write_text(README)
    (folder / "event.json").write_bytes(orjson.dumps(event, option=orjson.OPT_INDENT_2))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["table", "origin", "column", "kind", "meaning"])
    writer.writerows(dictionary())
    (folder / "dictionary.csv").write_text(text.getvalue(), newline="")


def _described(path: Path, rows: dict[str, int]) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "sha256": digest, "bytes": path.stat().st_size,
            "rows": rows.get(path.name)}  # fmt: skip


def _pack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
