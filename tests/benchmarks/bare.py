"""The counterpart of the burst: a bare aiohttp loop that sends the same requests and records
nothing. `python -m tests.benchmarks.bare API_URL SESSIONS IN_FLIGHT` prints seconds."""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
from yarl import URL

from chargers.edrv import calls
from chargers.edrv.calls import Call, Endpoint
from chargers.electricity import Limit, Unit
from tests.benchmarks.world import API_KEY, LIMIT_W, session_name


async def send_all(endpoint: Endpoint, wanted: list[Call], in_flight: int) -> float:
    """Seconds from the first request to the last answer."""
    left = iter(wanted)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=endpoint.headers()) as http:

        async def sender() -> None:
            for call in left:
                url = URL(endpoint.api_url + call.path, encoded=True)
                async with http.request(call.method, url, data=call.body) as response:
                    await response.read()
                    assert response.status == 200

        began_at = time.perf_counter()
        await asyncio.gather(*(sender() for _ in range(in_flight)))
        return time.perf_counter() - began_at


if __name__ == "__main__":
    target = Endpoint(sys.argv[1], API_KEY)
    limit = Limit(Unit.POWER, LIMIT_W)
    requests = [
        calls.set_power_limit(target, session_name(number), limit)
        for number in range(1, int(sys.argv[2]) + 1)
    ]
    print(asyncio.run(send_all(target, requests, int(sys.argv[3]))))
