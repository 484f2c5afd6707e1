"""The processes of one gateway on one machine, as `up`, `demo` and the tests run them."""

from __future__ import annotations

import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Self

import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from kombu.exceptions import OperationalError

from gateway import celery_app, database_role, embedded, first_sync
from gateway.processes import Program, Supervisor

WATCH_INTERVAL_S = 0.2
# How long the start waits to say what was found at eDRV.
FIRST_SYNC_S = 5.0


class StackInUse(RuntimeError):
    """Another `up` has this data directory, or something else has this port."""


class Stack:
    """Starts everything on entering, stops everything on leaving.

    say: is told, in a line each, what is being done.
    """

    def __init__(
        self,
        *,
        port: int,
        webhook_port: int | None = None,
        say: Callable[[str], object],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.webhook_port = webhook_port or port + 1
        self.webhook_url = f"http://127.0.0.1:{self.webhook_port}/webhooks/edrv/"
        self.log_dir: Path = settings.DATA_DIR / "logs"
        self._say = say
        self._env = {"PLAIN_HTTP": "1", **(env or {})}
        self._held = ExitStack()
        self._is_stopping = False
        self.supervisor = Supervisor(
            log_dir=self.log_dir,
            on_restart=lambda name: say(f"{name} had died and is back"),
            while_waiting=self._stop_if_asked,
        )

    def __enter__(self) -> Self:
        self._take_possession()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._say("stopping …")
        self.close()

    def heed_sigint(self) -> None:
        """While it starts, too, and where a shell has its background jobs ignore SIGINT."""
        signal.signal(signal.SIGINT, self._on_signal_while_starting)

    def close(self) -> None:
        self.supervisor.stop()
        self._held.close()

    def _take_possession(self) -> None:
        had = self._held.enter_context(embedded.locked(settings.DATA_DIR, "up", wait_s=5))
        if not had:
            raise StackInUse(f"Another gateway is running on {settings.DATA_DIR}.")
        for port, flag in ((self.port, "--port"), (self.webhook_port, "--webhook-port")):
            if is_taken(port):
                self._held.close()
                raise StackInUse(f"Port {port} is in use; choose another with {flag}.")

    def _start(self) -> None:
        self._start_servers()
        self._begin("migrating the database …")
        self._migrate()
        self._begin("starting web, webhooks, workers and beat …")
        programs = self.programs()
        for program in programs:
            self.supervisor.launch(program)
        asked_at = first_sync.ask()
        for program in programs:
            self.supervisor.wait_ready(program.name)
        self._say(first_sync.outcome(asked_at, within_s=FIRST_SYNC_S))
        self._stop_if_asked()
        _leave_the_database()

    def _begin(self, step: str) -> None:
        self._stop_if_asked()
        self._say(step)

    def _stop_if_asked(self) -> None:
        if self._is_stopping:
            raise KeyboardInterrupt

    def _migrate(self) -> None:
        """As the owner. The programs get the role that owns nothing, where the server is ours to
        make one in."""
        if settings.EMBEDDED_DATABASE:
            database_role.create()
            role = database_role.APP_ROLE
            self._env["DATABASE_URL"] = embedded.app_database_url(settings.DATA_DIR, role)
        call_command("migrate", verbosity=0, interactive=False)
        _leave_the_database()

    def _start_servers(self) -> None:
        if settings.EMBEDDED_DATABASE:
            self._begin(f"starting PostgreSQL in {settings.DATA_DIR} …")
            with embedded.database_turn(settings.DATA_DIR):
                self.supervisor.start(embedded.postgres_program(settings.DATA_DIR))
        if settings.EMBEDDED_REDIS:
            self._begin("starting Valkey …")
            self.supervisor.start(embedded.valkey_program(settings.DATA_DIR))

    def programs(self) -> list[Program]:
        """The gateway's own processes; compose.yaml runs the same."""
        return [self._web(), self._webhooks(), *self._workers(), self._beat()]

    def _web(self) -> Program:
        return self._python(
            "web",
            *("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "2", "--blocking-threads", "128", "--respawn-failed-workers"),
            # One that is told to stop while it still reads the code does not hear it.
            *("--workers-kill-timeout", "5"),
            "gateway.wsgi:application",
            ready=lambda: _answers(f"{self.url}/health/live/"),
        )

    def _webhooks(self) -> Program:
        return self._python(
            "webhooks",
            *("uvicorn", "--host", "127.0.0.1", "--port", str(self.webhook_port)),
            *("--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--ws", "none"),
            # Who is asked to forward what is said of TLS is known by BEHIND_PROXY alone.
            *("--no-proxy-headers", "--no-server-header"),
            *("--no-access-log", "--log-level", "warning"),
            # Connections; of those who wait for a commit `gateway.webhook_door.PLACES`.
            *("--backlog", "2048", "--limit-concurrency", "4000", "--timeout-keep-alive", "75"),
            *("--timeout-graceful-shutdown", "10"),
            "gateway.webhook_listener:application",
            ready=lambda: _answers(f"http://127.0.0.1:{self.webhook_port}/health/live/"),
        )

    def _workers(self) -> list[Program]:
        return [
            self._celery_worker("worker", queues="clock,control", processes=3),
            self._celery_worker("dispatcher", queues="dispatch", processes=1),
            self._celery_worker("notifier", queues="notices", processes=2),
        ]

    def _celery_worker(self, name: str, *, queues: str, processes: int) -> Program:
        return self._celery(
            name,
            *("worker", "-Q", queues, "-c", str(processes), "-n", f"{name}@%h"),
            *("--without-gossip", "--without-mingle", "-l", "INFO"),
            ready=lambda: _pongs(f"{name}@{socket.gethostname()}"),
        )

    def _beat(self) -> Program:
        return self._celery(
            "beat", "beat", "-l", "INFO", "-S", "celery.beat.Scheduler", "--pidfile="
        )

    def _celery(
        self, name: str, *arguments: str, ready: Callable[[], bool] = lambda: True
    ) -> Program:
        """Asked to stop, a worker finishes its tasks, which it cannot do without the servers."""
        program = self._python(name, "celery", "-A", "gateway", *arguments, ready=ready)
        return replace(program, death_signal=signal.SIGKILL)

    def _python(
        self, name: str, module: str, *arguments: str, ready: Callable[[], bool] = lambda: True
    ) -> Program:
        argv = [sys.executable, "-m", module, *arguments]
        return Program(name=name, argv=argv, env=self._env, ready=ready)

    def watch_until_stopped(self) -> None:
        """Keep everything running until SIGINT or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        while not self._is_stopping:
            self.supervisor.watch()
            time.sleep(WATCH_INTERVAL_S)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True

    def _on_signal_while_starting(self, number: int, frame: FrameType | None) -> None:
        """After the present step; who asks twice need not wait for it. Not at once: what is
        raised here is lost where Python runs a finaliser."""
        if self._is_stopping:
            raise KeyboardInterrupt
        self._is_stopping = True


def _leave_the_database() -> None:
    """Else the owner's connection stays in the pool, idle, for as long as this runs."""
    connections.close_all()
    connections["default"].close_pool()  # type: ignore[attr-defined]


def is_taken(port: int) -> bool:
    """Whether somebody listens on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _pongs(worker: str) -> bool:
    """Whether a Celery worker answers. Until it does, nothing rung for it is heard."""
    try:
        return bool(celery_app.control.ping(destination=[worker], timeout=0.5))
    except (redis.RedisError, OperationalError, OSError):
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
