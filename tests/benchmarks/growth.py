"""What a session costs in a large fleet and in a small one: sending, ending, planning, sweeping."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from uuid import UUID

import psutil

from tests.benchmarks.burst import burst_s
from tests.benchmarks.figures import Line, Scale, ratios, seconds
from tests.benchmarks.world import World

SWEEPS = 20
SENT = 500


def per_session(world: World, scale: Scale) -> list[Line]:
    """The burst of each size, and the most memory that a worker ever had."""
    cost_s: dict[int, list[float]] = {}
    peak_mb: dict[int, float] = {}
    for sessions in (scale.small, scale.fleet, scale.large):
        cost_s[sessions] = [burst_s(world, sessions) / sessions for _ in range(scale.runs)]
        peak_mb[sessions] = _peak_mb(world)
    base = cost_s[scale.fleet]
    return [
        *(
            Line(
                f"cost a session: {sessions:,} against {scale.fleet:,} sessions",
                ratios(cost_s[sessions], base),
                at_most=1.2,
                ours=seconds(cost_s[sessions]),
                theirs=seconds(base),
            )
            for sessions in (scale.small, scale.large)
        ),
        Line(
            f"most memory of any worker process after {scale.large:,} sessions, against after"
            f" {scale.fleet:,}",
            [peak_mb[scale.large] / peak_mb[scale.fleet]],
            at_most=1.2,
            ours=f"{peak_mb[scale.large]:.0f} MB",
            theirs=f"{peak_mb[scale.fleet]:.0f} MB",
        ),
    ]


def _peak_mb(world: World) -> float:
    """The kernel's own high-water mark (proc(5), VmHWM) of the worst pool process."""
    peaks = []
    for name in ("worker", "dispatcher"):
        for child in psutil.Process(world.stack.supervisor.pid(name)).children():
            status = Path(f"/proc/{child.pid}/status").read_text()
            [peak_kb] = [line.split()[1] for line in status.splitlines() if "VmHWM" in line]
            peaks.append(int(peak_kb) / 1024)
    return max(peaks)


def sweeping(world: World, scale: Scale) -> list[Line]:
    """The sweep of a fleet in which nothing is to be done, in this process."""
    small = [_idle_sweep_s(world, scale.small) for _ in range(scale.runs)]
    large = [_idle_sweep_s(world, scale.large) for _ in range(scale.runs)]
    return [
        Line(
            f"idle sweep: a fleet of {scale.large:,} against one of {scale.small:,}",
            ratios(large, small),
            at_most=1.2,
            ours=seconds(large),
            theirs=seconds(small),
        )
    ]


def _idle_sweep_s(world: World, sessions: int) -> float:
    from django.utils import timezone

    from dr_events import reconciliation

    world.fill(sessions)
    times = []
    with world.stopped("worker", "dispatcher", "beat"):
        for _ in range(SWEEPS):
            began_at = time.perf_counter()
            reconciliation.sweep(clock=timezone.now)
            times.append(time.perf_counter() - began_at)
    return statistics.median(times)


def ending(world: World, scale: Scale) -> list[Line]:
    """From ending an event to the last clear answered and recorded."""
    middle = [_end_s(world, scale.fleet) / scale.fleet for _ in range(scale.runs)]
    large = [_end_s(world, scale.large) / scale.large for _ in range(scale.runs)]
    return [
        Line(
            f"end of an event, cost a session: {scale.large:,} against {scale.fleet:,}",
            ratios(large, middle),
            at_most=1.2,
            ours=seconds(large),
            theirs=seconds(middle),
        )
    ]


def _end_s(world: World, sessions: int) -> float:
    event_id = world.fill_limited(sessions)
    world.provider.reset()
    began_at = time.time()
    world.client.post(f"events/{event_id}/end/")
    return world.wait_until_sent(sessions, within_s=900) - began_at


def planning(world: World, scale: Scale) -> list[Line]:
    """Sharing one cap anew among a whole fleet, in this process, against sending commands."""
    sending = [burst_s(world, SENT) for _ in range(scale.runs)]
    middle = [_replan_s(world, scale.fleet) for _ in range(scale.runs)]
    large = [_replan_s(world, scale.large) for _ in range(scale.runs)]
    each = [one / scale.fleet for one in middle], [one / scale.large for one in large]
    return [
        Line(
            f"sharing a cap anew among {scale.fleet:,} sessions, against sending {SENT} commands",
            ratios(middle, sending),
            at_most=1,
            ours=seconds(middle),
            theirs=seconds(sending),
        ),
        Line(
            f"the same, cost a session: {scale.large:,} against {scale.fleet:,}",
            ratios(each[1], each[0]),
            at_most=1.2,
            ours=seconds(each[1]),
            theirs=seconds(each[0]),
        ),
    ]


def _replan_s(world: World, sessions: int) -> float:
    event_id = world.fill_limited(
        sessions, limit={"kind": "per_event", "unit": "power", "value": 4000 * sessions}
    )
    with world.stopped("worker", "dispatcher", "beat"):
        _share_anew(event_id)
        began_at = time.perf_counter()
        _share_anew(event_id)
        return time.perf_counter() - began_at


def _share_anew(event_id: str) -> None:
    from django.utils import timezone

    from dr_events import participations, pools

    with participations.planning(timezone.now) as now:
        participations.plan_sessions(pools.members_of(UUID(event_id)), now=now)


def two_workers(world: World, scale: Scale) -> list[Line]:
    """Two dispatchers under different host names against one, with a provider to wait for.

    The whole fleet is 25 rounds of 400 in flight for one and 12.5 for two: a count that comes out
    even would charge two of them a whole round for the smallest unevenness.
    """
    one = [_slow_burst_s(world, scale.fleet) for _ in range(scale.runs)]
    argv = [sys.executable, "-m", "celery", "-A", "gateway", "worker", "-Q", "dispatch", "-c", "1",
            "-n", "dispatcher@another-host", "--without-gossip", "--without-mingle"]  # fmt: skip
    from gateway.processes import Program, Supervisor
    from gateway.stack import _pongs

    second = Program("second", argv, ready=lambda: _pongs("dispatcher@another-host"))
    with Supervisor(log_dir=world.stack.log_dir) as beside:
        beside.start(second)
        two = [_slow_burst_s(world, scale.fleet) for _ in range(scale.runs)]
    return [
        Line(
            "one worker against two (the provider answers after 1 s)",
            ratios(one, two),
            at_least=1.8,
            ours=seconds(two),
            theirs=seconds(one),
        )
    ]


def _slow_burst_s(world: World, sessions: int) -> float:
    world.fill(sessions)
    world.provider.reset(delay_s=1.0)
    began_at = time.time()
    world.declare()
    return world.wait_until_sent(sessions, within_s=600) - began_at
