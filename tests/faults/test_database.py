"""The database fails over: connections are cut, and for a while it can only be read."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from gateway import embedded
from tests.faults.conftest import SESSIONS
from tests.faults.flood import Flood
from tests.faults.ledgers import end_and_compare, wait_until_all_confirmed

pytestmark = pytest.mark.timeout(1800)

DELIVERIES_PER_S = 40
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
STORED = "SELECT external_id FROM chargers_webhookdelivery WHERE external_id = ANY(%s)"


def as_superuser(gateway, *statements):
    host = str(embedded.socket_dir(gateway.data_dir))
    with psycopg.connect(
        host=host, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        for statement in statements:
            connection.execute(statement)


def fail_over(gateway, *, lasts_s):
    read_only = "ALTER SYSTEM SET default_transaction_read_only = on"
    as_superuser(gateway, read_only, "SELECT pg_reload_conf()", CUT)
    try:
        until_s = time.monotonic() + lasts_s
        while time.monotonic() < until_s:
            time.sleep(1)
            as_superuser(gateway, CUT)
    finally:
        writable = "ALTER SYSTEM RESET default_transaction_read_only"
        as_superuser(gateway, writable, "SELECT pg_reload_conf()", CUT)


def test_no_delivery_is_answered_200_that_is_not_stored_while_the_database_fails_over(
    gateway, edrv, is_long
):
    lasts_s = 20 if is_long else 6
    event = gateway.declare()
    flood = Flood(gateway.webhook_url)
    sending = threading.Thread(
        target=flood.send_at, args=(DELIVERIES_PER_S,), kwargs={"lasts_s": lasts_s + 4}
    )
    sending.start()
    time.sleep(1)

    fail_over(gateway, lasts_s=lasts_s)
    sending.join()

    assert set(flood.answers.values()) <= {200, 503, "timeout"}, set(flood.answers.values())
    assert flood.unasked == 0
    refused = flood.answered(503, "timeout")
    assert refused
    assert stored(gateway, flood.answered(200)) == set(flood.answered(200))
    flood.send_again(refused, connections=4)
    assert stored(gateway, list(flood.answers)) == set(flood.answers)
    wait_until_all_confirmed(gateway, event["id"], SESSIONS)
    end_and_compare(gateway, edrv, event["id"])


def stored(gateway, ids):
    return {row["external_id"] for row in gateway.rows(STORED, [ids])}
