"""Many items, one commit.

A transaction costs much the same whether it stores one row or a hundred. So one thread commits for
all: whatever came while it was committing is its next commit, and one that comes when nobody else
does is committed at once.

    item 1     comes ──────▶ done
    item 2        comes, waits ───────────▶ done
    item 3           comes, waits ────────▶ done
    item 4                       comes, waits ─────▶ done
    committer  ──── 1 ─────▶──── 2, 3 ────▶─── 4 ──▶

Senders that keep a number of deliveries in flight send the next as soon as the last are answered.
To commit for the first of them would leave the others to the commit after it, and a commit would
store half of what it could. So after a commit for several, the next waits for as many, for an
instant at most.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import DataError, IntegrityError, connection

Item = TypeVar("Item")
Outcomes = Sequence[tuple[Item, BaseException | None]]

# What is wrong with one item, and not with all of them: a text that cannot be encoded, a value that
# the database refuses.
OF_ONE_ITEM = (DataError, IntegrityError, ValueError)

# How long a commit waits for as many as the last one had: about what it takes itself, and what a
# sender nearby needs to send the next.
COMPANY_S = 0.002
# The connection is kept for those who come soon: to take one from the pool and to see whether it is
# alive costs half as much as to store.
KEEPS_CONNECTION_S = 1


class GroupCommit(Generic[Item]):
    """Gathers items and commits them together. Both calls are made by a thread of this group's own.

    commit: stores all of them in one transaction, or raises and has stored none.
    tell: is given them afterwards, each with None, or with what has kept it from being stored.
    weight: of one item; a commit takes no more than `most` of it, but always one item.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], object],
        *,
        tell: Callable[[Outcomes[Item]], object],
        weight: Callable[[Item], int],
        most: int,
    ) -> None:
        self._commit, self._tell, self._weight, self._most = commit, tell, weight, most
        self._gathered: deque[Item] = deque()
        self._changed = threading.Condition()
        self._expected = 1
        self._committer: threading.Thread | None = None

    def submit(self, item: Item) -> None:
        """Returns at once."""
        with self._changed:
            if self._committer is None or not self._committer.is_alive():
                self._start()
            self._gathered.append(item)
            if len(self._gathered) in (1, self._expected):
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
        self._tell(self._store(self._next()))

    def _next(self) -> Sequence[Item]:
        """What is to be committed together, once there is anything."""
        with self._changed:
            if self._changed.wait_for(self._is_anybody_there, KEEPS_CONNECTION_S):
                return self._come_together()
            self._expected = 1
        _let_go()
        with self._changed:
            self._changed.wait_for(self._is_anybody_there)
            return self._come_together()

    def _come_together(self) -> Sequence[Item]:
        self._changed.wait_for(self._are_all_there, COMPANY_S)
        batch = self._take()
        self._expected = len(batch)
        return batch

    def _is_anybody_there(self) -> bool:
        return bool(self._gathered)

    def _are_all_there(self) -> bool:
        return len(self._gathered) >= self._expected

    def _take(self) -> Sequence[Item]:
        """The oldest."""
        taken = [self._gathered.popleft()]
        weight = self._weight(taken[0])
        while self._gathered and weight + self._weight(self._gathered[0]) <= self._most:
            taken.append(self._gathered.popleft())
            weight += self._weight(taken[-1])
        return taken

    def _store(self, batch: Sequence[Item]) -> Outcomes[Item]:
        """One item that is refused fails alone: halves are tried until it stands by itself."""
        try:
            self._commit(batch)
        except OF_ONE_ITEM as error:
            if len(batch) == 1:
                return [(batch[0], error)]
            middle = len(batch) // 2
            return [*self._store(batch[:middle]), *self._store(batch[middle:])]
        except BaseException as error:  # noqa: BLE001 - each is told, and the thread must not end
            _let_go()
            return [(item, error) for item in batch]
        return [(item, None) for item in batch]


def _let_go() -> None:
    """This thread's connection goes back to the pool, which throws away broken ones."""
    with contextlib.suppress(Exception):
        connection.close()
