"""Canonical JSON and the hash chain over it: the same bytes and the same hash for the same content,
whoever computes them. Pure; knows no models, so that a verifier without a database can use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import rfc8785

# What stands before the first link.
GENESIS = bytes(32)
ENTRY_FIELDS = ("at", "actor", "origin", "action", "subject", "subject_ids", "before", "after")


def canonical(content: Any) -> bytes:
    """RFC 8785 (JSON Canonicalization Scheme): keys in order, no blanks, numbers as ECMAScript
    writes them. Numbers beyond 2⁵³, which it excludes, are written as the nearest double."""
    return rfc8785.dumps(_plain(content))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(found) for found in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return float(value)
    return value


def digest_of(entry: Mapping[str, Any]) -> bytes:
    """SHA-256 of an audit entry: of the canonical JSON of its ENTRY_FIELDS, its time in UTC to the
    microsecond."""
    content = {name: entry[name] for name in ENTRY_FIELDS}
    return hashlib.sha256(canonical({**content, "at": instant(entry["at"])})).digest()


def instant(at: datetime) -> str:
    """2026-07-01T18:00:00.000000Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def link(previous: bytes, digest: bytes) -> bytes:
    """The hash of the next link: SHA-256 of the hash before it and the entry's digest."""
    return hashlib.sha256(previous + digest).digest()
