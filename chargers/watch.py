"""What the answers to commands say of eDRV itself: that all are to wait, or that it is well."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from chargers import pace
from chargers.edrv.errors import EdrvError
from chargers.replies import Result

# How often it is noted that eDRV answers.
NOTED_EVERY_S = 1.0


class Watch:
    """One dispatcher's eye on eDRV."""

    def __init__(self) -> None:
        # Whether eDRV was in trouble when that was last known.
        self.is_worried = False
        self._noted_ok_at = 0.0
        # Sessions that eDRV has failed since it last answered.
        self._failing: set[int] = set()

    def see(self, results: Sequence[Result], *, now: datetime) -> None:
        """One session that always fails says nothing about eDRV; five in a row do, in however many
        rounds their answers come, and so does a key or a rate that is not accepted. Once it is in
        trouble any further failure says that it still is."""
        telling = [result for result in results if result.tells_of_edrv]
        down = [error for r in telling if (error := r.error) and error.provider_down]
        answered = [r for r in telling if r.error is None or not r.error.provider_down]
        if answered:
            self._failing.clear()
        else:
            self._failing.update(result.claim.session_id for result in telling)
        if _is_for_all(down) or (down and not answered and self._all_fail()):
            longest = max(down, key=lambda error: error.retry_after_s or 0.0)
            pace.note_trouble(longest, jitter=random.random(), now=now)
            self.is_worried = True
        elif answered:
            self._note_success(answered, now)

    def _all_fail(self) -> bool:
        return len(self._failing) >= pace.PROBE or pace.in_trouble()

    def _note_success(self, answered: Sequence[Result], now: datetime) -> None:
        """Of every answer while there may be a trouble to end, and now and then otherwise."""
        if not self.is_worried and time.monotonic() - self._noted_ok_at < NOTED_EVERY_S:
            return
        self._noted_ok_at = time.monotonic()
        sent_at_s = max(result.reply.sent_at_s or 0.0 for result in answered)
        if pace.note_success(sent_at=datetime.fromtimestamp(sent_at_s, UTC), now=now):
            pace.bring_forward(now=now)


def _is_for_all(down: Sequence[EdrvError]) -> bool:
    """Whether a key or a rate was not accepted: the next request will fare no better."""
    return any(error.http_status in (401, 429) for error in down)
