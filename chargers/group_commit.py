"""Many items, one commit.

A transaction costs much the same whether it stores one row or a hundred. So one thread commits for
all: whatever came while it was committing is its next commit, and one that comes when nobody else
does is committed at once.

    item 1     comes ──────▶ done
    item 2        comes, waits ───────────▶ done
    item 3           comes, waits ────────▶ done
    item 4                       comes, waits ─────▶ done
    committer  ──── 1 ─────▶──── 2, 3 ────▶─── 4 ──▶
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import DataError, IntegrityError, connection

Item = TypeVar("Item")

# What is wrong with one item, and not with all of them: a text that cannot be encoded, a value that
# the database refuses.
OF_ONE_ITEM = (DataError, IntegrityError, ValueError)

# The connection is kept for those who come soon: to take one from the pool and to see whether it is
# alive costs half as much as to store.
KEEPS_CONNECTION_S = 1


# Told once an item is committed (None), or why it is not.
Done = Callable[[BaseException | None], object]


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    """One item, and who waits for it."""

    item: Item
    weight: int
    done: Done
    error: BaseException | None = None


class GroupCommit(Generic[Item]):
    """Gathers items and commits them together.

    commit: stores all of them in one transaction, or raises and has stored none. It is called by
    a thread of this group's own.
    weight: of one item; a commit takes no more than `most` of it, but always one item.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], object],
        *,
        weight: Callable[[Item], int],
        most: int,
    ) -> None:
        self._commit, self._weight, self._most = commit, weight, most
        self._gathered: deque[_Waiting[Item]] = deque()
        self._changed = threading.Condition()
        self._committer: threading.Thread | None = None

    def submit(self, item: Item, done: Done) -> None:
        """Returns at once; `done` is called by the committing thread, which must not be kept."""
        one = _Waiting(item, self._weight(item), done)
        with self._changed:
            if self._committer is None or not self._committer.is_alive():
                self._start()
            self._gathered.append(one)
            if len(self._gathered) == 1:
                self._changed.notify()

    def _start(self) -> None:
        """At the first need: a thread does not survive a fork."""
        committer = threading.Thread(target=self._run, name="committer", daemon=True)
        committer.start()
        self._committer = committer

    def _run(self) -> None:
        while True:
            self._commit_next()

    def _commit_next(self) -> None:
        batch = self._next()
        self._store(batch)
        for one in batch:
            one.done(one.error)

    def _next(self) -> list[_Waiting[Item]]:
        """What is to be committed together, once there is anything."""
        with self._changed:
            if self._changed.wait_for(self._is_anybody_there, KEEPS_CONNECTION_S):
                return self._take()
        _let_go()
        with self._changed:
            self._changed.wait_for(self._is_anybody_there)
            return self._take()

    def _is_anybody_there(self) -> bool:
        return bool(self._gathered)

    def _take(self) -> list[_Waiting[Item]]:
        """The oldest."""
        taken = [self._gathered.popleft()]
        weight = taken[0].weight
        while self._gathered and weight + self._gathered[0].weight <= self._most:
            taken.append(self._gathered.popleft())
            weight += taken[-1].weight
        return taken

    def _store(self, batch: Sequence[_Waiting[Item]]) -> None:
        """One item that is refused fails alone: halves are tried until it stands by itself."""
        try:
            self._commit([one.item for one in batch])
        except OF_ONE_ITEM as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
        except BaseException as error:  # noqa: BLE001 - each is told, and the thread must not end
            for one in batch:
                one.error = error
            _let_go()


def _let_go() -> None:
    """This thread's connection goes back to the pool, which throws away broken ones."""
    with contextlib.suppress(Exception):
        connection.close()
