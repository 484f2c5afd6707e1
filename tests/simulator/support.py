"""A running simulator, a caller of its surfaces and a receiver of its webhooks: all real HTTP."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from chargers.simulator.options import Options
from chargers.simulator.server import Simulator

SECRET = "a-secret"
PATIENCE_S = 20.0  # until something that must happen counts as not happening
SMALL: dict[str, Any] = {  # every kind of station, room on each, nobody there yet
    "sites": 2,
    "stations_per_site": 20,
    "share_dc": 0.2,
    "share_simulator": 0.1,
    "share_offline": 0.1,
    "sessions": 0,
    "static": True,
    "answer_delay_s": (0.0, 0.01),
}


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a coroutine test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def result(self) -> Any:
        return self.json["result"]


@dataclass
class Bench:
    """One simulator under test."""

    simulator: Simulator
    http: aiohttp.ClientSession

    async def api(
        self,
        path: str,
        *,
        method: str = "GET",
        key: str | None = "simulator",
        **request: Any,
    ) -> Reply:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await self._call(method, f"{self.simulator.api_url}/{path}", headers, **request)

    async def set(self, session_id: str, unit: str, limit: Any) -> Reply:
        path = f"sessions/{session_id}/set_power_limit"
        return await self.api(path, method="POST", json={"unit": unit, "limit": limit})

    async def clear(self, session_id: str) -> Reply:
        return await self.api(f"sessions/{session_id}/clear_power_limit", method="POST")

    async def every(self, path: str, **query: str) -> list[Any]:
        """A whole list, oldest first unless the query says otherwise."""
        parameters = {"paginate_limit": "1000", "sort_order": "asc", **query}
        result: list[Any] = (await self.api(path, params=parameters)).result
        return result

    async def look(self, session_id: str) -> Any:
        return (await self.api(f"sessions/{session_id}")).result

    async def sim(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """A control call that must succeed: GET, or POST if there is a body."""
        reply = await self.sim_reply(path, body, method=method)
        assert reply.status == 200, reply.text
        return reply.json

    async def sim_reply(self, path: str, body: Any = None, *, method: str | None = None) -> Reply:
        method = method or ("GET" if body is None else "POST")
        request = {} if body is None else {"json": body}
        return await self._call(method, f"{self.simulator.control_url}/{path}", {}, **request)

    async def plug(self, **fields: Any) -> str:
        """A car whose power follows at once unless the call says otherwise; its session's id."""
        fields = {"lag_s": 0, "ramp_s": 0, **fields}
        session_id: str = (await self.sim("sessions", fields))["_id"]
        return session_id

    async def limits(self, session_id: str) -> Any:
        return (await self.sim("ledger/limits?all=true"))["sessions"][session_id]

    async def settled(self, action_id: str) -> Any:
        """The action once the station has answered."""

        async def answered() -> Any:
            action = (await self.api(f"actions/{action_id}")).result
            return action if action["status"] != "requested" else None

        return await until(answered)

    async def _call(self, method: str, url: str, headers: Any, **request: Any) -> Reply:
        async with self.http.request(method, url, headers=headers, **request) as response:
            return Reply(response.status, response.headers, await response.text())


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Bench]:
    """A simulator on a free port; small, still and quick unless told otherwise."""
    options = Options(port=0, **{**SMALL, **settings})
    timeout, connector = aiohttp.ClientTimeout(total=PATIENCE_S), aiohttp.TCPConnector(limit=0)
    async with (
        Simulator(options) as simulator,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
    ):
        yield Bench(simulator, http)


@dataclass
class Receiver:
    """A webhook endpoint. `statuses` are answered in turn, then 200 for ever."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0

    def of(self, type_: str) -> list[Any]:
        """The deliveries whose type begins so, in the order they arrived."""
        return [event for event in self.events if event["type"].startswith(type_)]

    async def wait_for(self, count: int, type_: str = "") -> list[Any]:
        async def enough() -> Any:
            found = self.of(type_)
            return found if len(found) >= count else None

        found: list[Any] = await until(enough)
        return found

    async def handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        self.events.append(json.loads(body))
        self.signatures.append(request.headers.get("edrv-signature", ""))
        self.times_s.append(time.monotonic())
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await asyncio.sleep(self.delay_s)
        self.in_flight -= 1
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers=self.headers)


@asynccontextmanager
async def receiving(**settings: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**settings)
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening(
    receiver: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Receiver, Bench]]:
    """A simulator that posts its webhooks to a receiver."""
    async with (
        receiving(**(receiver or {})) as hook,
        running(webhook_url=hook.url, **settings) as bench,
    ):
        yield hook, bench


async def until(probe: Callable[[], Awaitable[Any]]) -> Any:
    """What `probe` returns once it is true; fails when patience is over."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if value := await probe():
            return value
        await asyncio.sleep(0.005)
    raise AssertionError(f"nothing came of {probe.__qualname__} in {PATIENCE_S} s")
