"""More webhooks than can be stored: 503 with Retry-After, no loss, no collapse."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
import requests

from gateway import embedded
from gateway.webhook_door import PLACES
from tests.faults.flood import Flood
from tests.faults.ledgers import end_and_compare
from tests.faults.test_database import stored
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)

# Who takes webhooks, in so many processes.
PORTS = {"webhooks": 1, "web": 2}


@pytest.fixture
def flood(gateway):
    return Flood(gateway.webhook_url)


@pytest.mark.parametrize("port", PORTS)
def test_while_nothing_can_be_stored_the_line_is_bounded_and_everything_else_works(gateway, port):
    flood = Flood(gateway.webhook_url if port == "webhooks" else f"{gateway.url}/webhooks/edrv/")
    host = str(embedded.socket_dir(gateway.data_dir))
    senders = 3 * PORTS[port] * PLACES
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        connection.execute("LOCK TABLE chargers_webhookdelivery IN SHARE MODE")
        sending = threading.Thread(
            target=flood.send_side_by_side, args=(senders,), kwargs={"lasts_s": 3}
        )
        sending.start()
        wait_until(lambda: flood.count(503) > senders)

        # Whoever came too late was told so at once; nobody else noticed.
        assert flood.count(200) == 0
        alive = requests.get(f"{gateway.url}/health/live/", timeout=10)
        declared = gateway.declare(test=True, targets=[{"type": "feeder", "value": "none"}])
        assert (alive.status_code, declared["status"]) == (200, "active")
        connection.rollback()
    sending.join()

    assert set(flood.answers.values()) == {200, 503}
    assert flood.unasked == 0
    assert flood.count(200) > 0
    check_that_it_recovers(gateway, flood)


def test_three_times_the_rate_that_can_be_stored_loses_nothing(gateway, edrv, flood, is_long):
    able_per_s = flood.send_side_by_side(32, lasts_s=3)
    before, began_s = flood.count(200), time.monotonic()

    flood.send_at(3 * able_per_s, lasts_s=60 if is_long else 5)

    kept_per_s = (flood.count(200) - before) / (time.monotonic() - began_s)
    print(f"alone {able_per_s:.0f}/s stored; of three times as many {kept_per_s:.0f}/s stored,"
          f" {flood.count(503)} told to come again")  # fmt: skip
    assert set(flood.answers.values()) <= {200, 503}
    assert flood.unasked == 0
    check_that_it_recovers(gateway, flood)
    end_and_compare(gateway, edrv)


def check_that_it_recovers(gateway, flood):
    """All that was answered 200 is there; what was not is taken when it is sent again."""
    assert stored(gateway, flood.answered(200)) == set(flood.answered(200))
    flood.send_again(flood.answered(503), connections=8)
    assert set(flood.answers.values()) == {200}
    assert stored(gateway, list(flood.answers)) == set(flood.answers)
