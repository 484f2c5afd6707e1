"""Waiting for something to become true, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found],
    *,
    within_s: float = 60.0,
    every_s: float = 0.1,
    or_fail: Callable[[], object] = lambda: None,
) -> Found:
    """The condition's first true value. Fails the test after `within_s`; `or_fail` may fail it
    sooner, or say why."""
    give_up_at = time.monotonic() + within_s
    while not (found := condition()):
        or_fail()
        assert time.monotonic() < give_up_at, f"not true within {within_s} s: {condition}"
        time.sleep(every_s)
    return found
