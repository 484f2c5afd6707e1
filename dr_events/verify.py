"""Verify evidence on any machine, without the gateway or its database:

    python -m dr_events.verify PACKAGE [--public-key KEY]
    python -m dr_events.verify FILE --manifest MANIFEST [--public-key KEY]

Of a package it checks the signature, every file's digest, the audit entries against their hash
chain, and computes every figure anew from the raw rows inside. Of any other export, with the
manifest beside it, it checks that this is the file that was signed. Names each difference; exit
status 1 if there is one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from chargers.canonical import ENTRY_FIELDS, GENESIS, canonical, digest_of, link
from dr_events.evidence import seal
from dr_events.evidence.computation import computed
from dr_events.evidence.files import BadFile, cells_of
from dr_events.evidence.package_reader import Grouped, Package
from dr_events.evidence.seal import MANIFEST, SIGNATURE
from dr_events.evidence.tables import AUDIT, CHAIN, COMPUTED, TABLES, Row, Table

MOST_SAID = 20
UNREADABLE = (BadFile, zipfile.BadZipFile, zlib.error, csv.Error, KeyError, ValueError, TypeError,
              AttributeError, IndexError, NotImplementedError, EOFError, RuntimeError)  # fmt: skip


def findings_of(path: Path, *, trusted: Sequence[str] = ()) -> Iterator[str]:
    """Everything that is wrong with a package, in words. Nothing else is looked at in one whose
    files are not those that were signed."""
    try:
        with zipfile.ZipFile(path) as archive:
            package = Package(archive)
            broken = False
            for finding in _seal_findings(package, trusted):
                broken = True
                yield finding
            if not broken:
                manifest = orjson.loads(package.bytes_of(MANIFEST))
                yield from _count_findings(package, manifest)
                yield from _chain_findings(package, manifest)
                yield from _with_mends(manifest, _figure_findings(package, manifest))
    except UNREADABLE as error:
        yield f"cannot be read: {type(error).__name__}: {error}"


# --- the seal ---------------------------------------------------------------------------------


def _seal_findings(package: Package, trusted: Sequence[str]) -> Iterator[str]:
    names = package.archive.namelist()
    if len(set(names)) != len(names):
        yield "a file is in the archive twice"
    manifest_bytes = package.bytes_of(MANIFEST)
    manifest = orjson.loads(manifest_bytes)
    wrong = seal.wrong_with_signature(
        manifest_bytes,
        package.bytes_of(SIGNATURE),
        key_id=manifest["signed_with"],
        trusted=trusted,
    )
    if wrong:
        yield wrong
    if manifest["format"] != seal.FORMAT:
        yield f"the format is {manifest['format']}, this verifier reads {seal.FORMAT}"
    yield from seal.unknown_methods(manifest)
    yield from _file_findings(package, manifest, set(names) - {MANIFEST, SIGNATURE})


def _file_findings(package: Package, manifest: Any, present: set[str]) -> Iterator[str]:
    said = {file["name"]: file for file in manifest["files"]}
    for name in sorted(said.keys() - present):
        yield f"{name} is missing"
    for name in sorted(present - said.keys()):
        yield f"{name} is not in the manifest"
    for name in sorted(said.keys() & present):
        if seal.sha256_of(package.pieces_of(name)) != said[name]["sha256"]:
            yield f"{name} is not what was signed"


def _count_findings(package: Package, manifest: Any) -> Iterator[str]:
    said = {file["name"]: file["rows"] for file in manifest["files"]}
    for table in TABLES:
        found = sum(1 for _ in package.lines_of(table)) - 1
        if found != said[table.file_name]:
            yield f"{table.file_name} has {found} rows, not {said[table.file_name]}"


# --- the chain --------------------------------------------------------------------------------


def _chain_findings(package: Package, manifest: Any) -> Iterator[str]:
    """Whether each audit entry is the one that was linked, and the links follow each other."""
    audit = Grouped(package.rows_of(AUDIT), lambda row: row.position)
    before: Any = None
    for row in package.rows_of(CHAIN):
        digest, hash_ = bytes.fromhex(row.digest), bytes.fromhex(row.hash)
        if before is None and row.position > 1:
            pass  # the link before the first entry: what the first one is made on
        elif row.position != (before.position + 1 if before else 1):
            yield f"chain: link {row.position} does not come next"
        elif link(bytes.fromhex(before.hash) if before else GENESIS, digest) != hash_:
            yield f"chain: link {row.position} does not follow from the one before it"
        for entry in audit.take(row.position):
            if digest_of(_entry(entry)) != digest:
                yield f"audit: entry {entry.position} is not the one that was linked"
        before = row
    if audit.rest is not None:
        yield f"audit: entry {audit.rest.position} has no link, or is out of order"
    yield from _head_findings(before, manifest["chain"])


def _head_findings(last: Any, head: Any) -> Iterator[str]:
    if last is None:
        return
    if last.position > head["position"]:
        yield "chain: it goes beyond the head in the manifest"
    if last.position == head["position"] and last.hash != head["hash"]:
        yield "chain: it does not end in the head in the manifest"


def _entry(row: Any) -> dict[str, Any]:
    texts = {
        name: orjson.loads(text) if (text := getattr(row, name)) else None
        for name in ("subject_ids", "before", "after")
    }
    return {name: getattr(row, name) for name in ENTRY_FIELDS} | texts


# --- the figures ------------------------------------------------------------------------------


def _figure_findings(package: Package, manifest: Any) -> Iterator[str]:
    """Every figure, computed anew and compared cell by cell."""
    told = {table.name: package.lines_of(table) for table in COMPUTED}
    for table in COMPUTED:
        if next(told[table.name], None) != table.names:
            yield f"{table.file_name}: the header is not that of the table"
    terms = seal.terms_in(manifest)
    for table, row in computed(terms, package.parts(), package.history()):
        cells = next(told[table.name], None)
        if cells is None:
            yield f"{table.name}: {_named(table, cells_of(row))} is missing"
        elif cells != (ours := cells_of(row)):
            yield from _differences(table, cells, ours)
    for table in COMPUTED:
        for cells in told[table.name]:
            yield f"{table.name}: {_named(table, cells)} does not follow from the raw rows"


def _with_mends(manifest: Any, findings: Iterator[str]) -> Iterator[str]:
    """Figures of an earlier version of a method are held against those of this one: most are the
    same. Where one is not, the mends are told first."""
    for finding in islice(findings, 1):
        yield from seal.mended_methods(manifest)
        yield finding
    yield from findings


def _differences(table: Table, cells: Row | list[str], ours: list[str]) -> Iterator[str]:
    if len(cells) != len(ours):
        yield f"{table.name}: {_named(table, ours)} has {len(cells)} cells"
        return
    for name, said, found in zip(table.names, cells, ours, strict=True):
        if said != found:
            yield f"{table.name}: {_named(table, ours)}: {name} is {found}, not {said}"


def _named(table: Table, cells: Sequence[str]) -> str:
    return " ".join(
        f"{name} {cell}" for name, cell in islice(zip(table.names, cells, strict=False), table.key)
    )


# --- any export, by the manifest beside it ------------------------------------------------------


def export_findings_of(path: Path, manifest: Path, *, trusted: Sequence[str] = ()) -> Iterator[str]:
    """Everything that is wrong with an export, in words."""
    try:
        document = manifest.read_bytes()
        sealed = orjson.loads(document)
        said = sealed["manifest"]
        if canonical(sealed) != document:
            yield "the manifest is not in its canonical form"
        wrong = seal.wrong_with_signature(
            canonical(said), canonical(sealed["signature"]), key_id=said["signed_with"],
            trusted=trusted,
        )  # fmt: skip
        if wrong:
            yield wrong
        if said["format"] != seal.EXPORT_FORMAT:
            yield f"the format is {said['format']}, this verifier reads {seal.EXPORT_FORMAT}"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != said["file"]["sha256"]:
                yield f"{path.name} is not the file that was signed"
    except UNREADABLE as error:
        yield f"cannot be read: {type(error).__name__}: {error}"


# --- the command ------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m dr_events.verify", description="Verify a package of evidence, or an export."
    )
    parser.add_argument("file", type=Path, help="a package; with --manifest, any export")
    parser.add_argument("--manifest", type=Path, help="the manifest that came with the export")
    parser.add_argument(
        "--public-key",
        action="append",
        default=[],
        help="the utility's public key in hexadecimal digits; may be given several times",
    )
    options = parser.parse_args(words)
    for path in filter(None, (options.file, options.manifest)):
        if not path.is_file():
            parser.error(f"there is no file {path}")
    return _report(options.file, options.manifest, options.public_key)


def _report(path: Path, manifest: Path | None, trusted: Sequence[str]) -> int:
    said = 0
    for finding in (
        export_findings_of(path, manifest, trusted=trusted)
        if manifest
        else findings_of(path, trusted=trusted)
    ):
        said += 1
        if said <= MOST_SAID:
            print(f"WRONG  {finding}")
    if said:
        print(f"NOT VERIFIED: {said} findings in {path.name}")
        return 1
    if manifest:
        _tell_export(orjson.loads(manifest.read_bytes()))
    else:
        with zipfile.ZipFile(path) as archive:
            _tell(Package(archive))
    if not trusted:
        print("  Compare that key with the one the utility gave you, or pass it as --public-key.")
    return 0


def _tell_export(sealed: dict[str, Any]) -> None:
    manifest, signature = sealed["manifest"], sealed["signature"]
    if "season" in manifest:
        _tell_season(manifest)
    else:
        _tell_event(manifest)
    inputs = ", ".join(f"{count:,} {name}" for name, count in manifest["inputs"].items() if count)
    print(f"  the file is the {manifest['file']['format']} that was signed, made of: {inputs}")
    print("  its figures are not computed anew here: the package of an event is for that")
    _tell_seal(manifest, signature)


def _tell(package: Package) -> None:
    manifest = orjson.loads(package.bytes_of(MANIFEST))
    signature = orjson.loads(package.bytes_of(SIGNATURE))
    rows = {file["name"]: file["rows"] for file in manifest["files"]}
    _tell_event(manifest)
    print(f"  {len(rows)} files as signed; every figure follows from the raw rows:")
    for name in sorted(name for name, count in rows.items() if count is not None):
        print(f"    {name:<20} {rows[name]:>10,} rows")
    print("  audit entries on their chain")
    _tell_seal(manifest, signature)


def _tell_event(manifest: dict[str, Any]) -> None:
    event = manifest["event"]
    print(f"VERIFIED  event {event['external_id'] or event['id']}: {event['name']}")
    _tell_making(manifest)
    terms = orjson.dumps(manifest["terms"]).decode()
    print(f"  terms {terms}")


def _tell_season(manifest: dict[str, Any]) -> None:
    season = manifest["season"]
    print(f"VERIFIED  season from {season['from']} to {season['to']}")
    _tell_making(manifest)


def _tell_making(manifest: dict[str, Any]) -> None:
    version = manifest["software"]["version"]
    print(f"  made at {manifest['made_at']} by {manifest['made_by']}, software {version}")


def _tell_seal(manifest: dict[str, Any], signature: dict[str, Any]) -> None:
    chain = manifest["chain"]
    print(f"  head of the audit chain then: {chain['position']} {chain['hash']}")
    print(f"  signed with key {signature['key_id']}, public key {signature['public_key']}")


if __name__ == "__main__":
    sys.exit(main())
