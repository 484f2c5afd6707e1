"""Faults on the line: what a caller of the API gets instead of, or before, the answer.

Each takes the request and `do`, which performs the call; whether it is performed at all is the
fault's `effect`. A cut connection is answered by an empty response that nobody can receive.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from chargers.simulator.faults import Fault
from chargers.simulator.http import ApiError

Do = Callable[[], Awaitable[web.StreamResponse]]
Disturbance = Callable[[web.BaseRequest, Fault, Do], Awaitable[web.StreamResponse]]

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: closing sends RST, not FIN
HTML = (
    "<html>\r\n<head><title>{code} {reason}</title></head>\r\n<body>\r\n"
    "<center><h1>{code} {reason}</h1></center>\r\n<hr><center>nginx</center>\r\n"
    "</body>\r\n</html>\r\n"
)
REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 504: "Gateway Time-out"}


class ConnectionCutError(Exception):
    """The connection was cut: the ledger knows of no answer."""


async def http_reject(request: web.BaseRequest, fault: Fault, do: Do) -> web.StreamResponse:
    raise ApiError(400, fault.params["message"])


async def timeout(request: web.BaseRequest, fault: Fault, do: Do) -> web.StreamResponse:
    """Silence, then the connection is closed."""
    await _effect(fault, do)
    await asyncio.sleep(fault.params["hold_s"])
    if request.transport:
        request.transport.close()
    raise ConnectionCutError


async def slow(request: web.BaseRequest, fault: Fault, do: Do) -> web.StreamResponse:
    response = await do()
    await asyncio.sleep(fault.params["delay_s"])
    return response


async def rate_limit(request: web.BaseRequest, fault: Fault, do: Do) -> web.StreamResponse:
    retry_after_s = fault.params["retry_after_s"]
    headers = {} if retry_after_s is None else {"Retry-After": str(math.ceil(retry_after_s))}
    raise ApiError(429, "Too many requests", headers)


async def server_error(request: web.BaseRequest, fault: Fault, do: Do) -> web.StreamResponse:
    """In eDRV's envelope, or as a proxy in front of it would say it."""
    await _effect(fault, do)
    code = fault.params["code"]
    reason = REASONS.get(code, "Service Unavailable")
    if not fault.params["html"]:
        raise ApiError(code, reason)
    text = HTML.format(code=code, reason=reason)
    return web.Response(text=text, status=code, content_type="text/html")


async def reset(request: web.BaseRequest, fault: Fault, do: Do) -> web.StreamResponse:
    await _effect(fault, do)
    if request.transport:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        request.transport.abort()
    raise ConnectionCutError


async def _effect(fault: Fault, do: Do) -> None:
    """A call that would be refused has no effect; the refusal does not reach the caller either."""
    if fault.params["effect"]:
        with contextlib.suppress(ApiError):
            await do()


DISTURBANCES: Mapping[str, Disturbance] = {
    "http_reject": http_reject,
    "timeout": timeout,
    "slow": slow,
    "rate_limit": rate_limit,
    "server_error": server_error,
    "reset": reset,
}
