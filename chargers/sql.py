"""Set-based SQL for the hot paths: one statement for hundreds of rows (measured: 99,000 rows/s
by UPDATE … FROM unnest against 1,700 by save())."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.pq import Format

from chargers.arrays import ArrayDumper

_READ_TIME = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, Format.TEXT)

# Planning a large fleet, asking eDRV for one, or packing its evidence may take so long between two
# statements.
LONGEST_THOUGHT_S = 300


@contextmanager
def _executed(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> Iterator[Any]:
    """A cursor that has."""
    with connection.cursor() as cursor:
        read_times_fast(cursor)
        # psycopg's own calls a list of small numbers int4[], and with a column of int8 PostgreSQL
        # compares that one by one instead of by hash.
        cursor.adapters.register_dumper(list, ArrayDumper)
        cursor.execute(sql, parameters)
        yield cursor


def run(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Execute; returns how many rows it touched."""
    with _executed(sql, parameters) as cursor:
        return int(cursor.rowcount)


def read_times_fast(cursor: Any) -> None:
    """Django's own loader of times is Python, and takes longer than all the rest of a row."""
    cursor.adapters.register_loader("timestamptz", _READ_TIME)


def rows(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
    """Every row as a dict by column name."""
    with _executed(sql, parameters) as cursor:
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def ids(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[int]:
    """The first column of every row."""
    with _executed(sql, parameters) as cursor:
        return [row[0] for row in cursor.fetchall()]


def texts(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[str]:
    """The first column of every row, of a query for texts."""
    with _executed(sql, parameters) as cursor:
        return [row[0] for row in cursor.fetchall()]


def columns(records: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows turned into columns, as unnest() takes them; `width` empty ones for no rows."""
    turned = [list(column) for column in zip(*records, strict=True)]
    return turned or [[] for _ in range(width)]


def lock_sessions(session_ids: Iterable[int]) -> None:
    """Lock sessions in the order of their ids. Whoever changes several of them, or their
    commands, does this first and for all of them at once, so that no two can wait for each
    other."""
    run(
        "SELECT id FROM chargers_session WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        [sorted(set(session_ids))],
    )


@contextmanager
def only_one(name: str, *, patience_s: int | None = None) -> Iterator[bool]:
    """Hold a PostgreSQL advisory lock for a whole task, over several transactions. Yields whether
    it was free. The server frees it when the connection dies, so no crash can leave it held, and
    ends a connection that says nothing while it has it for DATABASE_STANDSTILL_S, or for
    `patience_s` where the task has long waits of its own."""
    allowed_s = patience_s or settings.DATABASE_STANDSTILL_S
    had = bool(ids(_TRY_LOCK, [name, f"{allowed_s}s"])[0])
    try:
        yield had
    finally:
        if had and connection.is_usable():
            run(_UNLOCK, [name])


def think_for_long() -> None:
    """Not be taken for frozen in this transaction, however long nothing is asked in it; only where
    it keeps nobody waiting."""
    run("SELECT set_config('idle_in_transaction_session_timeout', %s, TRUE)",
        [f"{LONGEST_THOUGHT_S}s"])  # fmt: skip


def one_at_a_time(name: str) -> None:
    """Wait for an advisory lock that is held to the end of the transaction, and may think for long
    from then on without being taken for frozen."""
    run(_WAIT_FOR_LOCK, [name, f"{LONGEST_THOUGHT_S}s"])


_TRY_LOCK = """
    SELECT CASE WHEN pg_try_advisory_lock(hashtext(%s))
                THEN set_config('idle_session_timeout', %s, FALSE) IS NOT NULL ELSE FALSE END
"""

_WAIT_FOR_LOCK = """
    SELECT pg_advisory_xact_lock(hashtext(%s)),
           set_config('idle_in_transaction_session_timeout', %s, TRUE)
"""

_UNLOCK = """
    SELECT pg_advisory_unlock(hashtext(%s)), set_config('idle_session_timeout', '0', FALSE)
"""
