"""Webhooks that do not come, come ten times, come late and in any order, or come first."""

import random
import time

import pytest

from tests.books import disagreements
from tests.faults.conftest import DEADLINE_S, SESSIONS
from tests.faults.ledgers import end_and_compare, wait_until_all_confirmed
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(3600)

SIX_KW = {"kind": "per_session", "unit": "power", "value": 6000}
NINE_A = {"kind": "per_session", "unit": "current", "value": 9}

# From the sending of each command to its settling.
WAITED = """
    SELECT max(EXTRACT(EPOCH FROM settled_at - first_sent_at))::float8 AS longest_s
      FROM chargers_command WHERE state = 'accepted' AND created_at > %s
"""
NOW = "SELECT clock_timestamp() AS now"
DELIVERIES = """
    SELECT external_id, type, state FROM chargers_webhookdelivery
     WHERE type LIKE '%%power_limit%%'
"""


def test_with_every_webhook_dropped_the_truth_comes_by_asking(gateway, edrv):
    [began] = gateway.rows(NOW)
    edrv.fault("drop_webhooks")

    event = gateway.declare()
    wait_until_all_confirmed(gateway, event["id"], SESSIONS)
    end_and_compare(gateway, edrv, event["id"])

    [waited] = gateway.rows(WAITED, [began["now"]])
    assert DEADLINE_S <= waited["longest_s"] <= 3 * DEADLINE_S


def test_where_nobody_can_be_asked_either_every_session_is_named(gateway, edrv):
    edrv.fault("drop_webhooks")
    edrv.fault("http_reject", match={"calls": ["look"]})

    event = gateway.declare()
    wait_until(lambda: gateway.event(event["id"])["counts"]["unreachable"] == SESSIONS)

    for part in gateway.participations(event["id"]).values():
        assert (part["reason"], bool(part["next_attempt_at"])) == ("no_answer", True)
    edrv.clear_faults()
    wait_until_all_confirmed(gateway, event["id"], SESSIONS)


def test_webhooks_ten_times_late_shuffled_and_first_lead_to_the_same_state(gateway, edrv, is_long):
    undisturbed = tell_a_story(gateway, edrv)

    for seed in range(20 if is_long else 2):
        disturb(edrv, random.Random(seed))
        assert tell_a_story(gateway, edrv) == undisturbed, f"seed {seed}"
        edrv.clear_faults()


def disturb(edrv, rng):
    """Every answer of a station is told ten times; half of them late by up to two deadlines and
    more, the others shuffled; every other answer to a call comes after its webhooks, or after a
    second without."""
    late_s = rng.uniform(0.5, 2.5) * DEADLINE_S
    for type_ in ("session.set_power_limit", "session.clear_power_limit"):
        late = {"type": type_, "share": rng.uniform(0.3, 0.7)}
        edrv.fault("double_webhooks", times=10, match={"type": type_})
        edrv.fault("delay_webhooks", min_s=0, max_s=late_s, match=late)
        edrv.fault(
            "reorder_webhooks",
            window=rng.randint(5, 60),
            window_s=rng.uniform(0.2, 2),
            match={"type": type_},
        )
    edrv.fault("webhook_first", wait_s=1, match={"share": 0.5})


def tell_a_story(gateway, edrv):
    """An event that is amended at once, in mid-fan-out; what every session came to, in it and
    after it."""
    event = gateway.declare()
    time.sleep(0.5)
    gateway.amend(event["id"], limit=NINE_A)
    time.sleep(0.5)
    gateway.amend(event["id"], limit=SIX_KW)
    wait_until_all_confirmed(gateway, event["id"], SESSIONS)
    wait_until(lambda: everything_is_told(gateway, edrv), within_s=240)
    wait_until(lambda: not disagreements(gateway, edrv))
    during = {
        key: (part["state"], part["reason"], part["wanted"], part["confirmed"])
        for key, part in gateway.participations(event["id"]).items()
    }
    end_and_compare(gateway, edrv, event["id"])
    wait_until(lambda: everything_is_told(gateway, edrv), within_s=240)
    end_and_compare(gateway, edrv)
    return during, gateway.event(event["id"])["status"]


def everything_is_told(gateway, edrv):
    """No answer of a station is on its way any more, each is stored once and applied."""
    told = edrv.ledger()["webhooks"]["by_type"]
    if any("_power_limit" in type_ and states.get("pending") for type_, states in told.items()):
        return False
    stored = gateway.rows(DELIVERIES)
    assert len({(row["external_id"], row["type"]) for row in stored}) == len(stored)
    return not any(row["state"] in ("pending", "failed") for row in stored)
