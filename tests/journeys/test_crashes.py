"""kill -9 of the worker in mid-fan-out, of everything in mid-event: seconds, never correctness."""

import time

import pytest

from tests.books import disagreements, held_down, unrecorded_requests
from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

FLAGS = (
    "--sites", "6", "--sessions", "300", "--static", "--time-factor", "10", "--seed", "5",
    "--answer-delay", "0.05..0.3", "--share-offline", "0",
    "--share-simulator", "0", "--share-amperes-only", "0", "--webhook-backoff", "0.5,1,2",
    # Slow enough to be caught in the middle.
    "--http-delay", "0.25",
)  # fmt: skip

SETTLED = "SELECT count(*) FROM chargers_command WHERE state IN ('due', 'sent', 'unconfirmed')"


@pytest.fixture(scope="module")
def edrv():
    with Simulation(*FLAGS) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def gateway(edrv, tmp_path_factory):
    """One gateway that has to survive all of this."""
    folder = tmp_path_factory.mktemp("crashes")
    with Gateway(edrv, folder, EDRV_MAX_CONCURRENCY="20") as running:
        yield running


def in_mid_fanout(edrv):
    """Some stations are limited, most are not yet."""
    return 20 <= len(held_down(edrv)) <= 150


def wait_until_all_confirmed(gateway, event_id):
    """A killed process may leave an answer to wait for, never a session to forget."""

    def confirmed():
        parts = gateway.participations(event_id).values()
        return len(parts) == 300 and {part["state"] for part in parts} == {"confirmed"}

    wait_until(confirmed, within_s=90, every_s=0.5)


def finish_and_compare(gateway, edrv, event_id):
    gateway.end(event_id)
    gateway.wait_for_status(event_id, "completed", within_s=90)
    assert held_down(edrv) == {}
    assert disagreements(gateway, edrv) == {}
    assert unrecorded_requests(gateway, edrv) == []
    assert gateway.rows(SETTLED) == [{"count": 0}]


@pytest.mark.parametrize("victim", ["pool child", "dispatcher", "worker", "beat", "web"])
def test_a_killed_process_costs_seconds_and_no_session(gateway, edrv, victim):
    event = gateway.declare()
    wait_until(lambda: in_mid_fanout(edrv), within_s=60, every_s=0.02)

    if victim == "pool child":
        gateway.kill_pool_child("dispatcher")
    else:
        gateway.kill(victim)

    wait_until(gateway.is_ready, within_s=90)
    wait_until_all_confirmed(gateway, event["id"])
    wait_until(lambda: not disagreements(gateway, edrv))
    finish_and_compare(gateway, edrv, event["id"])


@pytest.mark.parametrize("victim", ["valkey", "postgres"])
def test_a_killed_server_costs_seconds_and_no_session(gateway, edrv, victim):
    event = gateway.declare()
    wait_until(lambda: in_mid_fanout(edrv), within_s=60, every_s=0.02)

    gateway.kill(victim)

    wait_until(gateway.is_ready, within_s=90)
    wait_until_all_confirmed(gateway, event["id"])
    finish_and_compare(gateway, edrv, event["id"])


def test_everything_killed_in_mid_event_and_restarted_after_its_end(gateway, edrv):
    event = gateway.declare(duration="PT8S")
    wait_until(lambda: in_mid_fanout(edrv), within_s=60, every_s=0.02)
    ends_at = time.monotonic() + 8

    gateway.kill_everything()
    assert held_down(edrv)
    time.sleep(max(0.0, ends_at - time.monotonic()))
    gateway.start()

    gateway.wait_for_status(event["id"], "completed", within_s=60)
    assert held_down(edrv) == {}
    wait_until(lambda: not disagreements(gateway, edrv))
    assert gateway.rows(SETTLED) == [{"count": 0}]


def test_everything_killed_in_mid_event_and_restarted_within_it(gateway, edrv):
    event = gateway.declare()
    wait_until(lambda: in_mid_fanout(edrv), within_s=60, every_s=0.02)

    gateway.kill_everything()
    gateway.start()

    wait_until_all_confirmed(gateway, event["id"])
    finish_and_compare(gateway, edrv, event["id"])
