"""eDRV's REST API below its base path: authentication, lists, look-ups and the two commands.

Errors other than 401 are in no page of eDRV's; 400, 404, 405, 409 and 429 in its envelope are our
choice. Order of the checks: key, path, method, faults, session, body, state of the session.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from chargers.simulator import payloads, stations
from chargers.simulator.cars import Limit
from chargers.simulator.commands import Command, Commands
from chargers.simulator.disturb import DISTURBANCES, ConnectionCutError
from chargers.simulator.faults import HTTP_KINDS, Faults, Occasion
from chargers.simulator.http import (
    ApiError,
    BadJsonError,
    error_response,
    json_response,
    parse_json,
    result_response,
    split_target,
)
from chargers.simulator.ledger import Ledger, Request
from chargers.simulator.lists import page
from chargers.simulator.model import Json, Status
from chargers.simulator.options import Options
from chargers.simulator.resources import Resource, found, populated, resources
from chargers.simulator.world import World

COMMANDS = {"set_power_limit": "set", "clear_power_limit": "clear"}
UNITS = ("power", "current")


class Api:
    def __init__(
        self, options: Options, world: World, commands: Commands, faults: Faults, ledger: Ledger
    ) -> None:
        self._options, self._world, self._commands = options, world, commands
        self._faults, self._ledger = faults, ledger
        self._authorization = f"Bearer {options.api_key}"
        self._base = options.base_path.rstrip("/")
        self._resources = resources(world)

    def owns(self, path: str) -> bool:
        return path.startswith(f"{self._base}/")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, query = split_target(request.raw_path)
        entry = self._ledger.opened(request.method, path)
        status: int | None = None
        try:
            response = await self._respond(request, path, query, entry)
            status = response.status
            return response
        except ConnectionCutError:
            return web.Response()
        finally:
            self._ledger.closed(entry, status)

    async def _respond(
        self, request: web.BaseRequest, path: str, query: Mapping[str, str], entry: Request
    ) -> web.StreamResponse:
        try:
            response = await self._route(request, path, query, entry)
        except ApiError as error:
            response = error_response(error)
        if self._options.http_delay_s:
            await asyncio.sleep(self._options.http_delay_s)
        return response

    async def _route(
        self, request: web.BaseRequest, path: str, query: Mapping[str, str], entry: Request
    ) -> web.StreamResponse:
        if request.headers.get("Authorization") != self._authorization:
            raise ApiError(401, "Unauthorized")
        match path.removeprefix(f"{self._base}/").split("/"):
            case ["sessions", id_, verb] if verb in COMMANDS:
                self._check_method(request, self._options.command_method)
                entry.call = COMMANDS[verb]
                return await self._command(request, query, entry, id_)
            case parts:
                return await self._read(request, query, entry, parts)

    @staticmethod
    def _check_method(request: web.BaseRequest, method: str) -> None:
        if request.method != method:
            raise ApiError(405, f"Method {request.method} not allowed", {"Allow": method})

    # --- reading --------------------------------------------------------------------------

    async def _read(
        self,
        request: web.BaseRequest,
        query: Mapping[str, str],
        entry: Request,
        parts: list[str],
    ) -> web.StreamResponse:
        answer = self._reader(parts, query)
        self._check_method(request, "GET")
        entry.call = "list" if len(parts) == 1 else "look"
        if parts[0] == "sessions" and len(parts) > 1:
            entry.session_id = parts[1]

        async def do() -> web.StreamResponse:
            return answer()

        return await self._disturbed(request, entry, do)

    def _reader(
        self, parts: list[str], query: Mapping[str, str]
    ) -> Callable[[], web.StreamResponse]:
        match parts:
            case ["sessions", id_, "energy_reports"]:
                return lambda: self._energy_reports(id_)
            case ["actions", id_] if self._options.actions:
                return lambda: result_response(payloads.action(found(self._commands.actions, id_)))
            case [name] if name in self._resources:
                return lambda: self._list(self._resources[name], query)
            case [name, id_] if name in self._resources:
                return lambda: self._look(self._resources[name], id_, query)
            case _:
                raise ApiError(404, "Not found")

    def _list(self, resource: Resource, query: Mapping[str, str]) -> web.StreamResponse:
        shown = page(
            resource.items,
            query,
            filters=resource.filters,
            first_page=self._options.first_page,
        )
        populate = populated(query)
        return json_response(
            {
                "ok": True,
                "message": "",
                "result": [resource.show(item, populate) for item in shown.items],
                "hasNext": shown.has_next,
                "hasPrevious": shown.has_previous,
            }
        )

    def _look(self, resource: Resource, id_: str, query: Mapping[str, str]) -> web.StreamResponse:
        item = found(resource.by_id, id_)
        return result_response(resource.show(item, populated(query)))

    def _energy_reports(self, id_: str) -> web.StreamResponse:
        session = found(self._world.sessions, id_)
        report = self._world.payloads.report
        return result_response([report(session, *row) for row in session.samples.rows()])

    # --- commanding -----------------------------------------------------------------------

    async def _command(
        self, request: web.BaseRequest, query: Mapping[str, str], entry: Request, id_: str
    ) -> web.StreamResponse:
        raw = await request.read()
        entry.session_id, entry.body = id_, raw

        async def do() -> web.StreamResponse:
            session = found(self._world.sessions, id_)
            command = Command(session, self._limit(entry.call, raw, query))
            self._check_state(command)
            return await self._issue(command, entry)

        return await self._disturbed(request, entry, do)

    def _limit(self, call: str, raw: bytes, query: Mapping[str, str]) -> Limit | None:
        """None for a clear, whose body, if any, is not looked at."""
        if call == "clear":
            return None
        if self._options.command_method == "GET" and not raw:
            return _parse_limit(_body_of(query))
        try:
            return _parse_limit(parse_json(raw))
        except BadJsonError as error:
            raise ApiError(400, f"Validation failed: {error}") from None

    def _check_state(self, command: Command) -> None:
        if command.session.status is not Status.STARTED:
            raise ApiError(409, f"Session is {command.session.status}, not Started")
        reason = stations.unsupported(command.station.kind, command.limit)
        if reason and self._options.unsupported == "http":
            raise ApiError(400, reason)

    async def _issue(self, command: Command, entry: Request) -> web.StreamResponse:
        first = self._faults.strike(("webhook_first",), command.occasion)
        if first:
            wait_s = first.params["wait_s"]
            payload = await self._commands.issue_webhooks_first(command, wait_s=wait_s)
            entry.fault_id = first.id
        else:
            payload = payloads.action(self._commands.issue(command))
        entry.action_id = payload["_id"]
        return result_response(payload, self._options.command_status)

    async def _disturbed(
        self, request: web.BaseRequest, entry: Request, do: Callable[[], Any]
    ) -> web.StreamResponse:
        session = self._world.sessions.get(entry.session_id or "")
        station_id = session.station.id if session else None
        occasion = Occasion(entry.session_id, station_id, entry.call)
        fault = self._faults.strike(HTTP_KINDS, occasion)
        if fault is None:
            response: web.StreamResponse = await do()
            return response
        entry.fault_id = fault.id
        return await DISTURBANCES[fault.kind](request, fault, do)


def _parse_limit(body: object) -> Limit:
    if not isinstance(body, dict):
        raise ApiError(400, "Validation failed: body must be an object")
    if body.get("unit") not in UNITS:
        raise ApiError(400, 'Validation failed: "unit" must be one of [power, current]')
    limit = body.get("limit")
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise ApiError(400, 'Validation failed: "limit" must be a number')
    if not math.isfinite(limit) or limit < 0:
        raise ApiError(400, 'Validation failed: "limit" must be greater than or equal to 0')
    return Limit(body["unit"], float(limit))


def _body_of(query: Mapping[str, str]) -> Json:
    """What a body would have said, from `?unit=current&limit=16`."""
    try:
        return {**query, "limit": float(query["limit"])}
    except (KeyError, ValueError):
        return dict(query)
