"""Many calls at once: libcurl's transfers on one event loop, in a thread of its own.

The caller's thread keeps the database to itself: it submits calls, collects answers when it
likes, and never waits for the network. libcurl costs a thirtieth of the CPU of `requests` a call
and a quarter of aiohttp's (docs/adr/0021-commands-go-out-over-libcurl.md).
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pycurl
import uvloop
from certifi import where as public_authorities

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
    """What came back for a job: an answer, an error, or neither where its time had passed.
    `sent_at_s` is None where nothing of it can have left. Of the headers only `Retry-After` is
    kept, in seconds."""

    key: Any
    sent_at_s: float | None
    answered_at_s: float
    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    error: EdrvError | None = None


# An action or a session has a few thousand.
MAX_ANSWER_BYTES = 1_000_000
# uvloop counts in whole milliseconds, and would call again and again within the last one.
TICK_S = 0.001


class Burst:
    """Sends jobs with at most `concurrency` in flight."""

    def __init__(self, endpoint: Endpoint, *, concurrency: int) -> None:
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="edrv-burst", daemon=True)
        self._loop.set_exception_handler(_give_up)
        self._lines = _Lines(endpoint, concurrency, self._loop, self._replies)
        self.outstanding = 0
        self._submitted = 0

    @property
    def waiting(self) -> int:
        """How many jobs have not begun: nobody was free, or their time has not come."""
        return self._submitted - self._lines.begun

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs; their replies come in any order."""
        self.outstanding += len(jobs)
        self._submitted += len(jobs)
        self._loop.call_soon_threadsafe(self._lines.take_on, jobs)

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

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._lines.close()
            self._loop.close()


def _give_up(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """With a transfer lost the caller would wait for ever: better that the thread is seen dead."""
    loop.default_exception_handler(context)
    loop.stop()


class _Lines:
    """The burst's transfers, driven by the events of its loop: libcurl says which sockets and
    which moment it waits for (curl_multi_socket_action(3))."""

    def __init__(
        self,
        endpoint: Endpoint,
        concurrency: int,
        loop: asyncio.AbstractEventLoop,
        replies: queue.SimpleQueue[Reply],
    ) -> None:
        self._loop, self._replies = loop, replies
        self._jobs: deque[Job] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        # For the first job's time. Every event of a socket comes by `_begin`; were each to set one
        # of its own, they would beget each other.
        self._turn: asyncio.TimerHandle | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_alarm)
        self._multi.setopt(pycurl.M_MAXCONNECTS, concurrency)
        self._endpoint, self._concurrency = endpoint, concurrency
        # Made when first needed: all of them would keep the first command waiting.
        self._idle: list[_Line] = []
        self._busy: dict[pycurl.Curl, _Line] = {}
        self.begun = 0

    def take_on(self, jobs: Sequence[Job]) -> None:
        self._jobs.extend(jobs)
        self._begin()

    def close(self) -> None:
        for curl in self._busy:
            self._multi.remove_handle(curl)
        self._multi.close()

    def _begin(self) -> None:
        """Give every line that is free a job whose time has come, in their order."""
        while self._jobs and len(self._busy) < self._concurrency:
            now_s = time.time()
            if (delay_s := self._jobs[0].send_at_s - now_s) > 0:
                if self._turn is None:
                    self._turn = self._loop.call_later(delay_s + TICK_S, self._begin_in_turn)
                return
            job = self._jobs.popleft()
            self.begun += 1
            if now_s >= job.send_before_s:
                self._replies.put(Reply(job.key, None, now_s))
            else:
                line = self._idle.pop() if self._idle else _Line(self._endpoint)
                self._send(line, job, now_s)

    def _begin_in_turn(self) -> None:
        self._turn = None
        self._begin()

    def _send(self, line: _Line, job: Job, now_s: float) -> None:
        try:
            line.load(job, now_s)
            self._multi.add_handle(line.curl)
        # A request that cannot even be made, of a setting that makes no sense. Whatever it is,
        # the caller waits for a reply.
        except Exception as error:  # noqa: BLE001
            self._idle.append(line)
            self._replies.put(Reply(job.key, None, now_s, error=ProviderUnreachable(repr(error))))
        else:
            self._busy[line.curl] = line

    def _watch(self, events: int, socket: int, _multi: object, _data: object) -> None:
        self._loop.remove_reader(socket)
        self._loop.remove_writer(socket)
        if events == pycurl.POLL_REMOVE:
            return
        if events & pycurl.POLL_IN:
            self._loop.add_reader(socket, self._act, socket, pycurl.CSELECT_IN)
        if events & pycurl.POLL_OUT:
            self._loop.add_writer(socket, self._act, socket, pycurl.CSELECT_OUT)

    def _set_alarm(self, timeout_ms: int) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = None
        if timeout_ms >= 0:
            self._alarm = self._loop.call_later(
                timeout_ms / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0
            )

    def _act(self, socket: int, events: int) -> None:
        self._multi.socket_action(socket, events)
        more = True
        while more:
            more, answered, failed = self._multi.info_read()
            for curl in answered:
                self._hand_over(curl, None)
            for curl, _, message in failed:
                self._hand_over(curl, message)
        self._begin()

    def _hand_over(self, curl: pycurl.Curl, failure: str | None) -> None:
        line = self._busy.pop(curl)
        self._replies.put(line.reply(failure))
        self._multi.remove_handle(curl)
        self._idle.append(line)


