"""The control surface below `/_sim/`: the world as it is, the ledger, faults on request.

Not part of eDRV: plain JSON, no key. Whoever can reach the port can use it, which is why the
simulator listens on loopback unless told otherwise. Every bad call gets 400 naming the field.
"""

from __future__ import annotations

from aiohttp import web

from chargers.simulator.assembly import Assembly
from chargers.simulator.control_calls import Call
from chargers.simulator.control_reads import READS
from chargers.simulator.control_writes import DELETES, POSTS
from chargers.simulator.fields import FieldError
from chargers.simulator.http import ApiError, BadJsonError, json_response, parse_json, split_target

PREFIX = "/_sim"
TABLES = {"GET": READS, "POST": POSTS, "DELETE": DELETES}


class Control:
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    @staticmethod
    def owns(path: str) -> bool:
        return path.startswith(PREFIX)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return json_response(await self._answer(request))
        except (FieldError, BadJsonError) as error:
            return json_response({"error": str(error)}, 400)
        except ApiError as error:
            return json_response({"error": error.message}, error.status)

    async def _answer(self, request: web.BaseRequest) -> object:
        path, query = split_target(request.raw_path)
        parts = path.removeprefix(PREFIX).lstrip("/").split("/")
        for pattern, handler in TABLES.get(request.method, {}).items():
            args = _match(pattern.split("/"), parts)
            if args is not None:
                body = parse_json(await request.read())
                return await handler(self._assembly, Call(tuple(args), query, body))
        raise ApiError(404, f"no such control call: {request.method} {path}")


def _match(pattern: list[str], parts: list[str]) -> list[str] | None:
    """What stands at the stars of a pattern, if it fits."""
    if len(pattern) != len(parts):
        return None
    pairs = list(zip(pattern, parts, strict=True))
    if any(expected not in ("*", part) for expected, part in pairs):
        return None
    return [part for expected, part in pairs if expected == "*"]
