"""Lists as PostgreSQL's array literals, written fast: hundreds of rows go into one statement as
columns, and psycopg's own writer asks of each element by regular expression whether to quote it.

The literal has no type of its own: the statement gives it one by `%s::bigint[]` or `id = ANY(%s)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import DataError
from psycopg.adapt import Dumper


class ArrayDumper(Dumper):
    """Lists of one dimension, of whole numbers, numbers, truth values, texts, bytes, times,
    durations and UUIDs, with None anywhere. Raises TypeError for others, DataError for a text with
    a NUL."""

    def dump(self, obj: list[Any]) -> bytes:
        text = "{" + _written(obj) + "}"
        if "\0" in text:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return text.encode()


def _written(elements: Sequence[Any]) -> str:
    """Most columns are texts with nothing in them to escape, which are written all at once."""
    if elements and all(issubclass(type_, str) for type_ in set(map(type, elements))):
        joined = '","'.join(elements)
        if "\\" not in joined and joined.count('"') == 2 * (len(elements) - 1):
            return f'"{joined}"'
    return ",".join([_WRITERS[type(element)](element) for element in elements])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Writers(dict[type, Callable[[Any], str]]):
    """By type; a subclass (an enumeration of texts, say) is written as what it is derived from."""

    def __missing__(self, type_: type) -> Callable[[Any], str]:
        for base, write in list(self.items()):
            if issubclass(type_, base):
                self[type_] = write
                return write
        raise TypeError(f"no array of {type_.__name__}")


_WRITERS = _Writers(
    {
        bool: str,
        int: str,
        float: repr,
        str: lambda text: _quoted(str(text)),
        datetime: lambda time: f'"{time.isoformat()}"',
        timedelta: lambda duration: f'"{duration.total_seconds():.6f} s"',
        UUID: str,
        bytes: lambda octets: f'"\\\\x{octets.hex()}"',
        type(None): lambda _: "NULL",
    }
)
