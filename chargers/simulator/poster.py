"""A lean HTTP/1.1 client that can do one thing: POST, and tell the status.

A burst of commands makes two webhooks each, sent by the process that also answers the API and
shares its machine with the gateway under test. aiohttp's client takes some 250 µs of processor
time a request, this one about 60 (measured side by side): the difference would be taken from the
gateway and read as its slowness.

The answer counts as soon as its head is there, since webhooks are acknowledged with an empty body.
A connection is kept only if nothing of the answer can still be on its way.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass, field
from functools import cached_property

from yarl import URL

IDLE_S = 4.0  # servers close idle connections after five seconds or more
HEAD_MOST = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([^\r]*)", re.IGNORECASE)


class PostError(Exception):
    """There was no answer; the message is a word for the ledger."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after` is the header as it came."""

    status: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Target:
    """Where to post, taken apart once. ValueError if `url` is no http or https URL."""

    url: str
    parsed: URL = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", URL(self.url))
        if self.parsed.scheme not in ("http", "https") or not self.parsed.host:
            raise ValueError("must be an http or https URL")

    @cached_property
    def head(self) -> bytes:
        """The request up to the headers that vary."""
        lines = (
            f"POST {self.parsed.raw_path_qs} HTTP/1.1",
            f"Host: {self.parsed.host_port_subcomponent}",
            "User-Agent: eDRV-Webhooks-simulator",
            "Content-Type: application/json",
        )
        return "\r\n".join(lines).encode("ascii")

    @cached_property
    def address(self) -> tuple[str, int]:
        host, port = self.parsed.raw_host, self.parsed.port
        assert host, "checked when the target was made"
        assert port, "http and https have one"
        return host, port

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.parsed.scheme == "https" else None


class Poster:
    """Keeps connections to the targets it posts to."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._idle: dict[Target, list[_Connection]] = {}

    async def post(self, target: Target, body: bytes, headers: dict[str, str]) -> Answer:
        """PostError if no answer came in time."""
        request = _request(target, body, headers)
        connection = self._idle_connection(target)
        if connection is None:
            connection = await self._connect(target)
        answer = await connection.exchange(request, self._timeout_s)
        if connection.reusable:
            self._idle.setdefault(target, []).append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _idle_connection(self, target: Target) -> _Connection | None:
        """The one used last: those that grow old are closed when they come up."""
        idle = self._idle.get(target, [])
        while idle:
            connection = idle.pop()
            if connection.fresh:
                return connection
            connection.close()
        return None

    async def _connect(self, target: Target) -> _Connection:
        host, port = target.address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await loop.create_connection(
                    _Connection, host, port, ssl=target.tls
                )
        except TimeoutError:
            raise PostError("timeout") from None
        except OSError as error:
            raise PostError(type(error).__name__) from None
        return connection


def _request(target: Target, body: bytes, headers: dict[str, str]) -> bytes:
    varying = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (
        target.head,
        varying.encode("ascii"),
        len(body),
        body,
    )


class _Connection(asyncio.Protocol):
    """One exchange at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._received = b""
        self._used_s = 0.0
        self.reusable = False

    @property
    def fresh(self) -> bool:
        return self.reusable and time.monotonic() - self._used_s < IDLE_S

    async def exchange(self, request: bytes, timeout_s: float) -> Answer:
        assert self._transport, "connected before it is used"
        loop = asyncio.get_running_loop()
        self._answer, self._received, self.reusable = loop.create_future(), b"", False
        timer = loop.call_later(timeout_s, self._fail, "timeout")
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._used_s = time.monotonic()

    def close(self) -> None:
        self.reusable = False
        if self._transport:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport), "a stream has a writable transport"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        self._received += data
        try:
            self._read()
        except ValueError:
            self._fail("malformed answer")

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._fail(type(exc).__name__ if exc else "disconnected")

    def _read(self) -> None:
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            if len(head) > HEAD_MOST:
                raise ValueError("no end of the head")
            return
        status = _status(head)
        if status < 200:  # informational: the answer is still to come
            self._received = body
            self._read()
            return
        assert self._answer, "data_received has checked"
        self.reusable = _complete(head, body, status)
        self._answer.set_result(Answer(status, _retry_after(head)))

    def _fail(self, reason: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(PostError(reason))
            self.close()


def _status(head: bytes) -> int:
    """`HTTP/1.1 200 OK`; ValueError for anything else."""
    version, code, *_ = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError("not HTTP/1")
    return int(code)


def _complete(head: bytes, body: bytes, status: int) -> bool:
    """Whether the whole answer is here and the connection stays open."""
    if _CLOSE.search(head) or head.startswith(b"HTTP/1.0"):
        return False
    if length := _LENGTH.search(head):
        return len(body) == int(length[1])
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n")
    return status in (204, 304)


def _retry_after(head: bytes) -> str | None:
    found = _RETRY_AFTER.search(head)
    return found[1].decode("latin-1").strip() if found else None
