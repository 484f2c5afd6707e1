"""Bells: Celery messages saying "look now". The rows and the sweep are the guarantee, so a bell
that cannot be rung is a line in the log and never an error."""

from __future__ import annotations

import threading
import time

import redis
import structlog
from celery import Task
from django.db import transaction

from chargers import counters

log = structlog.get_logger(__name__)

EXPIRES_S = 30
# A bell that was rung and not answered for so long is rung again: its message may be lost.
UNHEARD_MS = 2000


class Bell:
    """One task, rung once the transaction has committed.

    While one message is on its way nobody sends a second, or a shower of them would keep the sweep
    waiting behind it; whoever takes it says so by `answered`, before he looks. Within `quiet_s` of
    the last time this process does not even ask: whoever answers stays for longer than that.
    """

    def __init__(self, task: Task[..., None], *, quiet_s: float = 0.0) -> None:
        self._task = task
        self._quiet_s = quiet_s
        self._key = f"bell:{task.name}"
        self._rung_at = 0.0
        self._lock = threading.Lock()

    def ring(self) -> None:
        transaction.on_commit(self._ring_now)

    def answered(self) -> None:
        """From now on what happens needs a new message."""
        try:
            counters.connection().delete(self._key)
        except redis.RedisError as error:
            log.warning("bell.unheard", task=self._task.name, error=str(error))

    def _ring_now(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._rung_at < self._quiet_s:
                return
            self._rung_at = now
        try:
            if counters.connection().set(self._key, 1, nx=True, px=UNHEARD_MS):
                self._task.apply_async(expires=EXPIRES_S, retry=False, ignore_result=True)
        # kombu raises whatever its transport does.
        except Exception as error:  # noqa: BLE001
            log.warning("bell.unheard", task=self._task.name, error=str(error))
