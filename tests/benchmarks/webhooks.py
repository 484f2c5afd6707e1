"""Webhooks: how many are stored a second, and how many of those are applied."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.processes import Program, Supervisor
from tests.benchmarks.figures import Line, Scale, rate, ratios
from tests.benchmarks.provider import WEBHOOK
from tests.benchmarks.world import World, python, wait_for
from tests.ports import free_port


def bodies(world: World) -> list[bytes]:
    """Two webhooks for each command that eDRV has taken."""
    from chargers import sql

    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
    actions = sql.texts("SELECT action_id FROM chargers_attempt ORDER BY id")
    return [
        WEBHOOK % (action, status, b"set", status, at, action, b"set", status, at)
        for action in map(str.encode, actions)
        for status in (b"requested", b"completed")
    ]


def hammered_s(world: World, port: int, posted: list[bytes]) -> float:
    """Seconds until all of them were answered 200."""
    file = world.data_dir / "bodies"
    file.write_bytes(b"\n".join(posted))
    return float(python("tests.benchmarks.hammer", str(port), str(file)))


@contextmanager
def bare_view(world: World) -> Iterator[int]:
    """The bare view, served as the gateway's pages are; yields its port."""
    from gateway.stack import Stack, _answers

    port = free_port()
    world.run(
        "CREATE TABLE IF NOT EXISTS bare_delivery (LIKE chargers_webhookdelivery INCLUDING ALL)"
    )
    web = Stack(port=port, say=lambda _: None)._web()
    program = Program(
        name="bare_view",
        argv=[*web.argv[:-1], "tests.benchmarks.bare_view:application"],
        ready=lambda: _answers(f"http://127.0.0.1:{port}/webhooks/edrv/"),
    )
    with Supervisor(log_dir=world.stack.log_dir) as beside:
        beside.start(program)
        yield port
    world.run("DROP TABLE bare_delivery")


def stored_and_applied(world: World, scale: Scale) -> list[Line]:
    """Storing with the workers standing still, then applying what was stored."""
    bare, stored, applied = [], [], []
    for _ in range(scale.runs):
        world.fill(scale.fleet)
        world.provider.reset()
        world.declare()
        world.wait_until_sent(scale.fleet, within_s=600)
        world.wait_until_quiet()
        posted = bodies(world)
        with world.stopped("worker", "dispatcher", "beat"):
            with bare_view(world) as port:
                bare.append(len(posted) / hammered_s(world, port, posted))
            stored.append(len(posted) / hammered_s(world, world.stack.webhook_port, posted))
        applied.append(len(posted) / _applied_s(world))
        world.wait_until_quiet()
    return [
        Line(
            "webhooks stored a second, against a bare view with one INSERT",
            ratios(stored, bare),
            at_least=0.8,
            ours=rate(stored),
            theirs=rate(bare),
        ),
        Line("webhooks applied a second", applied, "/s", at_least=5_000, ours=rate(applied)),
        Line(
            "webhooks applied, against storing them",
            ratios(applied, stored),
            at_least=2,
            ours=rate(applied),
            theirs=rate(stored),
        ),
    ]


def _applied_s(world: World) -> float:
    began_at = time.perf_counter()
    wait_for(lambda: not world.value(_PENDING), within_s=300, every_s=0.01)
    return time.perf_counter() - began_at


_PENDING = "SELECT EXISTS (SELECT FROM chargers_webhookdelivery WHERE state = 'pending')"
