"""The line of the webhooks, at the listener (`gateway.webhook_listener`) and before Django.

More webhooks than can be stored: a line of bounded length, and 503 for who comes after that. eDRV
sends again what was answered 503 with `Retry-After`. A line without end would be worse: whoever
stood in it would be given up by its sender, and stored for nobody; and everything else, an
operator's order among it, would stand behind them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from chargers.problems import Problem
from gateway import problems

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

PATH = "/webhooks/edrv/"
# Of one process. The threads that granian is given beyond these are there to turn away, and for
# everything else.
PLACES = 100
RETRY_AFTER_S = 2

OVERLOADED = Problem(
    503, "overloaded", "More deliveries than can be stored; send it again.",
    retry_after_s=RETRY_AFTER_S,
)  # fmt: skip


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
