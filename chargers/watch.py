"""What the answers to commands say of eDRV itself: that all are to wait, or that it is well."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import datetime

from chargers import pace
from chargers.replies import Result

# How often it is noted that eDRV answers.
NOTED_EVERY_S = 1.0


class Watch:
    """One dispatcher's eye on eDRV."""

    def __init__(self) -> None:
        self._noted_ok_at = 0.0

    def see(self, results: Sequence[Result], *, now: datetime) -> None:
        """One session that always fails says nothing about eDRV; everything failing does, and so
        does a key or a rate that is not accepted."""
        telling = [result for result in results if result.tells_of_edrv]
        errors = [result.error for result in telling if result.error is not None]
        down = [error for error in errors if error.provider_down]
        for_all = [error for error in down if error.http_status in (401, 429)]
        if for_all or (len(down) == len(telling) >= pace.PROBE):
            pace.note_trouble((for_all or down)[0], jitter=random.random(), now=now)
        elif len(down) < len(telling):
            self._note_success(now)

    def _note_success(self, now: datetime) -> None:
        if time.monotonic() - self._noted_ok_at < NOTED_EVERY_S:
            return
        self._noted_ok_at = time.monotonic()
        if pace.note_success(now=now):
            pace.bring_forward(now=now)
