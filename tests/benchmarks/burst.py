"""The burst: from declaring an event to the last limit answered and recorded, and the same with
every completion applied, against a bare loop that sends the same requests."""

from __future__ import annotations

import time

from tests.benchmarks.figures import Line, Scale, rate, ratios, seconds
from tests.benchmarks.world import World, bare_loop_s
from tests.large_fleet import MIXED_POWER_W

PATIENCE_S = 600


def burst_s(world: World, sessions: int) -> float:
    """Declare → last of so many limits answered and recorded, with nobody missed or asked twice."""
    world.fill(sessions)
    world.provider.reset()
    began_at = time.time()
    world.declare()
    ended_at = world.wait_until_sent(sessions, within_s=PATIENCE_S)
    stats = world.provider.stats()
    assert stats["requests"] == stats["sessions"] == sessions, stats
    return ended_at - began_at


def closed_loop_s(world: World, sessions: int) -> float:
    """Declare → the last completion applied; two webhooks a session."""
    world.fill(sessions)
    world.provider.reset(webhook_port=world.stack.webhook_port)
    began_at = time.time()
    world.declare()
    ended_at = world.wait_until_accepted(sessions, within_s=PATIENCE_S)
    world.wait_until_quiet()
    return ended_at - began_at


def burst(world: World, scale: Scale) -> list[Line]:
    """Sending, recorded."""
    bare, ours = [], []
    for _ in range(scale.runs):
        bare.append(bare_loop_s(world, scale.fleet))
        ours.append(burst_s(world, scale.fleet))
    return [
        Line(
            f"declare → last of {scale.fleet:,} limits answered and recorded, against a bare"
            " aiohttp loop",
            ratios(ours, bare),
            at_most=1.25,
            ours=seconds(ours),
            theirs=seconds(bare),
        )
    ]


def closed_loop(world: World, scale: Scale) -> list[Line]:
    """Sending, recorded, and what the stations said of it applied."""
    bare, ours = [], []
    for _ in range(scale.runs):
        bare.append(bare_loop_s(world, scale.fleet))
        ours.append(closed_loop_s(world, scale.fleet))
    return [
        Line(
            f"closed loop: last `completed` of {scale.fleet:,} applied, against the bare loop",
            ratios(ours, bare),
            at_most=3,
            ours=seconds(ours),
            theirs=seconds(bare),
        )
    ]


def ceiling(world: World, scale: Scale) -> list[Line]:
    """What the provider itself can take: answering at once, asked by one bare loop."""
    rates = []
    for _ in range(scale.runs):
        took_s = bare_loop_s(world, scale.fleet, delay_s=0.0)
        rates.append(scale.fleet / took_s)
    return [Line("the provider's own ceiling, by one bare loop", rates, "/s", ours=rate(rates))]


def relief(world: World, scale: Scale) -> list[Line]:
    """How early the grid feels it: a fleet of which a tenth are DC chargers."""
    shares = []
    for _ in range(scale.runs):
        world.fill(scale.fleet, power_w=MIXED_POWER_W)
        world.provider.reset()
        world.declare()
        world.wait_until_sent(scale.fleet, within_s=PATIENCE_S)
        shares.append(100 * _early_share(world))
    return [
        Line(
            "share of the expected relief requested in the first 30 % of the burst's time, AC and"
            " DC mixed",
            shares,
            "%",
            at_least=60,
        )
    ]


def _early_share(world: World) -> float:
    from chargers import sql

    found = sql.rows(
        "SELECT session.external_id, command.expected_relief_w FROM chargers_command AS command"
        "  JOIN chargers_session AS session ON session.id = command.session_id"
    )
    relief_w = {row["external_id"]: row["expected_relief_w"] for row in found}
    arrivals = world.provider.arrivals()
    first, last = arrivals[0][0], arrivals[-1][0]
    early = [name for at, name in arrivals if at <= first + 0.3 * (last - first)]
    return sum(relief_w[name] for name in early) / sum(relief_w.values())
