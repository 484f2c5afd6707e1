"""Redis emptied, two beats, two dispatchers, one of them frozen past its lease and woken."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import redis

from gateway import embedded
from gateway.processes import die_with_parent
from tests.books import held_down
from tests.faults.conftest import SESSIONS
from tests.faults.ledgers import end_and_compare, wait_until_all_confirmed
from tests.gateway_process import REPOSITORY, Gateway
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)

BEAT = ("beat", "-S", "celery.beat.Scheduler", "--pidfile=")
DISPATCHER = ("worker", "-Q", "dispatch", "-c", "1", "-n", "second@%h", "--without-gossip",
              "--without-mingle")  # fmt: skip

# All that a late writer might change.
ESTABLISHED = """
    SELECT session.external_id, session.generation, session.confirmed_generation,
           session.confirmed_unit, session.confirmed_value, session.may_be_limited,
           command.id, command.state, command.reason, command.attempts, command.rejections
      FROM chargers_session AS session JOIN chargers_command AS command
        ON command.session_id = session.id AND command.generation = session.generation
     ORDER BY session.id
"""
IN_FLIGHT = "SELECT count(*) AS found FROM chargers_attempt WHERE outcome = ''"


@contextmanager
def beside(gateway: Gateway, *words: str) -> Iterator[psutil.Process]:
    """One more process of the gateway's, on the same stores."""
    log = (gateway.data_dir / f"second-{words[0]}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "gateway", *words, "-l", "INFO"],
        env={**gateway.env, "PLAIN_HTTP": "1"},
        cwd=REPOSITORY,
        stdout=log,
        stderr=log,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def in_mid_fanout(edrv):
    return 5 <= len(held_down(edrv)) <= SESSIONS // 2


def test_redis_emptied_in_mid_event_costs_seconds(gateway, edrv):
    store = redis.Redis.from_url(embedded.redis_url(gateway.data_dir))
    event = gateway.declare()
    wait_until(lambda: in_mid_fanout(edrv), every_s=0.02)

    for _ in range(5):
        store.flushall()
        time.sleep(0.3)

    wait_until_all_confirmed(gateway, event["id"], SESSIONS)
    store.flushall()
    end_and_compare(gateway, edrv, event["id"])


def test_two_beats_do_no_harm(gateway, edrv):
    with beside(gateway, *BEAT):
        event = gateway.declare()
        wait_until_all_confirmed(gateway, event["id"], SESSIONS)
        parts = gateway.participations(event["id"])
        end_and_compare(gateway, edrv, event["id"])

    assert {part["attempts"] for part in parts.values()} <= {1, 2}  # amperes-only stations: twice


def test_a_dispatcher_frozen_past_its_lease_changes_nothing_when_it_wakes(gateway, edrv):
    event = gateway.declare()
    wait_until(lambda: in_mid_fanout(edrv), every_s=0.02)
    frozen = gateway.pool_child("dispatcher")
    frozen.suspend()
    try:
        # Its claims are in the air, and go to another as soon as their lease is over.
        with beside(gateway, *DISPATCHER):
            wait_until_all_confirmed(gateway, event["id"], SESSIONS)
            established = gateway.rows(ESTABLISHED)
            assert gateway.rows(IN_FLIGHT)[0]["found"]

            frozen.resume()
            wait_until(lambda: not gateway.rows(IN_FLIGHT)[0]["found"], within_s=90)

            assert gateway.rows(ESTABLISHED) == established
    finally:
        frozen.resume()
    end_and_compare(gateway, edrv, event["id"])
