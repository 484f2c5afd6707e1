"""Many calls at once: one event loop with aiohttp in a thread of its own.

The caller's thread keeps the database to itself: it submits calls, collects answers when it
likes, and never waits for the network. aiohttp costs an eighth of the CPU of `requests` a call.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import getproxies

import aiohttp
from yarl import URL

from chargers.edrv.calls import Call, Endpoint
from chargers.edrv.errors import EdrvError, ProviderUnreachable


@dataclass(frozen=True, slots=True)
class Job:
    """A call with the caller's own key, to be sent at `send_at_s` (time.time()) or soon after;
    not at all after `send_before_s`, since by then its lease has passed to somebody else."""

    key: Any
    call: Call
    send_before_s: float
    send_at_s: float = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for a job: an answer, an error, or neither where it was never sent."""

    key: Any
    sent_at_s: float | None
    answered_at_s: float
    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    error: EdrvError | None = None


# An action or a session has a few thousand.
MAX_ANSWER_BYTES = 1_000_000


class Burst:
    """Sends jobs with at most `concurrency` in flight."""

    def __init__(self, endpoint: Endpoint, *, concurrency: int) -> None:
        self._endpoint = endpoint
        self._concurrency = concurrency
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="edrv-burst", daemon=True)
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._stop: asyncio.Event = asyncio.Event()
        self.outstanding = 0
        self._submitted = self._begun = 0

    @property
    def waiting(self) -> int:
        """How many jobs have not begun: nobody was free, or their time has not come."""
        return self._submitted - self._begun

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs; their replies come in any order."""
        self.outstanding += len(jobs)
        self._submitted += len(jobs)
        self._loop.call_soon_threadsafe(self._enqueue, jobs)

    def collect(self, *, wait_s: float) -> list[Reply]:
        """The replies that are there, waiting up to `wait_s` for the first."""
        if not self._thread.is_alive():
            raise RuntimeError("the burst's thread has died")
        replies: list[Reply] = []
        try:
            replies.append(self._replies.get(timeout=wait_s))
            while True:
                replies.append(self._replies.get_nowait())
        except queue.Empty:
            pass
        self.outstanding -= len(replies)
        return replies

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._jobs.put_nowait(job)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._endpoint.timeout_s)
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60)
        async with aiohttp.ClientSession(
            timeout=timeout,
            connector=connector,
            headers=self._endpoint.headers(),
            # As `requests` does; asked once, since aiohttp would look anew at every call.
            trust_env=bool(getproxies()),
        ) as http:
            senders = [asyncio.create_task(self._send_all(http)) for _ in range(self._concurrency)]
            await self._stop.wait()
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    async def _send_all(self, http: aiohttp.ClientSession) -> None:
        while True:
            job = await self._jobs.get()
            if (delay_s := job.send_at_s - time.time()) > 0:
                await asyncio.sleep(delay_s)
            self._begun += 1
            self._replies.put(await self._send(http, job))

    async def _send(self, http: aiohttp.ClientSession, job: Job) -> Reply:
        sent_at_s = time.time()
        if sent_at_s >= job.send_before_s:
            return Reply(job.key, None, sent_at_s)
        try:
            url = URL(self._endpoint.api_url + job.call.path, encoded=True)
            async with http.request(
                job.call.method, url, data=job.call.body, allow_redirects=False
            ) as response:
                body = await _read(response)
                return Reply(
                    job.key, sent_at_s, time.time(), response.status, response.headers, body
                )
        except aiohttp.ClientConnectorError as error:
            refused = ProviderUnreachable(type(error).__name__)
            return Reply(job.key, sent_at_s, time.time(), error=refused)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = ProviderUnreachable(type(error).__name__, ambiguous=True)
            return Reply(job.key, sent_at_s, time.time(), error=failed)
        # A request that cannot even be made, of a setting that makes no sense. Whatever it is,
        # the caller waits for a reply.
        except Exception as error:  # noqa: BLE001
            broken = ProviderUnreachable(repr(error), ambiguous=True)
            return Reply(job.key, sent_at_s, time.time(), error=broken)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """All of the body, unless that is larger than anything meant for us. The time-out of the
    session ends one that is slow."""
    body = await response.content.read(MAX_ANSWER_BYTES)
    while not response.content.at_eof() and len(body) <= MAX_ANSWER_BYTES:
        body += await response.content.read(MAX_ANSWER_BYTES)
    if len(body) > MAX_ANSWER_BYTES:
        raise aiohttp.ClientPayloadError("the answer is too large")
    return body
