"""A busy day of one real garage, odd rows included, with an event across its evening.

The sessions are those of the public ACN-Data set (Lee, Li, Low: "ACN-Data: Analysis and
Applications of an Open EV Charging Dataset", ACM e-Energy 2019). The file is not part of this
repository; ACN_SESSIONS_CSV says where it lies.
"""

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.books import disagreements, held, held_down
from tests.gateway_process import REPOSITORY, Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

FILE = Path(
    os.environ.get("ACN_SESSIONS_CSV")
    or REPOSITORY.parent / "shared" / "data" / "acn-sessions-2019q4.csv"
)
# A quarter of an hour in each second: from two in the morning, Pacific time, of the quarter's
# busiest day, with the event from four in the afternoon to eight.
DAY_BEGINS = "2019-12-11T10:00:00Z"
EVENT_BEGINS_S = 14 * 3600
EVENT_LASTS_S = 4 * 3600
TIME_FACTOR = 900
FLAGS = (
    "--replay", str(FILE), "--replay-from", DAY_BEGINS, "--time-factor", str(TIME_FACTOR),
    "--report-interval", "900", "--answer-delay", "0.02..0.1", "--webhook-backoff", "0.5,1,2",
    "--timezone", "America/Los_Angeles",
)  # fmt: skip
LIMIT = {"kind": "per_session", "unit": "current", "value": 10}

pytestmark = pytest.mark.skipif(
    not FILE.exists(),
    reason="needs ACN-Data's sessions of 2019-12, which may not be copied: set ACN_SESSIONS_CSV",
)


@pytest.fixture(scope="module")
def edrv():
    with Simulation(*FLAGS) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def gateway(edrv, tmp_path_factory):
    with Gateway(edrv, tmp_path_factory.mktemp("replay")) as running:
        yield running


def simulated_s(edrv):
    return edrv.state()["simulated_s"]


def test_a_busy_day_with_an_event_across_its_evening(gateway, edrv):
    wait_until(lambda: simulated_s(edrv) >= EVENT_BEGINS_S, within_s=120)
    there_before = set(edrv.limits())
    assert len(there_before) >= 10

    event_id = gateway.declare(limit=LIMIT)["id"]
    seen = watch(edrv, until_s=EVENT_BEGINS_S + EVENT_LASTS_S)
    gateway.end(event_id)
    gateway.wait_for_status(event_id, "completed")

    assert held_down(edrv) == {}
    wait_until(lambda: not disagreements(gateway, edrv))
    came_late = {key for key, times in seen.items() if times >= 4} - there_before
    assert came_late
    parts = gateway.participations(event_id)
    assert there_before | came_late <= set(parts)
    assert {key for key, part in parts.items() if part["joined_late"]} >= came_late
    check_outcomes(gateway.event(event_id)["counts"], parts)


def watch(edrv, *, until_s):
    """How often each session was seen charging meanwhile, four times a second. None may be held
    to anything but the event's limit."""
    seen = Counter()
    while simulated_s(edrv) < until_s:
        rows = edrv.limits()
        assert {held(row) for row in rows.values()} <= {None, ("current", 10.0)}
        seen.update(key for key, row in rows.items() if row["status"] == "Started")
        time.sleep(0.25)
    return seen


def check_outcomes(counts, parts):
    assert counts["pending"] == 0
    named = ("confirmed", "failed", "unreachable", "exempt", "ended")
    assert counts["targeted"] == sum(counts[state] for state in named) == len(parts)
    assert counts["complied"] > 0
    for part in parts.values():
        assert part["state"] in ("confirmed", "ended")
        # Proven gone, by an accepted clear or with the session, wherever a limit was.
        assert part["restored_at"] or not part["accepted_at"]
    assert counts["restored"] == sum(bool(part["restored_at"]) for part in parts.values()) > 0
