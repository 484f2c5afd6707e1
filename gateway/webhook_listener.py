"""The listener of the webhooks: a process and a port of its own, on an event loop (ASGI).

A thread a webhook, as the pages' server has it, is woken twice for each, and that costs more than
to check and store it. Here one thread is woken once a commit. And neither keeps the other waiting:
webhooks are stored while a long report is made, and pages are shown while webhooks come by the
thousand.

It answers one path, and `/health/live/`. What it says is what the web process says to the same
(`chargers.webhooks.receive`, `gateway.webhook_door`), which takes webhooks at its port as well.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import django
import orjson
import structlog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

# They need the models, which are there only now.
from django.conf import settings  # noqa: E402

from chargers import webhooks  # noqa: E402
from chargers.edrv.payloads import Unreadable  # noqa: E402
from chargers.edrv.signatures import BadSignature  # noqa: E402
from chargers.group_commit import Outcomes  # noqa: E402
from chargers.problems import Problem  # noqa: E402
from chargers.tasks import inbox_bell  # noqa: E402
from gateway import problems, warmth  # noqa: E402
from gateway.webhook_door import OVERLOADED, PATH, PLACES  # noqa: E402

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

LIVE = "/health/live/"
# Whoever takes longer to say what he has to say is not eDRV.
BODY_WITHIN_S = 20.0

NOT_FOUND = Problem(404, "not_found", "There is nothing here.")
NOT_ALLOWED = Problem(405, "method_not_allowed", "Webhooks are sent by POST.")
TLS_ONLY = Problem(403, "tls_required", "Webhooks are taken over TLS alone.")
TOO_LARGE = Problem(413, "too_large", f"The body is larger than {settings.MAX_BODY_BYTES:,} bytes.")
TOO_SLOW = Problem(408, "too_slow", f"The body did not come within {BODY_WITHIN_S:,.0f} s.")


class TooSlow(Exception):
    """The body has not come to its end in time."""


class Gone(Exception):
    """The sender hung up before the end of the body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-length", b"0"),)
    body: bytes = b""

    @classmethod
    def of(cls, problem: Problem, **headers: str) -> Answer:
        body = orjson.dumps(problems.body_of(problem))
        said = {
            "content-type": problems.CONTENT_TYPE,
            "content-length": str(len(body)),
            **headers,
        }
        if problem.retry_after_s is not None:
            said["retry-after"] = str(problem.retry_after_s)
        if problem.status in (408, 413):
            # What is left of the body is not waited for.
            said["connection"] = "close"
        return cls(problem.status, [(name.encode(), text.encode()) for name, text in said.items()],
                   body)  # fmt: skip


OK = Answer()


Waiting = webhooks.Waiting[asyncio.Future[BaseException | None]]


class Listener:
    """ASGI. Of those whose body is whole, `places` at most wait for a commit; who comes after that
    is told to come again, at once."""

    def __init__(self, *, places: int = PLACES) -> None:
        self._places = places
        self._inside = 0
        self._ringing: asyncio.Future[None] | None = None
        self._commits = webhooks.commits(_call_back)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Gone:
            return
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["path"] == LIVE and scope["method"] in ("GET", "HEAD"):
            return OK
        if scope["path"] != PATH:
            return Answer.of(NOT_FOUND)
        if scope["method"] != "POST":
            return Answer.of(NOT_ALLOWED, allow="POST")
        if settings.SECURE_SSL_REDIRECT and not _is_over_tls(scope):
            return Answer.of(TLS_ONLY)
        try:
            body = await _in_time(_body(receive))
        except TooSlow:
            return Answer.of(TOO_SLOW)
        if body is None:
            return Answer.of(TOO_LARGE)
        if self._inside >= self._places:
            return Answer.of(OVERLOADED)
        self._inside += 1
        try:
            return await self._take(scope, body)
        finally:
            self._inside -= 1

    async def _take(self, scope: Scope, body: bytes) -> Answer:
        try:
            row = webhooks.read(_header(scope, b"edrv-signature"), body)
        except (BadSignature, Unreadable) as refusal:
            with _told_of(scope):
                # Counted in Redis, for which the others must not wait.
                return Answer.of(await asyncio.to_thread(webhooks.refused, refusal))
        outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self._commits.submit(webhooks.Waiting(row, outcome))
        if error := await outcome:
            with _told_of(scope):
                return Answer.of(webhooks.not_stored(error))
        self._ring()
        return OK

    def _ring(self) -> None:
        """Beside the loop, since Redis may hang, and never twice at a time."""
        if not inbox_bell.is_resting and (self._ringing is None or self._ringing.done()):
            loop = asyncio.get_running_loop()
            self._ringing = loop.run_in_executor(None, inbox_bell.ring_now)


def _call_back(outcomes: Outcomes[Waiting]) -> None:
    """From the thread that commits into the loop, once for all of them."""
    loop = outcomes[0][0].outcome.get_loop()
    loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: Outcomes[Waiting]) -> None:
    for one, error in outcomes:
        if not one.outcome.done():
            one.outcome.set_result(error)


async def _in_time(body: Awaitable[bytes | None]) -> bytes | None:
    """Raises TooSlow. `asyncio.timeout` does the same for a tenth of what a webhook costs."""
    task, is_late = asyncio.current_task(), False
    assert task is not None

    def stop() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(BODY_WITHIN_S, stop)
    try:
        return await body
    except asyncio.CancelledError as error:
        if not is_late:
            raise
        task.uncancel()
        raise TooSlow from error
    finally:
        timer.cancel()


async def _body(receive: Receive) -> bytes | None:
    """None where it is too large. Raises Gone."""
    pieces, length = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        length += len(pieces[-1])
        if length > settings.MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return b"".join(pieces)


def _told_of(scope: Scope) -> AbstractContextManager[None]:
    """What the log says of whom it was."""
    return structlog.contextvars.bound_contextvars(path=scope["path"], address=_address(scope))


def _address(scope: Scope) -> str:
    """Of the sender, as the proxy saw it; what stands before that anyone can write."""
    if settings.BEHIND_PROXY and (forwarded := _header(scope, b"x-forwarded-for")):
        return forwarded.rpartition(",")[2].strip()
    client = scope.get("client")
    return str(client[0]) if client else ""


def _is_over_tls(scope: Scope) -> bool:
    if settings.BEHIND_PROXY:
        name, value = settings.SECURE_PROXY_SSL_HEADER
        header = name.removeprefix("HTTP_").replace("_", "-").lower()
        return _header(scope, header.encode()) == value
    return bool(scope["scheme"] == "https")


def _header(scope: Scope, wanted: bytes) -> str:
    """Empty where it is not there. As WSGI has it, the same header twice is one with a comma."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


application = Listener()

warmth.spare_what_stays()
