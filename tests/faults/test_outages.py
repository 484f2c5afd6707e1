"""eDRV fails for ten simulated minutes: 5xx, silence, cut connections, 429."""

import time
from collections import Counter
from datetime import datetime

import pytest
import requests

from tests.faults.conftest import RATE_PER_S, SESSIONS, TIME_FACTOR
from tests.faults.ledgers import end_and_compare, wait_until_all_confirmed
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(3600)

TEN_SIMULATED_MINUTES_S = 600 / TIME_FACTOR
OUTAGES = {
    "5xx": {"kind": "server_error", "code": 502, "html": True},
    "silence": {"kind": "timeout", "hold_s": 5, "effect": True},
    "resets": {"kind": "reset", "effect": True},
    "429": {"kind": "rate_limit", "retry_after_s": 3},
}
CALLS = {"set", "clear", "look"}


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_of_edrv_is_one_alarm_no_storm_and_no_loss(gateway, edrv, outage, is_long):
    lasts_s = TEN_SIMULATED_MINUTES_S if is_long else 8
    earlier = gateway.declare(targets=[{"type": "site", "value": any_site(gateway)}])
    gateway.wait_until_answered(earlier["id"])
    asked_before = len(edrv.requests())
    edrv.fault(**OUTAGES[outage])

    # Limits are wanted, and others no longer, while nobody can be told.
    event = gateway.declare()
    gateway.end(earlier["id"])
    began_s = time.monotonic()
    wait_until(lambda: "edrv" in failing_checks(gateway))
    time.sleep(max(0.0, lasts_s - (time.monotonic() - began_s)))

    wait_until(lambda: failing_checks(gateway) == {"edrv"})
    assert 'dr_check_ok{check="edrv"} 0.0' in requests.get(f"{gateway.url}/metrics").text
    asked = calls(edrv.requests()[asked_before:])
    assert 0 < len(asked) <= RATE_PER_S * (time.monotonic() - began_s)
    # A second may begin in the middle of another's allowance.
    assert max(Counter(int(at) for at in asked).values()) <= 1.5 * RATE_PER_S

    edrv.clear_faults()
    wait_until_all_confirmed(gateway, event["id"], SESSIONS, within_s=120)
    wait_until(lambda: not failing_checks(gateway))
    end_and_compare(gateway, edrv, event["id"])


def any_site(gateway):
    return gateway.rows("SELECT external_id FROM chargers_site ORDER BY external_id")[0][
        "external_id"
    ]


def failing_checks(gateway):
    checks = requests.get(f"{gateway.url}/health/ready/", timeout=10).json()["checks"]
    return {name for name, check in checks.items() if not check["ok"]}


def calls(entries):
    """When commands and look-ups came; what reads the fleet has no part in the rate."""
    return [
        datetime.fromisoformat(entry["received_at"]).timestamp()
        for entry in entries
        if entry["call"] in CALLS
    ]
