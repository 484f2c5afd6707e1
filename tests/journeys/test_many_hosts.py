"""Dispatchers and beats on two hosts: one rate together, and no work done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from gateway import embedded
from gateway.processes import die_with_parent
from tests.books import disagreements, held_down, unrecorded_requests
from tests.gateway_process import REPOSITORY, Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

RATE = 40
SESSIONS = 200
FLAGS = (
    "--sites", "4", "--sessions", str(SESSIONS), "--static", "--seed", "17",
    "--answer-delay", "0.02..0.1", "--share-offline", "0", "--share-simulator", "0",
    "--share-amperes-only", "0", "--webhook-backoff", "0.5,1,2",
)  # fmt: skip
CELERY = [sys.executable, "-m", "celery", "-A", "gateway"]
# What a second host runs, as README has it, under its own name.
SECOND_HOST = {
    "worker": [*CELERY, "worker", "-Q", "control", "-c", "3", "-n", "worker@second-host"],
    "dispatcher": [*CELERY, "worker", "-Q", "dispatch", "-c", "1", "-n", "dispatcher@second-host"],
    "beat": [*CELERY, "beat", "-S", "celery.beat.Scheduler", "--pidfile="],
}


@pytest.fixture(scope="module")
def edrv() -> Iterator[Simulation]:
    with Simulation(*FLAGS) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def gateway(edrv: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Nothing is to be sent again for slowness: what is doubled here is doubled work.
    patient = {"EDRV_COMMAND_DEADLINE_S": "60", "EDRV_TIMEOUT_S": "15"}
    folder = tmp_path_factory.mktemp("many-hosts")
    with Gateway(edrv, folder, EDRV_RATE_LIMIT=str(RATE), **patient) as running, ExitStack() as on:
        for name, argv in SECOND_HOST.items():
            on.enter_context(program(running, argv, running.data_dir / f"second-{name}.log"))
        for name in ("worker", "dispatcher"):
            log = running.data_dir / f"second-{name}.log"
            wait_until(lambda log=log: "ready." in log.read_text(), within_s=240)
        yield running


@contextmanager
def program(gateway: Gateway, argv: list[str], log_path: Path) -> Iterator[None]:
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [*argv, "-l", "INFO"],
            env={**gateway.env, "PLAIN_HTTP": "1"},
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_two_hosts_keep_to_one_rate_and_do_nothing_twice(
    gateway: Gateway, edrv: Simulation
) -> None:
    event = gateway.declare()
    gateway.wait_until_answered(event["id"], within_s=120)
    sets = edrv.commands()

    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed", within_s=120)
    clears = edrv.commands()[len(sets) :]

    assert_kept_to_the_rate(sets)
    assert_kept_to_the_rate(clears)
    assert_one_a_session(sets)
    assert_one_a_session(clears)
    assert held_down(edrv) == {}
    assert disagreements(gateway, edrv) == {}
    assert unrecorded_requests(gateway, edrv) == []
    assert_each_transition_once(gateway, event["id"])
    assert "commands.sending" in (gateway.data_dir / "second-dispatcher.log").read_text()


def test_a_busy_dispatcher_leaves_bells_to_one_that_is_free(
    gateway: Gateway, edrv: Simulation
) -> None:
    session = next(iter(edrv.limits()))
    slow = edrv.fault("slow", delay_s=12, match={"calls": ["set"], "session": session})
    event = gateway.declare(targets=[{"type": "session", "value": session}])
    address = embedded.redis_url(gateway.data_dir)

    with Celery(broker=embedded.celery_url(address)) as app, Redis.from_url(address) as queues:
        busy = wait_until(lambda: at_dispatchers(app, "active"), every_s=0.5)
        for _ in range(4):
            app.send_task("chargers.tasks.dispatch", queue="dispatch")
        wait_until(lambda: not queues.llen("dispatch"))
        wait_until(lambda: not at_dispatchers(app, "reserved"), every_s=0.5)
        still_busy = at_dispatchers(app, "active")

    assert len(busy) == 1
    assert busy <= still_busy, "they waited for it"
    edrv.call("DELETE", f"faults/{slow}")
    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed")


def at_dispatchers(app: Celery, what: str) -> set[str]:
    """The tasks that are running (`active`), or were taken and wait (`reserved`)."""
    told = getattr(app.control.inspect(timeout=1), what)() or {}
    return {task["id"] for tasks in told.values() for task in tasks
            if task["name"] == "chargers.tasks.dispatch"}  # fmt: skip


def assert_kept_to_the_rate(commands: list[dict]) -> None:
    """Two hosts that each kept to the rate by themselves would need half the time. The first may
    have been late by itself."""
    times = sorted(datetime.fromisoformat(row["received_at"]) for row in commands)
    least = timedelta(seconds=(len(times) - 1) / RATE)

    assert times[-1] - times[0] >= least * 0.8


def assert_one_a_session(commands: list[dict]) -> None:
    counted = Counter(row["session"] for row in commands)

    assert len(counted) == SESSIONS
    assert set(counted.values()) == {1}


def assert_each_transition_once(gateway: Gateway, event_id: str) -> None:
    told = gateway.rows(
        "SELECT action FROM chargers_auditentry WHERE subject = 'event'"
        " AND subject_ids @> ARRAY[%s]::varchar[] AND actor = 'gateway'",
        [event_id],
    )
    counted = Counter(row["action"] for row in told)

    assert counted
    assert set(counted.values()) == {1}
