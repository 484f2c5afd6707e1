"""The lean client against answers of every form, spoken by a raw socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chargers.simulator.poster import Answer, Poster, PostError, Target
from tests.simulator.support import asynchronous


class Peer:
    """Answers every request with fixed bytes; counts connections."""

    def __init__(self, answer: bytes, *, hang_up: bool = False) -> None:
        self.answer, self.hang_up = answer, hang_up
        self.connections = 0
        self.requests: list[bytes] = []
        self.target = Target("http://localhost")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(65_536):
            self.requests.append(data)
            writer.write(self.answer)
            if self.hang_up:
                break
        writer.close()


@asynccontextmanager
async def peer(answer: bytes, *, hang_up: bool = False) -> AsyncIterator[Peer]:
    made = Peer(answer, hang_up=hang_up)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.target = Target(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a b?c=d")
    try:
        yield made
    finally:
        server.close()


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynchronous
async def test_a_request_is_complete_http() -> None:
    async with peer(EMPTY) as there:
        await Poster(1).post(there.target, b'{"a":1}', {"edrv-signature": "t=1,v1=2"})

        head, _, body = there.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /a%20b?c=d HTTP/1.1"
        assert f"Host: 127.0.0.1:{there.target.address[1]}" in lines
        assert "edrv-signature: t=1,v1=2" in lines
        assert "Content-Length: 7" in lines
        assert body == b'{"a":1}'


@pytest.mark.parametrize(
    ("answer", "expected", "connections"),
    [
        (EMPTY, Answer(200), 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Answer(200), 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204), 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Answer(200), 1),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + EMPTY, Answer(200), 1),
        (
            b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            Answer(429, "7"),
            1,
        ),
        # Nothing of these may be left over for the next answer: a new connection each.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Answer(200), 3),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Answer(200), 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Answer(200), 3),
        (b"HTTP/1.1 500 Oh\r\n\r\n", Answer(500), 3),
    ],
)
@asynchronous
async def test_three_posts_reuse_a_connection_only_if_the_answer_is_whole(
    answer: bytes, expected: Answer, connections: int
) -> None:
    async with peer(answer) as there:
        poster = Poster(1)

        answers = [await poster.post(there.target, b"{}", {}) for _ in range(3)]
        poster.close()

        assert answers == [expected] * 3
        assert there.connections == connections


@pytest.mark.parametrize(
    ("answer", "hang_up", "reason"),
    [
        (b"", False, "timeout"),
        (b"HTTP/1.1 200 OK\r\nContent-", False, "timeout"),
        (b"", True, "disconnected"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False, "malformed answer"),
        (b"HTTP/1.1 abc\r\n\r\n", False, "malformed answer"),
        (b"x" * 70_000, False, "malformed answer"),
    ],
)
@asynchronous
async def test_no_answer_has_a_reason(answer: bytes, hang_up: bool, reason: str) -> None:
    async with peer(answer, hang_up=hang_up) as there:
        with pytest.raises(PostError, match=reason):
            await Poster(0.1).post(there.target, b"{}", {})


@asynchronous
async def test_a_connection_closed_while_idle_is_replaced() -> None:
    async with peer(EMPTY, hang_up=True) as there:
        poster = Poster(1)
        await poster.post(there.target, b"{}", {})
        await asyncio.sleep(0.02)

        assert await poster.post(there.target, b"{}", {}) == Answer(200)
        assert there.connections == 2


@pytest.mark.parametrize("url", ["ftp://here/x", "nothing", "http://", "/path"])
def test_a_target_is_an_http_url(url: str) -> None:
    with pytest.raises(ValueError, match="http or https"):
        Target(url)
