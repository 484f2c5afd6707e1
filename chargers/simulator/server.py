"""The process around the world: one port for both surfaces, start, ready, stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path

import orjson
from aiohttp import web

from chargers.simulator.api import Api
from chargers.simulator.assembly import assemble
from chargers.simulator.control import PREFIX, Control
from chargers.simulator.http import ApiError, error_response
from chargers.simulator.options import Options

BACKLOG = 2048  # a burst opens hundreds of connections at once
SHUTDOWN_S = 0.5


class Simulator:
    """`async with Simulator(options) as sim` serves until the block ends."""

    def __init__(self, options: Options) -> None:
        self.parts = assemble(options)
        self._options = options
        self._api = Api(
            options, self.parts.world, self.parts.commands, self.parts.faults, self.parts.ledger
        )
        self._control = Control(self.parts)
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=SHUTDOWN_S
        )
        self.port = 0

    @property
    def api_url(self) -> str:
        return f"{self._origin}{self._options.base_path.rstrip('/')}"

    @property
    def control_url(self) -> str:
        return f"{self._origin}{PREFIX}"

    @property
    def _origin(self) -> str:
        host = self._options.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self) -> None:
        """Listen, then let time run; OSError if the port is taken."""
        options = self._options
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)  # one of an earlier run would mislead
        await self._runner.setup()
        await web.TCPSite(self._runner, options.host, options.port, backlog=BACKLOG).start()
        self.port = self._runner.addresses[0][1]
        await self.parts.senders.start()
        self.parts.traffic.start()

    async def stop(self) -> None:
        self.parts.scheduler.close()
        await self.parts.senders.stop()
        await self._runner.cleanup()

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        if self._control.owns(path):
            return await self._control.handle(request)
        if self._api.owns(path):
            return await self._api.handle(request)
        return error_response(ApiError(404, "Not found"))


async def serve(options: Options) -> None:
    """Serve until SIGTERM, SIGINT or `POST /_sim/stop`."""
    async with Simulator(options) as simulator:
        stopping = simulator.parts.stopping
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        _collect_rarely()
        _announce(simulator, options)
        await stopping.wait()


def _collect_rarely() -> None:
    """The fleet and the ledger only grow: looking through them for garbage again and again took a
    quarter of the processor time of a burst over 100,000 sessions."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _announce(simulator: Simulator, options: Options) -> None:
    """One line for people and parents; before it a file, for parents who want no parsing."""
    world = simulator.parts.world
    if options.ready_file:
        _write_ready_file(simulator, options.ready_file)
    print(
        f"simulator ready on {simulator.api_url} control={simulator.control_url} "
        f"sites={len(world.sites)} stations={len(world.stations)} "
        f"sessions={len(world.sessions)} seed={options.seed} time-factor={options.time_factor:g}",
        flush=True,
    )


def _write_ready_file(simulator: Simulator, path: Path) -> None:
    """Appears whole or not at all: a parent waits for it to exist."""
    content = {
        "port": simulator.port,
        "pid": os.getpid(),
        "api_url": simulator.api_url,
        "control_url": simulator.control_url,
    }
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(orjson.dumps(content))
    draft.replace(path)
