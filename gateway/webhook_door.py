"""The door of the webhooks, before Django does anything for them.

They come by the thousand, and are proven by their signature alone: what Django does for a request
costs more than to check and store one. Its view (`chargers.webhooks.receive`) answers whatever is
not as usual.

More webhooks than can be stored: a line of bounded length, and 503 for who comes after that. eDRV
sends again what was answered 503 with `Retry-After`. A line without end would be worse: whoever
stood in it would be given up by its sender, and stored for nobody; and everything else, an
operator's order among it, would stand behind them.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from django.conf import settings

from chargers import webhooks
from chargers.edrv.payloads import Unreadable
from chargers.edrv.signatures import BadSignature
from chargers.group_commit import NotCommitted
from chargers.problems import Problem
from gateway import problems

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

PATH = "/webhooks/edrv/"
# Of a web process. Who is inside waits with all others for one commit (`chargers.group_commit`), so
# the line and the batch are the same. The threads that granian is given beyond these are there to
# turn away, and for everything else.
PLACES = 100
RETRY_AFTER_S = 2

OVERLOADED = Problem(
    503, "overloaded", "More deliveries than can be stored; send it again.",
    retry_after_s=RETRY_AFTER_S,
)  # fmt: skip
NOT_STORED = Problem(503, "not_stored", webhooks.NOT_STORED, retry_after_s=webhooks.RETRY_AFTER_S)


class Shedding:
    """WSGI: the line before one path of an application."""

    def __init__(self, application: Application, *, places: int = PLACES) -> None:
        self._application = application
        self._places = threading.BoundedSemaphore(places)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return self._application(environ, start_response)
        if not self._places.acquire(blocking=False):
            return _turn_away(OVERLOADED, start_response)
        try:
            return self._application(environ, start_response)
        finally:
            self._places.release()


class ShortWay:
    """WSGI: stores good webhooks, and leaves everything else to the application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_as_usual(environ):
            return self._application(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        try:
            row = webhooks.read(environ.get("HTTP_EDRV_SIGNATURE", ""), body)
        except (BadSignature, Unreadable) as refusal:
            return self._application(
                {**environ, "wsgi.input": io.BytesIO(body), webhooks.REFUSAL: refusal},
                start_response,
            )
        return _store(row, start_response)


def _is_as_usual(environ: Environ) -> bool:
    length = environ.get("CONTENT_LENGTH") or ""
    return (
        environ["PATH_INFO"] == PATH
        and environ["REQUEST_METHOD"] == "POST"
        and length.isdecimal()
        and int(length) <= settings.MAX_BODY_BYTES
        and (not settings.SECURE_SSL_REDIRECT or _is_over_tls(environ))
    )


def _is_over_tls(environ: Environ) -> bool:
    if settings.BEHIND_PROXY:
        name, value = settings.SECURE_PROXY_SSL_HEADER
        return bool(environ.get(name) == value)
    return bool(environ["wsgi.url_scheme"] == "https")


def _store(row: webhooks.Row, start_response: StartResponse) -> Iterable[bytes]:
    try:
        webhooks.store(row)
    except NotCommitted:
        return _turn_away(NOT_STORED, start_response)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def _turn_away(problem: Problem, start_response: StartResponse) -> Iterable[bytes]:
    body = orjson.dumps(problems.body_of(problem))
    start_response(
        "503 Service Unavailable",
        [
            ("Content-Type", problems.CONTENT_TYPE),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(problem.retry_after_s)),
        ],
    )
    return [body]
