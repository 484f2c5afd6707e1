"""One gateway and one simulated fleet for the faults that leave both as they found them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.ledgers import end_and_compare
from tests.gateway_process import Gateway
from tests.simulation import Simulation

SESSIONS = 60
RATE_PER_S = 40
DEADLINE_S = 4
# Simulated seconds in a real one.
TIME_FACTOR = 10
FLAGS = (
    "--sites", "4", "--sessions", str(SESSIONS), "--static", "--time-factor", str(TIME_FACTOR),
    "--seed", "23", "--answer-delay", "0.02..0.2", "--share-offline", "0",
    "--share-simulator", "0.1", "--webhook-backoff", "0.5,1,2", "--webhook-tries", "100",
)  # fmt: skip


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    """Whether there is time for the long version."""
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture(scope="session")
def simulation() -> Iterator[Simulation]:
    with Simulation(*FLAGS) as edrv:
        yield edrv


@pytest.fixture(scope="session")
def running(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "EDRV_RATE_LIMIT": str(RATE_PER_S),
        "EDRV_COMMAND_DEADLINE_S": str(DEADLINE_S),
    }
    with Gateway(simulation, tmp_path_factory.mktemp("faults"), **settings) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, simulation: Simulation) -> Iterator[Gateway]:
    """The running gateway; whatever the test did is over afterwards, and nothing is left."""
    yield running
    simulation.clear_faults()
    left = running.client.all("events/", status="active")
    end_and_compare(running, simulation, *(event["id"] for event in left))


@pytest.fixture
def edrv(simulation: Simulation) -> Simulation:
    return simulation
