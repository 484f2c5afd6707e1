"""Telling the layer above that something changed about sessions.

The rows of SessionNews are the guarantee: written in the transaction of the change, taken in the
one that has dealt with it. The signal, sent on commit, is only a doorbell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

from chargers import sql

arrived = Signal()


def tell(session_ids: Iterable[int]) -> None:
    """Note that something changed about these sessions."""
    _tell(session_ids, standing_only=False)


def tell_standing(session_ids: Iterable[int]) -> None:
    """Note that these sessions stand otherwise with their limits: an answer, a reading. What is
    wanted of a session does not change by that, unless it shares power with others."""
    _tell(session_ids, standing_only=True)


def _tell(session_ids: Iterable[int], *, standing_only: bool) -> None:
    changed = sorted(set(session_ids))
    if changed:
        sql.run(_TELL, [changed, standing_only])
        transaction.on_commit(ring)


def ring() -> None:
    """Say that there is news; whoever listens takes it with `take`."""
    arrived.send(sender=None)


@dataclass(frozen=True, slots=True)
class Taken:
    """How many pieces of news, and the sessions they are of, each once; `changed` are those of
    which more is new than their standing."""

    count: int
    session_ids: list[int]
    changed: list[int]


def take(most: int) -> Taken:
    """Take up to `most` pieces of news, in the caller's transaction: rolled back, they are
    back."""
    found = sql.rows(_TAKE, [most])
    changed = {row["session_id"] for row in found if not row["standing_only"]}
    return Taken(len(found), sorted({row["session_id"] for row in found}), sorted(changed))


_TELL = """
    INSERT INTO chargers_sessionnews (session_id, standing_only)
    SELECT unnest(%s::bigint[]), %s
"""

_TAKE = """
    DELETE FROM chargers_sessionnews
     WHERE id IN (SELECT id FROM chargers_sessionnews ORDER BY id LIMIT %s
                     FOR UPDATE SKIP LOCKED)
 RETURNING session_id, standing_only
"""
