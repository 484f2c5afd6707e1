"""24-hex ids in the form of MongoDB's ObjectId: time, a constant of the run, a counter."""

from __future__ import annotations

import itertools
import random
import time


class Ids:
    """Everything but the leading time comes from the seed; the time keeps two runs apart."""

    def __init__(self, seed: int) -> None:
        self._run = f"{random.Random(f'{seed}:ids').getrandbits(40):010x}"
        self._counter = itertools.count()

    def next(self, at_ms: int | None = None) -> str:
        second = int(time.time()) if at_ms is None else at_ms // 1000
        return f"{second:08x}{self._run}{next(self._counter) & 0xFFFFFF:06x}"


def fixed_id(rng: random.Random, at_ms: int) -> str:
    """An id that is the same in every run of a seed: stations outlive a restart, cars do not."""
    return f"{at_ms // 1000:08x}{rng.getrandbits(64):016x}"
