"""Whatever happens in whatever order, the promises hold after every step."""

import logging
import random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from chargers import sql
from dr_events.models import Event
from tests.faults.machine import Gateway

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(3600)]

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
SHORT = settings(max_examples=25, stateful_step_count=40, **COMMON)
LONG = settings(max_examples=220, stateful_step_count=60, **COMMON)


@pytest.fixture
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def the_same_chance(monkeypatch):
    """What is left to chance goes by ids, and a run that is repeated has to have the same ones:
    Hypothesis seeds this generator."""
    field = Event._meta.get_field("id")
    monkeypatch.setitem(field.__dict__, "_get_default", lambda: UUID(int=random.getrandbits(128)))


@pytest.fixture
def all_the_time_it_takes(db):
    """All of it is one transaction, and Hypothesis may think for long in its middle."""
    sql.run("SET idle_in_transaction_session_timeout = 0")


@pytest.mark.usefixtures("quiet", "the_same_chance", "all_the_time_it_takes")
def test_the_promises_hold_after_every_step_whatever_its_order(pytestconfig):
    steps_before = Gateway.steps
    run_state_machine_as_test(Gateway, settings=LONG if pytestconfig.getoption("--long") else SHORT)
    print(f"{Gateway.steps - steps_before:,} steps")
