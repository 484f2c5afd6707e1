"""Against what a user would write first, and against Celery's own round trip."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.burst import burst_s
from tests.benchmarks.figures import Line, Scale, rate, ratios, seconds
from tests.benchmarks.world import World, wait_for

ROUND_TRIPS = 50
# It is too slow to wait for ten thousand; its rate does not depend on how many there are.
NAIVE = {"threads": (100, 1_000), "prefork": (2, 100)}
GOALS = {"threads": 12, "prefork": 100}


def naive(world: World, scale: Scale) -> list[Line]:
    """One task a session, in threads and in processes."""
    gateway = [scale.fleet / burst_s(world, scale.fleet) for _ in range(scale.runs)]
    return [
        Line(
            f"the burst against a task a session with requests, {pool} ({processes})",
            ratios(gateway, theirs := _naive_rates(world, pool, scale.runs)),
            at_least=GOALS[pool],
            ours=rate(gateway),
            theirs=rate(theirs),
        )
        for pool, (processes, _) in NAIVE.items()
    ]


def _naive_rates(world: World, pool: str, runs: int) -> list[float]:
    from tests.benchmarks.naive import set_power_limit

    processes, sessions = NAIVE[pool]
    rates = []
    with naive_worker(world, pool, processes):
        for _ in range(runs):
            world.fill(sessions)
            world.provider.reset()
            began_at = time.perf_counter()
            for number in range(1, sessions + 1):
                set_power_limit.delay(number)
            wait_for(lambda: world.value(_SAVED) == sessions, within_s=300, every_s=0.05)
            rates.append(sessions / (time.perf_counter() - began_at))
    return rates


@contextmanager
def naive_worker(world: World, pool: str, processes: int) -> Iterator[None]:
    """A Celery worker of the naive gateway, answering inside."""
    from gateway.processes import Program, Supervisor
    from tests.benchmarks.naive import nothing

    def answers() -> bool:
        nothing.delay().get(timeout=30)
        return True

    argv = [sys.executable, "-m", "celery", "-A", "tests.benchmarks.naive", "worker", "-Q",
            "naive", "-P", pool, "-c", str(processes), "-n", f"naive-{pool}@%h",
            "--without-gossip", "--without-mingle"]  # fmt: skip
    # A user's threads each have a connection of their own.
    pool_size = {"DATABASE_POOL_SIZE": str(max(2, processes))}
    program = Program("naive", argv, env=pool_size, ready=answers)
    with Supervisor(log_dir=world.stack.log_dir) as beside:
        beside.start(program)
        yield


def first_command(world: World, scale: Scale) -> list[Line]:
    """How soon something is on its way, against how soon Celery runs a task and says so."""
    ours, theirs = [], []
    for _ in range(scale.runs):
        with naive_worker(world, "prefork", 1):
            theirs.append(_round_trip_s())
        ours.append(_first_command_s(world, scale.fleet))
    return [
        Line(
            "declare → first command on the wire, against Celery's empty round trip",
            ratios(ours, theirs),
            at_most=3,
            ours=seconds(ours),
            theirs=seconds(theirs),
        )
    ]


def _round_trip_s() -> float:
    from tests.benchmarks.naive import nothing

    times = []
    for _ in range(ROUND_TRIPS):
        began_at = time.perf_counter()
        nothing.delay().get(timeout=30, interval=0.001)
        times.append(time.perf_counter() - began_at)
    return statistics.median(times)


def _first_command_s(world: World, sessions: int) -> float:
    world.fill(sessions)
    world.provider.reset()
    began_at = time.time()
    world.declare()
    world.wait_until_sent(sessions, within_s=600)
    return float(world.provider.stats()["first_s"] - began_at)


_SAVED = "SELECT count(*) FROM chargers_session WHERE wanted_value IS NOT NULL"
