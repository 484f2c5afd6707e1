"""Wall time, simulated time, and one heap for everything that happens later.

The time factor compresses durations only. Timestamps in payloads are always wall clock, because
the gateway compares them with its own clock: a webhook dated an hour ahead would be refused as
forged or would outrank everything that follows it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

BURST_S = 0.005  # a longer burst of due work would keep requests waiting


@lru_cache(maxsize=256)
def _iso_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def iso(at_ms: int) -> str:
    """Milliseconds since 1970 as eDRV writes times: `2022-08-29T13:56:55.140Z`."""
    second, ms = divmod(at_ms, 1000)
    return f"{_iso_second(second)}.{ms:03d}Z"


def iso_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def ms_from_iso(text: str) -> int:
    """The instant an ISO-8601 text names, UTC if it does not say; ValueError if it is none."""
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Clock:
    """Simulated seconds since the start, running `time_factor` times as fast as real ones."""

    def __init__(self, time_factor: float) -> None:
        self.time_factor = time_factor
        self._started_s = time.monotonic()

    def sim_s(self) -> float:
        return (time.monotonic() - self._started_s) * self.time_factor

    def real_s(self, simulated_s: float) -> float:
        """How long a simulated duration takes in real seconds."""
        return simulated_s / self.time_factor


class Scheduler:
    """Calls due later, in one heap with one timer: ten thousand sessions need no task each."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def after(self, delay_s: float, call: Callable[..., object], *args: Any) -> None:
        """Call in `delay_s` real seconds."""
        self.at(time.monotonic() + max(delay_s, 0.0), call, *args)

    def at(self, due_s: float, call: Callable[..., object], *args: Any) -> None:
        """Call at a moment of the monotonic clock; equal moments keep the order they came in."""
        if self._closed:
            return
        heapq.heappush(self._heap, (due_s, next(self._order), call, args))
        if self._heap[0][0] == due_s:
            self._arm()

    def after_sim(self, delay_s: float, call: Callable[..., object], *args: Any) -> None:
        """Call in `delay_s` simulated seconds."""
        self.after(self.clock.real_s(delay_s), call, *args)

    def close(self) -> None:
        self._closed = True
        self._heap.clear()
        if self._timer:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        delay_s = max(self._heap[0][0] - time.monotonic(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._run_due)

    def _run_due(self) -> None:
        try:
            self._run_burst()
        finally:  # one failing call must not stop time for all others
            if self._heap:
                self._arm()

    def _run_burst(self) -> None:
        now_s = time.monotonic()
        stop_s = now_s + BURST_S
        while self._heap and self._heap[0][0] <= now_s < stop_s:
            _, _, call, args = heapq.heappop(self._heap)
            call(*args)
            now_s = time.monotonic()
