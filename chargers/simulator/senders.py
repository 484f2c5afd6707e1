"""The one webhook endpoint, and the workers that post to it.

eDRV expects status 200; what it does otherwise is documented only as "continuous failure disables
the endpoint". Tries, back-off and `Retry-After` are our choice of a decent sender.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from chargers.simulator.clock import Scheduler, wall_ms
from chargers.simulator.ledger import Delivery
from chargers.simulator.model import Json
from chargers.simulator.options import Options
from chargers.simulator.outbox import Lane, Outbox
from chargers.simulator.poster import Poster, PostError, Target
from chargers.simulator.signing import HEADER, sign

RETRY_AFTER_MOST_S = 300.0


@dataclass(slots=True)
class Endpoint:
    """Where webhooks go, how they are signed, and how it has gone of late."""

    target: Target
    secret: str
    signed_content: str
    style: str
    disable_after: int | None
    consecutive_failures: int = 0
    disabled_ms: int | None = None

    def headers(self, body: bytes) -> dict[str, str]:
        signature = sign(
            body,
            secret=self.secret,
            at_ms=wall_ms(),
            signed_content=self.signed_content,
            style=self.style,
        )
        return {HEADER: signature}

    def count(self, ok: bool) -> bool:
        """Count an attempt; True if this failure was the one too many."""
        self.consecutive_failures = 0 if ok else self.consecutive_failures + 1
        if self.disable_after is None or self.consecutive_failures < self.disable_after:
            return False
        newly = self.disabled_ms is None
        self.disabled_ms = self.disabled_ms or wall_ms()
        return newly

    def as_json(self) -> Json:
        return {
            "url": self.target.url,
            "signed_content": self.signed_content,
            "signature_style": self.style,
            "disable_after": self.disable_after,
            "consecutive_failures": self.consecutive_failures,
            "disabled": self.disabled_ms is not None,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one attempt: the status, or the name of what went wrong before there was one."""

    status: int | str
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        return self.status == 200


class Senders:
    """A fixed number of workers, each posting one delivery at a time."""

    def __init__(self, options: Options, outbox: Outbox, scheduler: Scheduler) -> None:
        self._options, self._outbox, self._scheduler = options, outbox, scheduler
        self._workers: list[asyncio.Task[None]] = []
        self._poster = Poster(options.webhook_timeout_s)
        self.endpoint: Endpoint | None = None
        if options.webhook_url:
            self.use(_endpoint(options, options.webhook_url))

    def use(self, endpoint: Endpoint) -> None:
        """Send to this endpoint from now on; what waits goes there too."""
        self.endpoint = endpoint
        self._outbox.open = True

    async def start(self) -> None:
        count = self._options.webhook_concurrency
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]

    async def stop(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._poster.close()

    async def post(self, endpoint: Endpoint, body: bytes) -> Outcome:
        """One signed attempt; never raises for what the other side does."""
        try:
            answer = await self._poster.post(endpoint.target, body, endpoint.headers(body))
        except PostError as error:
            return Outcome(str(error))
        retry_after_s = None if answer.status == 200 else _retry_after_s(answer.retry_after)
        return Outcome(answer.status, retry_after_s)

    async def _work(self) -> None:
        while True:
            lane = await self._outbox.ready.get()
            if lane.waiting and self.endpoint:
                await self._send_head(lane, self.endpoint)
            else:
                self._outbox.done(lane)

    async def _send_head(self, lane: Lane, endpoint: Endpoint) -> None:
        delivery = lane.waiting.popleft()
        assert delivery.body is not None, "a settled delivery does not wait in a lane"
        at_ms = wall_ms()
        outcome = await self.post(endpoint, delivery.body)
        delivery.attempts.append((at_ms, outcome.status))
        if endpoint.count(outcome.ok) and endpoint is self.endpoint:
            self._outbox.close()
        self._after(lane, delivery, outcome)

    def _after(self, lane: Lane, delivery: Delivery, outcome: Outcome) -> None:
        tries = len(delivery.attempts)
        if outcome.ok:
            self._settle(lane, delivery, "acked")
        elif not self._outbox.open:
            self._settle(lane, delivery, "unsent")
        elif tries >= self._options.webhook_tries:
            self._settle(lane, delivery, "failed")
        else:
            lane.waiting.appendleft(delivery)
            delay_s = self._delay_s(tries, outcome.retry_after_s)
            self._scheduler.after(delay_s, self._outbox.ready.put_nowait, lane)

    def _settle(self, lane: Lane, delivery: Delivery, state: str) -> None:
        self._outbox.settle(delivery, state)
        self._outbox.done(lane)

    def _delay_s(self, tries: int, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return retry_after_s
        backoff_s = self._options.webhook_backoff_s
        return backoff_s[min(tries, len(backoff_s)) - 1]


def _endpoint(options: Options, url: str) -> Endpoint:
    return Endpoint(
        target=Target(url),
        secret=options.webhook_secret,
        signed_content=options.signed_content,
        style=options.signature_style,
        disable_after=options.disable_after,
    )


def _retry_after_s(value: str | None) -> float | None:
    """Seconds or an HTTP date, as RFC 9110 allows; what is neither counts as absent."""
    if value is None:
        return None
    try:
        delay_s = float(value)
    except ValueError:
        try:
            delay_s = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(delay_s, 0.0), RETRY_AFTER_MOST_S) if math.isfinite(delay_s) else None
