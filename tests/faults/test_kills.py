"""kill -9 of anything at any moment: seconds, never correctness."""

import json
import time

import pytest

from tests.books import held_down
from tests.faults.campaign import Campaign
from tests.faults.ledgers import compare, end_and_compare, wait_until_all_confirmed
from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

SEED = 5
SHORT = {"sessions": 300, "sites": 6, "kills": 9, "compare_every": 5}
LONG = {"sessions": 2000, "sites": 24, "kills": 108, "compare_every": 9}
FLAGS = (
    "--static", "--seed", str(SEED), "--answer-delay", "0.05..0.3", "--share-offline", "0",
    "--share-simulator", "0", "--share-amperes-only", "0", "--webhook-backoff", "0.5,1,2",
    "--webhook-tries", "100",
    # Slow enough to be caught in the middle.
    "--http-delay", "0.25",
)  # fmt: skip

pytestmark = pytest.mark.timeout(5400)


@pytest.fixture(scope="module")
def size(pytestconfig):
    return LONG if pytestconfig.getoption("--long") else SHORT


@pytest.fixture(scope="module")
def edrv(size):
    fleet = ("--sites", str(size["sites"]), "--sessions", str(size["sessions"]))
    with Simulation(*fleet, *FLAGS) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def gateway(edrv, size, tmp_path_factory):
    """One gateway that has to survive all of this."""
    folder = tmp_path_factory.mktemp("kills")
    concurrency = str(size["sessions"] // 15)
    with Gateway(edrv, folder, EDRV_MAX_CONCURRENCY=concurrency) as running:
        yield running


def in_mid_fanout(edrv, size):
    """Some stations are limited, most are not yet."""
    return size["sessions"] // 15 <= len(held_down(edrv)) <= size["sessions"] // 2


def test_everything_killed_in_mid_event_and_restarted_after_its_end(gateway, edrv, size):
    event = gateway.declare(duration="PT8S")
    wait_until(lambda: in_mid_fanout(edrv, size), within_s=60, every_s=0.02)
    ends_at = time.monotonic() + 8

    gateway.kill_everything()
    assert held_down(edrv)
    time.sleep(max(0.0, ends_at - time.monotonic()))
    gateway.start()

    wait_until(lambda: not held_down(edrv), within_s=30)
    gateway.wait_for_status(event["id"], "completed", within_s=30)
    compare(gateway, edrv)


def test_everything_killed_in_mid_event_and_restarted_within_it(gateway, edrv, size):
    event = gateway.declare()
    wait_until(lambda: in_mid_fanout(edrv, size), within_s=60, every_s=0.02)

    gateway.kill_everything()
    gateway.start()

    wait_until_all_confirmed(gateway, event["id"], size["sessions"])
    end_and_compare(gateway, edrv, event["id"])


def test_kill_9_at_random_misses_no_session_and_leaves_no_limit(
    gateway, edrv, size, record_property
):
    campaign = Campaign(gateway, edrv, SEED)

    campaign.run(size["kills"], compare_every=size["compare_every"])

    record_property("kills", json.dumps(campaign.told()))
    print(campaign.told(), f"{len(campaign.touched)} sessions")
    assert len(campaign.touched) >= size["sessions"]
    slowest_s = max(max(seconds) for seconds in campaign.seconds.values())
    # A machine on which everything starts slowly starts it slowly again.
    assert slowest_s <= max(15, 1.5 * gateway.started_in_s), campaign.told()
