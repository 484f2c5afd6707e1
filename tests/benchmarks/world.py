"""What every line is measured in: the whole gateway as `up` runs it, a lean provider, and a fleet
of any size filled in by SQL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import requests

from tests.large_fleet import AC_POWER_W
from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
API_KEY = "benchmark"
SECRET = "benchmark-secret"
LIMIT_W = 4200
IN_FLIGHT = 400
PROVIDER_DELAY_S = 0.1
Found = TypeVar("Found")


def session_name(number: int) -> str:
    """The eDRV id of a session of the fleet, counted from 1."""
    return f"{number:024x}"


def prepare_environment(data_dir: Path, provider_port: int) -> None:
    """Set before Django's settings are read, for this process and all that it starts."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="gateway.settings",
        DATA_DIR=str(data_dir),
        DATABASE_URL="",
        REDIS_URL="",
        PLAIN_HTTP="1",
        SECRET_KEY="only-for-benchmarks-" + "x" * 50,
        EDRV_API_URL=f"http://127.0.0.1:{provider_port}/v1.1",
        # Without a key the fleet is not synced: it was filled in by hand.
        EDRV_API_KEY="",
        EDRV_WEBHOOK_SECRETS=SECRET,
        EDRV_MAX_CONCURRENCY=str(IN_FLIGHT),
        # Nobody answers where no webhooks are sent; nobody is to be asked again for it.
        EDRV_COMMAND_DEADLINE_S="3600",
        API_RATE_LIMIT="100000/s",
        TOKEN_RATE_LIMIT="100000/s",
    )
    import django

    django.setup()


