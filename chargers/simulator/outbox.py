"""Webhooks on their way out: made, disturbed if a fault says so, kept in order.

Each chargestation has its own lane, first in, first out (eDRV promises this order for station and
session events, and since February 2024 for the action events). A delivery that waits for its next
try holds up its lane; the faults that reorder are the only way past it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

import orjson

from chargers.simulator.clock import Scheduler, iso, wall_ms
from chargers.simulator.faults import Faults, Occasion
from chargers.simulator.ids import Ids
from chargers.simulator.ledger import Delivery, Ledger
from chargers.simulator.model import Json


@dataclass(slots=True)
class Lane:
    """The deliveries of one chargestation. `busy`: queued for sending, or between two tries."""

    station_id: str
    waiting: deque[Delivery] = field(default_factory=deque)
    busy: bool = False


class Outbox:
    """`ready` hands lanes to the senders, which give them back with `done`."""

    def __init__(
        self, *, ids: Ids, ledger: Ledger, faults: Faults, scheduler: Scheduler, seed: int
    ) -> None:
        self.ready: asyncio.Queue[Lane] = asyncio.Queue()
        self.open = False  # closed: no endpoint, or eDRV disabled it
        self._ids, self._ledger, self._faults = ids, ledger, faults
        self._scheduler = scheduler
        self._rng = random.Random(f"{seed}:webhooks")
        self._lanes: dict[str, Lane] = {}
        self._shuffled: list[Delivery] = []
        self._settled: dict[str, asyncio.Event] = {}

    def emit(
        self,
        type_: str,
        object_: str,
        data: Json,
        *,
        station_id: str,
        session_id: str | None = None,
    ) -> Delivery:
        """Send one webhook about `data`, which is taken as it is now."""
        delivery = self._make(type_, object_, data, station_id)
        self._ledger.created(delivery)
        if not self.open:
            self._ledger.settled(delivery, "unsent")
            return delivery
        occasion = Occasion(session_id, station_id, webhook_type=type_)
        self._disturb(delivery, occasion)
        return delivery

    async def wait_settled(self, deliveries: list[Delivery], *, timeout_s: float) -> None:
        """Until each delivery is acknowledged or given up, or the time is over."""
        unsettled = [delivery for delivery in deliveries if delivery.body]
        events = [self._settled.setdefault(one.id, asyncio.Event()) for one in unsettled]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for event in events:
                    await event.wait()
        for delivery in unsettled:
            self._settled.pop(delivery.id, None)

    def settle(self, delivery: Delivery, state: str) -> None:
        self._ledger.settled(delivery, state)
        if event := self._settled.get(delivery.id):
            event.set()

    def done(self, lane: Lane) -> None:
        """A lane comes back: the delivery taken from it is settled."""
        if lane.waiting:
            self.ready.put_nowait(lane)
        else:
            lane.busy = False
            self._lanes.pop(lane.station_id, None)

    def close(self) -> None:
        """Give up everything that waits, as eDRV does when it disables an endpoint."""
        self.open = False
        for lane in self._lanes.values():
            while lane.waiting:
                self.settle(lane.waiting.popleft(), "unsent")

    def _make(self, type_: str, object_: str, data: Json, station_id: str) -> Delivery:
        now_ms, id_ = wall_ms(), self._ids.next()
        body = orjson.dumps(
            {"_id": id_, "data": data, "object": object_, "type": type_, "createdAt": iso(now_ms)}
        )
        seq = self._ledger.webhooks.next_seq()
        return Delivery(seq, id_, type_, now_ms, data["_id"], station_id, body)

    def _disturb(self, delivery: Delivery, occasion: Occasion) -> None:
        if self._faults.strike(("drop_webhooks",), occasion):
            self.settle(delivery, "dropped")
            return
        double = self._faults.strike(("double_webhooks",), occasion)
        delivery.copies = double.params["times"] if double else 1
        for _ in range(delivery.copies):
            self._disturb_order(delivery, occasion)

    def _disturb_order(self, delivery: Delivery, occasion: Occasion) -> None:
        if delay := self._faults.strike(("delay_webhooks",), occasion):
            delay_s = self._rng.uniform(delay.params["min_s"], delay.params["max_s"])
            self._scheduler.after(delay_s, self._push, delivery)
        elif reorder := self._faults.strike(("reorder_webhooks",), occasion):
            self._hold(delivery, reorder.params["window"], reorder.params["window_s"])
        else:
            self._push(delivery)

    def _hold(self, delivery: Delivery, window: int, window_s: float) -> None:
        self._shuffled.append(delivery)
        if len(self._shuffled) >= window:
            self._release()
        elif len(self._shuffled) == 1:
            self._scheduler.after(window_s, self._release)

    def _release(self) -> None:
        self._rng.shuffle(self._shuffled)
        for delivery in self._shuffled:
            self._push(delivery)
        self._shuffled.clear()

    def _push(self, delivery: Delivery) -> None:
        if not self.open:
            self.settle(delivery, "unsent")
            return
        lane = self._lanes.get(delivery.station_id)
        if lane is None:
            lane = self._lanes[delivery.station_id] = Lane(delivery.station_id)
        lane.waiting.append(delivery)
        if not lane.busy:
            lane.busy = True
            self.ready.put_nowait(lane)
