"""Counts in Redis: shared by all processes, and never in anybody's way."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from chargers import counters


@pytest.fixture
def name():
    """A counter nobody else counts on."""
    return uuid.uuid4().hex


def counts_of(name):
    return {
        label: count for (found, label), count in counters.all_counts().items() if found == name
    }


def test_each_label_has_a_count_of_its_own(name):
    counters.count(name, "set")
    counters.count(name, "set", by=3)
    counters.count(name, "clear")

    assert counts_of(name) == {"set": 4, "clear": 1}


def test_many_labels_are_counted_at_once(name):
    counters.count_each(name, ["set", "clear", "set", "set"])
    counters.count_each(name, [])

    assert counts_of(name) == {"set": 3, "clear": 1}


def test_a_label_may_have_any_character(name):
    counters.count(name, "HTTP 502: <gone> ä")

    assert counts_of(name) == {"HTTP 502: <gone> ä": 1}


def test_nothing_is_lost_when_many_count_at_once(name):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: counters.count(name, "set"), range(400)))

    assert counts_of(name) == {"set": 400}


def test_without_redis_nothing_is_counted_and_nothing_fails(name, redis_away):
    counters.count(name, "set")
    counters.count_each(name, ["set", "clear"])

    assert counters.all_counts() is None