class World:
    """`with World() as world:` — everything runs inside, nothing is left afterwards."""

    def __enter__(self) -> Self:
        self.data_dir = Path(tempfile.mkdtemp(prefix="dr-bench-"))
        self.provider = Provider(free_port())
        prepare_environment(self.data_dir, self.provider.port)
        from gateway.stack import Stack

        self.port = free_port()
        self.stack = Stack(port=self.port, webhook_port=free_port(), say=lambda _: None)
        try:
            self.provider.start()
            self.stack.__enter__()
            self.client = self._make_client()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        from django.db import connections

        connections.close_all()
        self.stack.close()
        self.provider.stop()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def _make_client(self) -> Any:
        from gateway.demo.world import Client

        said = subprocess.run(
            [sys.executable, str(REPOSITORY / "manage.py"), "create_api_client", "benchmark",
             "--scope", "events:read", "events:write", "fleet:read", "reports:read"],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return Client(self.stack.url, json.loads(said))

    @contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """These of the gateway's programs stand still inside (SIGSTOP), none of them in the middle
        of a transaction or holding a lock."""
        groups = [self.stack.supervisor.pid(name) for name in names]
        try:
            wait_for(lambda: self._stop_between_transactions(groups), within_s=60, every_s=0.05)
            yield
        finally:
            _signal_all(groups, signal.SIGCONT)

    def _stop_between_transactions(self, groups: Sequence[int]) -> bool:
        _signal_all(groups, signal.SIGSTOP)
        if not self.value(_HELD):
            return True
        _signal_all(groups, signal.SIGCONT)
        return False

    # --- the database ---------------------------------------------------------------------

    def run(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        from chargers import sql

        sql.run(statement, parameters)

    def value(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The one value that a query yields."""
        from chargers import sql

        [[found]] = [list(row.values()) for row in sql.rows(query, parameters)]
        return found

    def empty(self) -> None:
        """No fleet, no events, no commands: as on the first day."""
        from django.db import OperationalError

        for _ in range(10):
            try:
                self.run(f"TRUNCATE {', '.join(EMPTIED)} RESTART IDENTITY CASCADE")
                return
            except OperationalError:  # a deadlock with a sweep
                time.sleep(0.5)
        raise RuntimeError("the tables cannot be emptied")

    def fill(self, sessions: int, *, power_w: str = AC_POWER_W) -> None:
        """A fleet of so many charging sessions and nothing else. `power_w`: SQL of what each
        draws, from its `number`."""
        from tests import large_fleet

        self.empty()
        large_fleet.fill(sessions, power_w=power_w)
        self.analyse()

    def fill_limited(self, sessions: int, **changes: Any) -> str:
        """A fleet in an event that all of it has accepted; returns the event's id."""
        from dr_events.models import Event
        from tests import large_fleet

        # Who still looks for answers to what was sent last is hardly ever between transactions.
        self.empty()
        with self.stopped("worker", "dispatcher", "beat"):
            self.fill(sessions)
            event_id = str(self.declare(**changes)["id"])
            large_fleet.limit(event_id, limit_w=LIMIT_W)
            Event.objects.update(planned_revision=1, planned_at=in_an_hour(),
                                 reference_w=0, reference_sessions=sessions)  # fmt: skip
            self.analyse()
        return event_id

    def analyse(self) -> None:
        """What autovacuum does within a minute."""
        self.run(f"VACUUM ANALYZE chargers_placeload, {', '.join(EMPTIED)}")

    # --- events ---------------------------------------------------------------------------

    def declare(self, **changes: Any) -> dict[str, Any]:
        """An event on the whole fleet, over REST as an upstream system declares it."""
        body = {
            "name": "benchmark",
            "limit": {"kind": "per_session", "unit": "power", "value": LIMIT_W},
            "targets": [{"type": "all"}],
            **changes,
        }
        return dict(self.client.post("events/", body))

    def wait_until_sent(self, commands: int, *, within_s: float) -> float:
        """Until so many commands were answered and every answer is on record; returns when."""
        self.provider.wait_until_answered(commands, within_s=within_s)
        wait_for(lambda: not self.value(_UNRECORDED), within_s=within_s, every_s=0.01)
        return time.time()

    def wait_until_accepted(self, commands: int, *, within_s: float) -> float:
        """Until the completion of so many commands is applied; returns when."""
        self.provider.wait_until_answered(commands, within_s=within_s)
        wait_for(lambda: not self.value(_UNSETTLED), within_s=within_s, every_s=0.1)
        return time.time()

    def wait_until_quiet(self, *, within_s: float = 120) -> None:
        """Until nothing is left to plan, send or apply."""
        wait_for(lambda: not self.value(_BUSY), within_s=within_s, every_s=0.2)


class Provider:
    """The lean provider as a process, and its control calls."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = requests.Session()

    def start(self) -> None:
        from gateway.processes import die_with_parent

        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.provider", str(self.port)],
            cwd=REPOSITORY, stdout=subprocess.PIPE,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def reset(self, **settings: Any) -> None:
        settings = {"delay_s": PROVIDER_DELAY_S, "secret": SECRET, **settings}
        self.http.post(f"{self.url}/_reset", json=settings, timeout=10).raise_for_status()

    def stats(self) -> dict[str, Any]:
        return dict(self.http.get(f"{self.url}/_stats", timeout=30).json())

    def wait_until_answered(self, requests: int, *, within_s: float) -> None:
        """Raises requests.Timeout."""
        self.http.get(f"{self.url}/_answered/{requests}", timeout=within_s).raise_for_status()

    def arrivals(self) -> list[tuple[float, str]]:
        """When each command came, and for which session."""
        return [
            (at, name) for at, name in self.http.get(f"{self.url}/_arrivals", timeout=60).json()
        ]


def bare_loop_s(world: World, sessions: int, *, delay_s: float = PROVIDER_DELAY_S) -> float:
    """Seconds that a bare aiohttp loop takes for the same requests."""
    world.provider.reset(delay_s=delay_s)
    api_url = f"{world.provider.url}/v1.1"
    return float(python("tests.benchmarks.bare", api_url, str(sessions), str(IN_FLIGHT)))


def _signal_all(groups: Sequence[int], number: signal.Signals) -> None:
    for group in groups:
        os.killpg(group, number)


def in_an_hour() -> datetime:
    """Until then nobody plans the event anew by himself."""
    return datetime.now(UTC) + timedelta(hours=1)


def python(module: str, *arguments: str) -> str:
    """What a module prints, run to its end in a process of its own. What goes wrong there is
    told on standard error."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip


def wait_for(found: Callable[[], Found], *, within_s: float, every_s: float) -> Found:
    """What `found` returns, once it is true. Raises TimeoutError."""
    give_up_at = time.monotonic() + within_s
    while not (value := found()):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {within_s:.0f} s in vain")
        time.sleep(every_s)
    return value


EMPTIED = (
    "chargers_site", "chargers_chargestation", "chargers_connector", "chargers_session",
    "chargers_meterreading", "chargers_command", "chargers_attempt", "chargers_webhookdelivery",
    "chargers_sessionnews", "chargers_heartbeat", "chargers_auditentry", "chargers_auditlink",
    "dr_events_event", "dr_events_eventtarget", "dr_events_participation",
)  # fmt: skip

_HELD = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
                    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
                      AND xact_start IS NOT NULL)
        OR EXISTS (SELECT FROM pg_locks
                    WHERE locktype = 'advisory' AND pid <> pg_backend_pid())
"""
_UNRECORDED = "SELECT EXISTS (SELECT FROM chargers_command WHERE state = 'due')"
_UNSETTLED = (
    "SELECT EXISTS (SELECT FROM chargers_command WHERE state IN ('due', 'sent', 'unconfirmed'))"
)
_BUSY = """
    SELECT EXISTS (SELECT FROM chargers_sessionnews)
        OR EXISTS (SELECT FROM chargers_command WHERE state IN ('due', 'unconfirmed'))
        OR EXISTS (SELECT FROM chargers_webhookdelivery WHERE state = 'pending')
        OR EXISTS (SELECT FROM dr_events_event WHERE planned_revision < revision)
"""
