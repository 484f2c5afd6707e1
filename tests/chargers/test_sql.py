"""Locks that no crash and no standstill can leave held."""

import threading
import time

import pytest
from django.db import connection, connections

from chargers import sql
from tests.waiting import wait_until


def shown(name):
    return sql.texts(f"SHOW {name}")[0]


@pytest.mark.django_db
def test_whoever_stands_still_in_a_transaction_is_ended_unless_he_plans():
    assert shown("idle_in_transaction_session_timeout") == "20s"

    sql.one_at_a_time("something")

    assert shown("idle_in_transaction_session_timeout") == "5min"


@pytest.mark.django_db
def test_a_lock_has_its_limit_only_as_long_as_it_is_held():
    before = shown("idle_session_timeout")

    with sql.only_one("something") as had:
        held = shown("idle_session_timeout")

    assert had
    assert (before, held, shown("idle_session_timeout")) == ("0", "20s", "0")


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_frozen_with_a_lock_loses_it(settings):
    settings.DATABASE_STANDSTILL_S = 1
    woken = threading.Event()

    def freeze():
        with sql.only_one("something"):
            woken.wait(60)
        connections.close_all()

    frozen = threading.Thread(target=freeze)
    frozen.start()
    time.sleep(0.2)
    try:
        wait_until(is_free, within_s=30)
    finally:
        woken.set()
        frozen.join()
    assert connection.is_usable()


def is_free():
    with sql.only_one("something") as had:
        return had
