"""Bells are heard, and do not pile up."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction

from chargers import counters
from chargers.tasks import dispatch, dispatch_bell

QUEUE = "dispatch"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_rung() -> None:
    counters.connection().delete(QUEUE)
    dispatch_bell.answer()


def waiting() -> int:
    return counters.connection().llen(QUEUE)


def test_a_bell_that_nobody_has_answered_is_not_rung_again() -> None:
    """Found by tests/faults: on a machine without a moment to spare hundreds of bells kept the
    sweep waiting until it had expired, and nothing happened by the clock any more."""
    for _ in range(50):
        dispatch_bell.ring()

    assert waiting() == 1


def test_it_is_rung_once_whichever_process_rings() -> None:
    def ring() -> None:
        dispatch_bell.ring()
        connections.close_all()

    ringing = [threading.Thread(target=ring) for _ in range(8)]
    for one in ringing:
        one.start()
    for one in ringing:
        one.join()

    assert waiting() == 1


def test_once_its_task_has_begun_it_is_rung_again() -> None:
    dispatch_bell.ring()

    dispatch()
    dispatch_bell.ring()

    assert waiting() == 2


def test_a_bell_that_was_lost_is_rung_again_after_a_moment() -> None:
    dispatch_bell.ring()

    counters.connection().flushdb()
    dispatch_bell.ring()

    assert waiting() == 1
    assert 0 < counters.connection().ttl("bell:chargers.tasks.dispatch") <= 2


def test_it_is_rung_when_the_transaction_has_committed() -> None:
    with transaction.atomic():
        dispatch_bell.ring()
        assert waiting() == 0

    assert waiting() == 1


def test_without_redis_a_bell_is_unheard_and_no_error(redis_away: None) -> None:
    dispatch_bell.ring()
    dispatch_bell.answer()
