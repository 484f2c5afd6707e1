"""Many threads, one commit.

A transaction costs much the same whether it stores one row or a hundred. Whoever comes while
nothing is being committed commits at once, by himself. Whoever comes while another commits waits;
the first of those who wait commits for all of them as soon as the other is through. So nobody
waits for company, and the more come the fewer commits each of them costs.

    thread 1  ── commits 1 ──▶ done
    thread 2      comes, waits ──▶ commits 2, 3, 4 ──▶ done
    thread 3        comes, waits ────────────────────▶ done
    thread 4           comes, waits ─────────────────▶ done
    thread 5                          comes, waits ──▶ commits 5 …
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import DataError, IntegrityError

Item = TypeVar("Item")

# What is wrong with one item, and not with all of them: a text that cannot be encoded, a value that
# the database refuses.
OF_ONE_ITEM = (DataError, IntegrityError, ValueError)


class NotCommitted(Exception):
    """What was added is not stored, as far as anybody knows; `__cause__` is why."""


class _Waiting(Generic[Item]):
    """One item, and the thread that stands there with it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.leads = False
        self.error: BaseException | None = None
        self._called = threading.Lock()
        self._called.acquire()

    def wait(self) -> None:
        self._called.acquire()

    def call(self) -> None:
        self._called.release()


class GroupCommit(Generic[Item]):
    """Gathers the items of all threads and commits them together.

    commit: stores all of them in one transaction, or raises and has stored none.
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
        self._lock = threading.Lock()
        self._gathered: deque[_Waiting[Item]] = deque()
        self._is_busy = False

    def add(self, item: Item) -> None:
        """Returns once the item is committed. Raises NotCommitted."""
        one = _Waiting(item)
        self._queue(one)
        try:
            if not one.leads:
                one.wait()
        except BaseException:
            self._leave(one)
            raise
        if one.leads:
            self._lead()
        if one.error:
            raise NotCommitted(type(one.error).__name__) from one.error

    def _queue(self, one: _Waiting[Item]) -> None:
        with self._lock:
            self._gathered.append(one)
            one.leads = not self._is_busy
            self._is_busy = True

    def _leave(self, one: _Waiting[Item]) -> None:
        """A thread that ends while it waits must not be the one all others wait for."""
        with self._lock:
            if one in self._gathered:
                self._gathered.remove(one)
        if one.leads:
            self._hand_over()

    def _lead(self) -> None:
        with self._lock:
            batch = self._take()
        try:
            self._store(batch)
        except BaseException as error:
            _fail(batch, error)
            raise
        finally:
            self._hand_over()
            for one in batch:
                one.call()

    def _hand_over(self) -> None:
        with self._lock:
            following = self._gathered[0] if self._gathered else None
            self._is_busy = following is not None
            if following:
                following.leads = True
        if following:
            following.call()

    def _take(self) -> list[_Waiting[Item]]:
        """The oldest, among them whoever leads."""
        taken = [self._gathered.popleft()]
        weight = self._weight(taken[0].item)
        while self._gathered:
            weight += self._weight(self._gathered[0].item)
            if weight > self._most:
                break
            taken.append(self._gathered.popleft())
        return taken

    def _store(self, batch: Sequence[_Waiting[Item]]) -> None:
        """One item that is refused fails alone: halves are tried until it stands by itself."""
        try:
            self._commit([one.item for one in batch])
        except OF_ONE_ITEM as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
        except Exception as error:  # noqa: BLE001 - each of them is told
            _fail(batch, error)


def _fail(batch: Sequence[_Waiting[Item]], error: BaseException) -> None:
    for one in batch:
        one.error = error
