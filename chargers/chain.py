"""The hash chain over the audit record, in the database.

A trigger links every entry when its transaction commits, one transaction after the other
(migration 0004, docs/adr/0030). `verify` walks the whole of it and names the first thing wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from chargers import sql
from chargers.canonical import ENTRY_FIELDS, GENESIS, digest_of, link

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """The last link: how many entries there are, and the hash that stands for all of them."""

    position: int
    hash: bytes

    def as_json(self) -> dict[str, Any]:
        return {"position": self.position, "hash": self.hash.hex()}


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing wrong with the chain. `what`: changed, removed, inserted or reordered."""

    what: str
    position: int | None
    entry_id: int | None
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}"


def head() -> Head:
    """The last link there is; before the first entry, position 0."""
    found = sql.rows("SELECT position, hash FROM chargers_auditlink ORDER BY position DESC LIMIT 1")
    return Head(found[0]["position"], bytes(found[0]["hash"])) if found else Head(0, GENESIS)


def hash_at(position: int) -> bytes | None:
    """The hash of one link; None where the chain does not reach so far."""
    found = sql.rows("SELECT hash FROM chargers_auditlink WHERE position = %s", [position])
    return bytes(found[0]["hash"]) if found else GENESIS if position == 0 else None


def verify(anchors: Sequence[Head] = ()) -> Finding | None:
    """The first thing wrong with the chain, or None. `anchors`: heads that were noted elsewhere,
    which the chain must still pass through."""
    with transaction.atomic():
        return _first_wrong_link() or _unlinked() or _first_wrong_anchor(anchors)


def _first_wrong_link() -> Finding | None:
    before, expected = GENESIS, 1
    for row in _rows(_LINKS):
        found = _wrong(row, before, expected)
        if found:
            return found
        before, expected = bytes(row["hash"]), expected + 1
    return None


def _wrong(row: Mapping[str, Any], before: bytes, expected: int) -> Finding | None:
    position, entry_id, digest = row["position"], row["entry_id"], bytes(row["digest"])
    if position != expected:
        return Finding("removed", expected, None, f"link {expected} is gone: {position} follows")
    if row["at"] is None:
        detail = f"audit entry {entry_id} (link {position}) is gone"
        return Finding("removed", position, entry_id, detail)
    found = digest_of(content_of(row))
    if found != digest:
        return _changed(found, position, entry_id)
    if link(before, digest) != bytes(row["hash"]):
        detail = f"link {position} (audit entry {entry_id}) does not follow from the one before it"
        return Finding("reordered", position, entry_id, detail)
    return None


def content_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an entry that are linked, from a row of SQL, where JSON is text."""
    content = {name: row[name] for name in ENTRY_FIELDS}
    for name in ("before", "after"):
        if content[name] is not None:
            content[name] = json.loads(content[name])
    return content


def _changed(found: bytes, position: int, entry_id: int) -> Finding:
    """An entry that is not what was linked: another one's content, or its own changed."""
    elsewhere = sql.ids(
        "SELECT position FROM chargers_auditlink WHERE digest = %s ORDER BY position", [found]
    )
    if elsewhere:
        detail = f"audit entry {entry_id} (link {position}) is the one of link {elsewhere[0]}"
        return Finding("reordered", position, entry_id, detail)
    detail = f"audit entry {entry_id} (link {position}) is not what was recorded"
    return Finding("changed", position, entry_id, detail)


def _unlinked() -> Finding | None:
    found = sql.ids(_UNLINKED)
    if not found:
        return None
    return Finding("inserted", None, found[0], f"audit entry {found[0]} has no link")


def _first_wrong_anchor(anchors: Sequence[Head]) -> Finding | None:
    for anchor in sorted(anchors, key=lambda one: one.position):
        found = hash_at(anchor.position)
        if found is None:
            detail = f"the chain ends before link {anchor.position}, which was anchored"
            return Finding("removed", anchor.position, None, detail)
        if found != anchor.hash:
            detail = f"link {anchor.position} is not the one that was anchored"
            return Finding("changed", anchor.position, None, detail)
    return None


def _rows(query: str) -> Iterator[dict[str, Any]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(query)
        names: list[str] = []
        while rows := cursor.fetchmany(CHUNK):
            names = names or [column.name for column in cursor.description or ()]
            for row in rows:
                yield dict(zip(names, row, strict=True))


_LINKS = """
    SELECT link.position, link.entry_id, link.digest, link.hash, entry.at, entry.actor,
           entry.origin, entry.action, entry.subject, entry.subject_ids, entry.before, entry.after
      FROM chargers_auditlink AS link
      LEFT JOIN chargers_auditentry AS entry ON entry.id = link.entry_id
     ORDER BY link.position
"""

_UNLINKED = """
    SELECT entry.id FROM chargers_auditentry AS entry
     WHERE NOT EXISTS (SELECT FROM chargers_auditlink AS link WHERE link.entry_id = entry.id)
     ORDER BY entry.id LIMIT 1
"""
