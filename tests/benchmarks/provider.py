"""A stand-in for eDRV that is lean enough not to be what is measured: HTTP by hand on asyncio.

It answers every set and clear after a fixed delay and, where it was told to, posts the two webhooks
of each. `python -m tests.benchmarks.provider PORT`; `POST /_reset` with Settings as JSON begins
anew, `GET /_stats` tells how many requests came, `GET /_arrivals` when each came and for whom.
`GET /_answered/<n>` is answered once so many requests are: who asks again and again would take
from the cores on which the others are measured.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import orjson

TICK_S = 0.002
ACTION = (
    b'{"ok":true,"message":"","result":{"_id":"%s","type":"session.%s_power_limit",'
    b'"status":"requested","createdAt":"2026-07-01T18:00:00.000Z","response_data":{}}}'
)
WEBHOOK = (
    b'{"_id":"%s-%s","type":"session.%s_power_limit.%s","createdAt":"%s","data":{"_id":"%s",'
    b'"type":"session.%s_power_limit","status":"%s","updatedAt":"%s","response_data":'
    b'{"status":"Accepted"}}}'
)
RESPONSE = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@dataclass
class Settings:
    """`webhook_port` 0: no webhooks are sent."""

    delay_s: float = 0.1
    webhook_port: int = 0
    webhook_connections: int = 16
    secret: str = ""


@dataclass
class Provider:
    """All that came, and what is still to be answered."""

    settings: Settings = field(default_factory=Settings)
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    due: deque[tuple[float, asyncio.WriteTransport, bytes, bytes]] = field(default_factory=deque)
    poster: Poster | None = None
    answered: int = 0
    epoch: int = 0
    waiting: list[tuple[int, asyncio.WriteTransport]] = field(default_factory=list)

    def reset(self, settings: Settings) -> None:
        self.settings, self.arrivals, self.answered = settings, [], 0
        self.waiting = []
        self.epoch += 1
        if self.poster:
            self.poster.close()
        self.poster = Poster(settings) if settings.webhook_port else None

    def take(self, path: bytes, transport: asyncio.WriteTransport) -> None:
        """A set or a clear: /v1.1/sessions/<id>/<verb>_power_limit."""
        now = time.time()
        _, _, session, call = path.rsplit(b"/", 3)
        self.arrivals.append((now, session))
        action = b"%s-%d-%d" % (session, self.epoch, len(self.arrivals))
        self.due.append((now + self.settings.delay_s, transport, action, call[: call.index(b"_")]))

    def answer_due(self) -> None:
        now = time.time()
        while self.due and self.due[0][0] <= now:
            _, transport, action, verb = self.due.popleft()
            body = ACTION % (action, verb)
            transport.write(RESPONSE % (200, len(body), body))
            self.answered += 1
            if self.poster:
                self.poster.tell(action, verb)
        for waits_for, transport in self.waiting:
            if self.answered >= waits_for:
                reply(transport, b"{}")
        self.waiting = [one for one in self.waiting if one[0] > self.answered]

    def stats(self) -> bytes:
        times = [at for at, _ in self.arrivals]
        told = {
            "requests": len(times),
            "answered": self.answered,
            "sessions": len({session for _, session in self.arrivals}),
            "first_s": min(times, default=None),
            "last_s": max(times, default=None),
            "webhooks": self.poster.delivered if self.poster else 0,
            "refused": self.poster.refused if self.poster else 0,
        }
        return orjson.dumps(told)

    def all_arrivals(self) -> bytes:
        return orjson.dumps([[at, session.decode()] for at, session in self.arrivals])


class Poster:
    """Delivers webhooks over a few lasting connections, one after the other on each."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.waiting: deque[bytes] = deque()
        self.idle: list[Posting] = []
        self.delivered = self.refused = 0
        self._key = settings.secret.encode()
        self._head = (
            b"POST /webhooks/edrv/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nedrv-signature: t=%d,v1=%s\r\n"
            b"Content-Length: %d\r\n\r\n%s"
        )
        self._all: list[Posting] = []
        self._dialling = [
            asyncio.ensure_future(self._dial()) for _ in range(settings.webhook_connections)
        ]

    async def _dial(self) -> None:
        _, posting = await asyncio.get_running_loop().create_connection(
            lambda: Posting(self), "127.0.0.1", self.settings.webhook_port
        )
        self._all.append(posting)

    def tell(self, action: bytes, verb: bytes) -> None:
        now = time.time()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)).encode()
        for status in (b"requested", b"completed"):
            body = WEBHOOK % (action, status, verb, status, at, action, verb, status, at)
            self.post(body, now)

    def post(self, body: bytes, now: float) -> None:
        signature = hmac.new(self._key, body, hashlib.sha256).hexdigest().encode()
        self.waiting.append(self._head % (now, signature, len(body), body))
        if self.idle:
            self.idle.pop().next()

    def close(self) -> None:
        for posting in self._all:
            posting.transport.close()


class Posting(asyncio.Protocol):
    """One connection to the gateway."""

    transport: asyncio.Transport

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.next()

    def next(self) -> None:
        if self._poster.waiting:
            self.transport.write(self._poster.waiting.popleft())
        else:
            self._poster.idle.append(self)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not is_whole(self._answer):
            return
        if self._answer[9:12] == b"200":
            self._poster.delivered += 1
        else:
            self._poster.refused += 1
        self._answer = b""
        self.next()


class Answering(asyncio.Protocol):
    """One connection of the gateway's."""

    transport: asyncio.Transport

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        while (head_end := self._asked.find(b"\r\n\r\n")) >= 0:
            length = content_length(self._asked[:head_end])
            if len(self._asked) < head_end + 4 + length:
                return
            path = self._asked[: self._asked.index(b"\r")].split(b" ")[1]
            body = self._asked[head_end + 4 : head_end + 4 + length]
            self._asked = self._asked[head_end + 4 + length :]
            self._handle(path, body)

    def _handle(self, path: bytes, body: bytes) -> None:
        if path.endswith(b"_power_limit"):
            self._provider.take(path, self.transport)
        elif path == b"/_reset":
            self._provider.reset(Settings(**orjson.loads(body)))
            gc.collect()
            reply(self.transport, b"{}")
        elif path == b"/_stats":
            reply(self.transport, self._provider.stats())
        elif path.startswith(b"/_answered/"):
            self._provider.waiting.append((int(path.rsplit(b"/", 1)[1]), self.transport))
        else:
            reply(self.transport, self._provider.all_arrivals())


def reply(transport: asyncio.WriteTransport, body: bytes) -> None:
    transport.write(RESPONSE % (200, len(body), body))


def is_whole(answer: bytes) -> bool:
    """Whether an answer has come to its end."""
    head, ended, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    return bool(ended) and len(body) >= content_length(head)


def content_length(head: bytes) -> int:
    """From a head of lines; 0 where it says none."""
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0


async def serve(port: int) -> None:
    provider = Provider()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Answering(provider), "127.0.0.1", port, backlog=2048)
    print("ready", flush=True)
    while True:
        provider.answer_due()
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
