"""One simulator for all tests of the fleet: cars that stand still, stations that answer fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation import API_KEY, SECRET, Simulation

FLAGS = (
    "--sites", "3", "--sessions", "60", "--static", "--answer-delay", "0..0.02",
    "--share-simulator", "0.15", "--share-amperes-only", "0.15", "--share-offline", "0.1",
    "--seed", "7",
)  # fmt: skip


@pytest.fixture(scope="session")
def simulation() -> Iterator[Simulation]:
    with Simulation(*FLAGS) as edrv:
        yield edrv


@pytest.fixture
def edrv(simulation: Simulation, settings: Any) -> Iterator[Simulation]:
    """The simulator as the gateway's eDRV; its faults are gone afterwards."""
    settings.EDRV_API_URL = simulation.api_url
    settings.EDRV_API_KEY = API_KEY
    settings.EDRV_WEBHOOK_SECRETS = [SECRET]
    settings.EDRV_TIMEOUT_S = 2
    yield simulation
    simulation.clear_faults()
