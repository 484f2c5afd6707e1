"""One gateway and one simulated fleet for the journeys that leave both as they found them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

FLAGS = (
    "--sites", "4", "--sessions", "80", "--static", "--time-factor", "10", "--seed", "11",
    "--answer-delay", "0.02..0.3", "--share-offline", "0.05", "--share-simulator", "0.1",
    "--webhook-backoff", "0.5,1,2",
)  # fmt: skip


@pytest.fixture(scope="session")
def simulation() -> Iterator[Simulation]:
    with Simulation(*FLAGS) as edrv:
        yield edrv


@pytest.fixture(scope="session")
def running(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(simulation, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, simulation: Simulation) -> Iterator[Gateway]:
    """The running gateway; whatever the test did is over afterwards."""
    yield running
    simulation.clear_faults()
    for event in running.client.all("events/", status="active"):
        running.end(event["id"])
    for event in running.client.all("events/", status="scheduled"):
        running.client.post(f"events/{event['id']}/cancel/")
    wait_until(lambda: not running.client.all("events/", status="restoring"), within_s=90)


@pytest.fixture
def edrv(simulation: Simulation) -> Simulation:
    return simulation
