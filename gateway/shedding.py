"""More webhooks than can be stored: a line of bounded length, and 503 for who comes after that.

eDRV sends again what was answered 503 with `Retry-After`. A line without end would be worse:
whoever stood in it would be given up by its sender, and stored for nobody; and everything else,
an operator's order among it, would stand behind them. Turned away is who comes before Django
does anything for him, so that a flood costs next to nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

PATH = "/webhooks/edrv/"
# Of a web process: how many are stored side by side, and how many more may stand in line. The
# threads that granian is given beyond both are there to turn away, and for everything else.
STORING = 4
WAITING = 96
RETRY_AFTER_S = 2

_BODY = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,'
    b'"detail":"More deliveries than can be stored; send it again.","code":"overloaded",'
    b'"errors":[]}'
)
_HEADERS = [
    ("Content-Type", "application/problem+json"),
    ("Content-Length", str(len(_BODY))),
    ("Retry-After", str(RETRY_AFTER_S)),
]


class Shedding:
    """WSGI: the line before one path of an application."""

    def __init__(
        self, application: Application, *, storing: int = STORING, waiting: int = WAITING
    ) -> None:
        self._application = application
        self._places = threading.BoundedSemaphore(storing + waiting)
        self._turns = threading.BoundedSemaphore(storing)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return self._application(environ, start_response)
        if not self._places.acquire(blocking=False):
            start_response("503 Service Unavailable", _HEADERS)
            return [_BODY]
        try:
            with self._turns:
                return self._application(environ, start_response)
        finally:
            self._places.release()
