"""A whole gateway as `manage.py up` runs it: real servers, real processes, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import requests
from psycopg.rows import dict_row

from gateway import embedded
from gateway.demo.world import Client
from gateway.processes import die_with_parent
from tests.ports import free_port
from tests.simulation import API_KEY, SECRET, Simulation
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parent.parent
SCOPES = ("events:read", "events:write", "fleet:read", "reports:read")

# Everything that takes a minute in life takes seconds here.
QUICK = {
    "EDRV_TIMEOUT_S": "2",
    "EDRV_COMMAND_DEADLINE_S": "3",
    "EDRV_SYNC_INTERVAL_S": "20",
    "COMPLIANCE_PATIENCE_S": "5",
    "API_RATE_LIMIT": "100000/s",
}

ROLES = {
    "web": "granian",
    "webhooks": "uvicorn",
    "worker": "-Q clock,control",
    "dispatcher": "-Q dispatch",
    "notifier": "-Q notices",
    "beat": "celery -A gateway beat",
    "postgres": "bin/postgres -D",
    "valkey": "valkey-server",
}


class Gateway:
    """`with Gateway(edrv, folder) as gateway:` — up and ready inside, gone afterwards."""

    def __init__(self, edrv: Simulation, data_dir: Path, **env: str) -> None:
        self.edrv = edrv
        self.data_dir = data_dir
        self.port, self.webhook_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.webhook_url = f"http://127.0.0.1:{self.webhook_port}/webhooks/edrv/"
        self.env = {
            **{name: value for name, value in os.environ.items() if name != "SECRET_KEY"},
            "DATA_DIR": str(data_dir),
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "EDRV_API_URL": edrv.api_url,
            "EDRV_API_KEY": API_KEY,
            "EDRV_WEBHOOK_SECRETS": SECRET,
            **QUICK,
            **env,
        }

    def __enter__(self) -> Self:
        self.edrv.send_webhooks_to(self.webhook_url)
        try:
            self.start()
            self.client = Client(self.url, self.create_client())
            wait_until(self.knows_the_fleet, within_s=120)
        except BaseException:
            self.kill_everything()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """`manage.py up`, until it is ready."""
        began_s = time.monotonic()
        with (self.data_dir / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*MANAGE, "up", "--port", str(self.port), "--webhook-port", str(self.webhook_port)],
                env=self.env,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
            )
        wait_until(self.is_ready, within_s=240, or_fail=self._has_died)
        self.started_in_s = time.monotonic() - began_s

    def _has_died(self) -> None:
        assert self.process.poll() is None, (self.data_dir / "up.log").read_text()[-3000:]

    def stop(self) -> None:
        """As Ctrl-C does. Nothing may be left."""
        family = self.family()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        left = [process for process in family if is_running(process)]
        assert not left, f"left behind: {left}"

    def family(self) -> list[psutil.Process]:
        """The `up` process and everything below it."""
        if self.process.poll() is not None:
            return []
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def programs(self) -> list[psutil.Process]:
        """What `up` itself has started. Their own children come and go: a database has one for
        each connection."""
        return psutil.Process(self.process.pid).children()

    def kill_everything(self) -> None:
        """SIGKILL to every process at once, as a power cut would."""
        for process in self.family():
            if is_running(process):
                process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def of_role(self, role: str) -> psutil.Process:
        """The leading process of a role, as soon as there is one."""

        def leader() -> psutil.Process | None:
            # Its own children alone: those of a leader that was just killed are still about.
            return next(
                (p for p in self.programs() if ROLES[role] in " ".join(command_line(p))), None
            )

        return wait_until(leader)

    def pool_child(self, role: str) -> psutil.Process:
        """A child of a worker, the one that runs tasks."""
        return wait_until(lambda: next(iter(self.of_role(role).children()), None))

    def kill(self, role: str) -> None:
        """SIGKILL to the leading process of a role; back when the supervisor has replaced it."""
        victim = self.of_role(role)
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
        self.of_role(role)

    def kill_pool_child(self, role: str) -> None:
        """SIGKILL to a process of a worker in the middle of its task."""
        self.pool_child(role).send_signal(signal.SIGKILL)

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/ready/", timeout=3).status_code == 200
        except requests.RequestException:
            return False

    def knows_the_fleet(self) -> bool:
        known = self.rows("SELECT external_id FROM chargers_session WHERE ended_at IS NULL")
        return {row["external_id"] for row in known} >= set(self.edrv.limits())

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [*MANAGE, *words], env=self.env, cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create_client(self) -> dict[str, str]:
        said = self.command("create_api_client", f"journey-{free_port()}", "--scope", *SCOPES)
        return dict(json.loads(said))

    def rows(self, query: str, parameters: Any = ()) -> list[dict[str, Any]]:
        """What the database itself says."""
        host = str(embedded.socket_dir(self.data_dir))
        with psycopg.connect(
            host=host, user="postgres", dbname="postgres", row_factory=dict_row
        ) as connection:
            return connection.execute(query, parameters).fetchall()

    # --- events ---------------------------------------------------------------------------

    def declare(self, **changes: Any) -> dict[str, Any]:
        body = {
            "name": "journey",
            "limit": {"kind": "per_session", "unit": "power", "value": 4200},
            "targets": [{"type": "all"}],
            **changes,
        }
        return dict(self.client.post("events/", body))

    def event(self, event_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"events/{event_id}/"))

    def participations(self, event_id: str) -> dict[str, dict[str, Any]]:
        found = self.client.all(f"events/{event_id}/participations/")
        return {part["session"]: part for part in found}

    def amend(self, event_id: str, **changes: Any) -> None:
        """For what the client of the demo has no use."""
        self.client._http.patch(
            f"{self.url}/api/v1/events/{event_id}/", json=changes, timeout=30
        ).raise_for_status()

    def end(self, event_id: str) -> None:
        self.client.post(f"events/{event_id}/end/")

    def wait_for_status(self, event_id: str, status: str, *, within_s: float = 60) -> None:
        wait_until(lambda: self.event(event_id)["status"] == status, within_s=within_s)

    def wait_until_answered(self, event_id: str, *, within_s: float = 60) -> None:
        """Until no session of the event is pending."""

        def answered() -> bool:
            counts = self.event(event_id)["counts"]
            return bool(counts["targeted"]) and not counts["pending"]

        wait_until(answered, within_s=within_s)


MANAGE = [sys.executable, str(REPOSITORY / "manage.py")]


def is_running(process: psutil.Process) -> bool:
    """Neither gone nor a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_line(process: psutil.Process) -> list[str]:
    """Empty for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
