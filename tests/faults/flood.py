"""A sender of webhooks that does not wait for anybody: so many a second, whatever becomes of
those before."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from chargers.simulator.poster import Answer, Poster, PostError, Target
from chargers.simulator.signing import sign
from tests.simulation import SECRET

# So many may be under way.
MOST_IN_FLIGHT = 600


@dataclass
class Flood:
    """What was sent to one endpoint, by delivery id, and how each was answered: with a status,
    or with the name of an error. `unasked` counts those that were told to come again without
    being told when."""

    url: str
    answers: dict[str, int | str] = field(default_factory=dict)
    unasked: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._prefix = f"{time.time_ns():x}"
        self._target = Target(self.url)

    def send_side_by_side(self, connections: int, *, lasts_s: float) -> float:
        """As many at a time as there are connections; returns how many were stored a second."""
        before, began_s = self.count(200), time.monotonic()
        asyncio.run(self._side_by_side(connections, lasts_s))
        return (self.count(200) - before) / (time.monotonic() - began_s)

    def send_at(self, per_s: float, *, lasts_s: float) -> None:
        """At a rate, without waiting for answers."""
        asyncio.run(self._at(per_s, lasts_s))

    def send_again(self, ids: list[str], connections: int) -> None:
        """What a sender does with those it was asked to."""
        asyncio.run(self._again(ids, connections))

    def count(self, answer: int | str) -> int:
        return Counter(self.answers.values())[answer]

    def answered(self, *wanted: int | str) -> list[str]:
        return [id_ for id_, answer in self.answers.items() if answer in wanted]

    async def _side_by_side(self, connections: int, lasts_s: float) -> None:
        poster, until_s = Poster(30), time.monotonic() + lasts_s

        async def work() -> None:
            while time.monotonic() < until_s:
                await self._post(poster, self._new_id())

        await asyncio.gather(*(work() for _ in range(connections)))
        poster.close()

    async def _at(self, per_s: float, lasts_s: float) -> None:
        poster, began_s = Poster(30), time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        sent = 0
        while (elapsed_s := time.monotonic() - began_s) < lasts_s:
            owed = min(int(elapsed_s * per_s) - sent, MOST_IN_FLIGHT - len(under_way))
            for _ in range(max(owed, 0)):
                task = asyncio.create_task(self._post(poster, self._new_id()))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*under_way)
        poster.close()

    async def _again(self, ids: list[str], connections: int) -> None:
        poster, left = Poster(30), iter(ids)

        async def work() -> None:
            for id_ in left:
                await self._post(poster, id_)

        await asyncio.gather(*(work() for _ in range(connections)))
        poster.close()

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def _post(self, poster: Poster, id_: str) -> None:
        body = _body(id_)
        signature = sign(
            body, secret=SECRET, at_ms=time.time_ns() // 1_000_000, signed_content="body",
            style="v1",
        )  # fmt: skip
        headers = {"edrv-signature": signature}
        try:
            answer = await poster.post(self._target, body, headers)
        except PostError as error:
            self.answers[id_] = str(error)
            return
        self.answers[id_] = answer.status
        self.unasked += _is_unasked(answer)


def _is_unasked(answer: Answer) -> bool:
    return answer.status == 503 and answer.retry_after is None


def _body(id_: str) -> bytes:
    """A type that is not ours: to be stored like any other, and nothing to be done about it."""
    return orjson.dumps(
        {
            "_id": id_,
            "type": "session.grid_readiness.updated",
            "data": {"_id": "f" * 24, "status": "Started"},
            "createdAt": datetime.now(UTC).isoformat(),
        }
    )