class _Line:
    """One transfer at a time, again and again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._api_url = endpoint.api_url
        self._job = Job(None, Call("", ""), 0)
        self._sent_at_s = 0.0
        self._body: list[bytes] = []
        self._size = 0
        self.curl = pycurl.Curl()
        for option, value in _options(endpoint).items():
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._receive)

    def load(self, job: Job, now_s: float) -> None:
        """Raises pycurl.error or TypeError where no request can be made of the job."""
        self._job, self._sent_at_s, self._body, self._size = job, now_s, [], 0
        call = job.call
        if call.method == "GET":
            self.curl.setopt(pycurl.HTTPGET, 1)
        else:
            self.curl.setopt(pycurl.POSTFIELDS, call.body or b"")
        self.curl.setopt(pycurl.CUSTOMREQUEST, call.method)
        self.curl.setopt(pycurl.URL, self._api_url + call.path)

    def reply(self, failure: str | None) -> Reply:
        """What became of the job. `failure`: libcurl's words, None where there is an answer."""
        now_s = time.time()
        if self._size > MAX_ANSWER_BYTES:
            failure = "the answer is too large"
        if failure is not None:
            has_left = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0
            error = ProviderUnreachable(failure, ambiguous=has_left)
            return Reply(self._job.key, self._sent_at_s if has_left else None, now_s, error=error)
        return Reply(
            self._job.key,
            self._sent_at_s,
            now_s,
            self.curl.getinfo(pycurl.RESPONSE_CODE),
            self._headers(),
            b"".join(self._body),
        )

    def _headers(self) -> dict[str, str]:
        retry_after_s = self.curl.getinfo(pycurl.RETRY_AFTER)
        return {"Retry-After": str(retry_after_s)} if retry_after_s else {}

    def _receive(self, part: bytes) -> int:
        """Anything but the size of the part makes libcurl give up."""
        self._size += len(part)
        if self._size > MAX_ANSWER_BYTES:
            return 0
        self._body.append(part)
        return len(part)


def _options(endpoint: Endpoint) -> dict[int, Any]:
    """What all requests have in common. Proxies are those of the environment, and who vouches for
    eDRV is the same as for the single calls (`requests`)."""
    vouching = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    headers = [f"{name}: {value}" for name, value in endpoint.headers().items()]
    return {
        # Without `Expect` a body goes out at once.
        pycurl.HTTPHEADER: [*headers, "Expect:"],
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        pycurl.ACCEPT_ENCODING: "gzip, deflate",
        pycurl.TIMEOUT_MS: int(endpoint.timeout_s * 1000),
        pycurl.CAINFO: vouching or public_authorities(),
        # Paths are ours: `..` in an id is quoted, and no more than an id.
        pycurl.PATH_AS_IS: 1,
        # Threads and signals do not go together.
        pycurl.NOSIGNAL: 1,
    }
