"""Bells: Celery messages saying "look now". The rows and the sweep are the guarantee, so a bell
that cannot be rung is a line in the log and never an error."""

from __future__ import annotations

import contextlib
import threading
import time

import redis
import structlog
from celery import Task
from django.db import transaction

from chargers import counters

log = structlog.get_logger(__name__)

EXPIRES_S = 30
# One that nobody has answered by then may have got lost with its worker.
RINGS_FOR_MS = 2000


class Bell:
    """One task, rung once the transaction has committed, and not again while it is still ringing:
    under load the messages that say the same would bury the others. Within `quiet_s` of the last
    time this process does not ring either: whoever answers stays for longer than that."""

    def __init__(self, task: Task[..., None], *, quiet_s: float = 0.0) -> None:
        self._task = task
        self._key = f"bell:{task.name}"
        self._quiet_s = quiet_s
        self._rung_at = 0.0
        self._lock = threading.Lock()

    @property
    def is_resting(self) -> bool:
        """Whether this process would not ring now."""
        return time.monotonic() - self._rung_at < self._quiet_s

    def ring(self) -> None:
        transaction.on_commit(self.ring_now)

    def answer(self) -> None:
        """To be called by the task before it looks: what changes from now on rings anew."""
        with contextlib.suppress(redis.RedisError):
            counters.connection().delete(self._key)

    def ring_now(self) -> None:
        """For what is committed already."""
        with self._lock:
            if self.is_resting:
                return
            self._rung_at = time.monotonic()
        try:
            if counters.connection().set(self._key, "rings", nx=True, px=RINGS_FOR_MS):
                self._task.apply_async(expires=EXPIRES_S, retry=False, ignore_result=True)
        # kombu raises whatever its transport does.
        except Exception as error:  # noqa: BLE001
            log.warning("bell.unheard", task=self._task.name, error=str(error))
