"""Bells: rung on commit, once until they are answered, and never in anybody's way."""

import json
import uuid

import pytest
from celery import shared_task
from django.conf import settings
from django.utils.module_loading import import_string

from chargers import counters, doorbell
from chargers.doorbell import Bell
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def bell():
    """The bell of a task that nobody else has, and nobody does."""

    @shared_task(name=f"test.{uuid.uuid4().hex}")
    def look():
        pytest.fail("nobody works here")

    return Bell(look)


@pytest.fixture
def ring(django_capture_on_commit_callbacks):
    def ring(bell):
        with django_capture_on_commit_callbacks(execute=True):
            bell.ring()

    return ring


def messages_for(bell):
    waiting = counters.connection().lrange("control", 0, -1)
    return [json.loads(one)["headers"]["task"] for one in waiting].count(bell._task.name)


def test_nothing_rings_before_the_commit(bell):
    bell.ring()

    assert messages_for(bell) == 0


def test_who_rings_again_before_anybody_has_answered_adds_no_message(bell, ring):
    for _ in range(5):
        ring(bell)

    assert messages_for(bell) == 1


def test_once_answered_a_bell_rings_anew(bell, ring):
    ring(bell)
    bell.answer()
    ring(bell)

    assert messages_for(bell) == 2


def test_a_bell_whose_message_was_lost_rings_anew_before_long(bell, ring, monkeypatch):
    monkeypatch.setattr(doorbell, "RINGS_FOR_MS", 50)
    ring(bell)

    def heard_again():
        ring(bell)
        return messages_for(bell) == 2

    wait_until(heard_again, every_s=0.02)


def test_without_redis_ringing_and_answering_change_nothing(bell, ring, redis_away):
    ring(bell)
    bell.answer()


@pytest.mark.parametrize("name", ["dr_events.tasks.sweep", "chargers.tasks.sync_if_due"])
def test_what_keeps_time_does_not_wait_behind_the_bells(name):
    assert name in {tick["task"] for tick in settings.CELERY_BEAT_SCHEDULE.values()}

    assert import_string(name).app.amqp.router.route({}, name)["queue"].name == "clock"
