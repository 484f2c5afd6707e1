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
    changed = sorted(set(session_ids))
    if changed:
        sql.run(
            "INSERT INTO chargers_sessionnews (session_id) SELECT unnest(%s::bigint[])",
            [changed],
        )
        transaction.on_commit(ring)


def ring() -> None:
    """Say that there is news; whoever listens takes it with `take`."""
    arrived.send(sender=None)


@dataclass(frozen=True, slots=True)
class Taken:
    """How many pieces of news, and the sessions they are of, each once."""

    count: int
    session_ids: list[int]


def take(most: int) -> Taken:
    """Take up to `most` pieces of news, in the caller's transaction: rolled back, they are
    back."""
    found = sql.ids(_TAKE, [most])
    return Taken(len(found), sorted(set(found)))


_TAKE = """
    DELETE FROM chargers_sessionnews
     WHERE id IN (SELECT id FROM chargers_sessionnews ORDER BY id LIMIT %s
                     FOR UPDATE SKIP LOCKED)
 RETURNING session_id
"""
