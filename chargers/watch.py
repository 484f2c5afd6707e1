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
        # Sessions that eDRV has failed since it last answered.
        self._failing: set[int] = set()

    def see(self, results: Sequence[Result], *, now: datetime) -> None:
        """One session that always fails says nothing about eDRV; five in a row do, in however many
        rounds their answers come, and so does a key or a rate that is not accepted. Once it is in
        trouble any further failure says that it still is."""
        telling = [result for result in results if result.tells_of_edrv]
        down = [error for r in telling if (error := r.error) and error.provider_down]
        for_all = [error for error in down if error.http_status in (401, 429)]
        answers = len(down) < len(telling)
        if answers:
            self._failing.clear()
        else:
            self._failing.update(result.claim.session_id for result in telling)
        if for_all or (down and not answers and self._all_fail()):
            pace.note_trouble((for_all or down)[0], jitter=random.random(), now=now)
        elif answers:
            self._note_success(now)

    def _all_fail(self) -> bool:
        return len(self._failing) >= pace.PROBE or pace.in_trouble()

    def _note_success(self, now: datetime) -> None:
        if time.monotonic() - self._noted_ok_at < NOTED_EVERY_S:
            return
        self._noted_ok_at = time.monotonic()
        if pace.note_success(now=now):
            pace.bring_forward(now=now)
