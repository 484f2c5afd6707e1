"""Caps on a simulated feeder with metering: its load goes under the cap and stays there, whatever
happens to cars, stations, webhooks and workers; and it comes back as a slope."""

import time

import pytest

from chargers.simulator.world import METER_NOISE
from tests.books import disagreements, held, held_down, unrecorded_requests
from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

FLAGS = (
    "--sites", "3", "--sessions", "60", "--static", "--time-factor", "10", "--seed", "23",
    "--answer-delay", "0.02..0.3", "--share-offline", "0.05", "--share-simulator", "0.05",
    "--webhook-backoff", "0.5,1,2",
)  # fmt: skip
# A car's lag and ramp end within 25 simulated seconds each; the reports come every 30.
QUICK = {"CAP_SETTLING_S": "6", "CAP_MINIMUM_INTERVAL_S": "3", "CAP_TURN_S": "15"}
LAG_S = 8
CALM_S = 4


@pytest.fixture(scope="module")
def edrv():
    with Simulation(*FLAGS) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def running(edrv, tmp_path_factory):
    with Gateway(edrv, tmp_path_factory.mktemp("caps"), **QUICK) as gateway:
        yield gateway


@pytest.fixture
def gateway(running, edrv):
    """Whatever a test did is over afterwards, and the two books agree."""
    yield running
    edrv.clear_faults()
    for event in running.client.all("events/", status="active"):
        running.end(event["id"])
    for event in running.client.all("events/", status="restoring"):
        running.client.post(f"events/{event['id']}/restore/")
    wait_until(lambda: not running.client.all("events/", status="restoring"), within_s=90)
    wait_until(lambda: not disagreements(running, edrv), within_s=30)
    assert held_down(edrv) == {}
    assert unrecorded_requests(running, edrv) == []


def charging(edrv):
    return {key: row for key, row in edrv.limits().items() if row["status"] == "Started"}


def drawn_w(edrv):
    """What all cars draw now, by the simulator's own physics."""
    return sum(row["power_w"] for row in charging(edrv).values())


def allowed_w(edrv):
    """The sum of the limits in force, by the simulator's book; cars without one at their draw."""
    return sum(_allowed_w(row) for row in charging(edrv).values())


def _allowed_w(row):
    limit = held(row)
    if limit is None:
        return row["power_w"]
    unit, value = limit
    return value if unit == "power" else value * row["voltage_v"] * row["phases"]


def within_w(edrv, cap_w):
    """Up to where that is within the cap: the gateway knows what cars without a limit draw only
    by their meters, which say a little more or less."""
    loose_w = sum(row["power_w"] for row in charging(edrv).values() if held(row) is None)
    return cap_w + 1 + loose_w * METER_NOISE


def cap(watts, kind="per_event"):
    return {"kind": kind, "unit": "power", "value": watts}


def wait_until_under(edrv, cap_w):
    wait_until(lambda: drawn_w(edrv) <= cap_w, within_s=30)


def stays_under(edrv, cap_w, *, for_s):
    """Looks again and again; returns what it saw above the cap."""
    over, until = [], time.monotonic() + for_s
    while time.monotonic() < until:
        drawn, allowed = drawn_w(edrv), allowed_w(edrv)
        if max(drawn, allowed) > within_w(edrv, cap_w):
            over.append((round(drawn), round(allowed), cap_w))
        time.sleep(0.2)
    return over


def test_the_load_goes_under_the_cap_and_stays_there(gateway, edrv):
    cap_w = round(drawn_w(edrv) * 0.6)

    event = gateway.declare(limit=cap(cap_w))
    wait_until_under(edrv, cap_w)
    gateway.wait_until_answered(event["id"])

    assert stays_under(edrv, cap_w, for_s=10) == []
    shown = gateway.event(event["id"])
    assert shown["reference"]["power_w"] > cap_w
    # Shares of a cap move again and again: it comes to rest, and not for long.
    wait_until(lambda: all_settled(gateway, event))
    assert drawn_w(edrv) > cap_w * 0.5, "the cap is used"


def all_settled(gateway, event):
    parts = gateway.participations(event["id"]).values()
    return {part["state"] for part in parts} <= {"confirmed", "unreachable", "failed"}


def test_it_stays_there_while_cars_come_and_go(gateway, edrv):
    cap_w = round(drawn_w(edrv) * 0.5)
    event = gateway.declare(limit=cap(cap_w))
    wait_until_under(edrv, cap_w)
    gateway.wait_until_answered(event["id"])

    for _ in range(4):
        arrived = edrv.plug_in(station_kind="physical")["_id"]
        wait_until(lambda arrived=arrived: held(edrv.limits()[arrived]) is not None)
        time.sleep(CALM_S / 2)
        assert stays_under(edrv, cap_w, for_s=CALM_S) == []
        edrv.unplug(next(iter(charging(edrv))))
    assert stays_under(edrv, cap_w, for_s=CALM_S) == []


def test_it_stays_there_through_rejections_lost_webhooks_and_a_killed_worker(gateway, edrv):
    cap_w = round(drawn_w(edrv) * 0.5)
    edrv.fault("reject", match={"calls": ["set"], "share": 0.05, "sticky": True})
    edrv.fault("drop_webhooks", match={"share": 0.2})

    event = gateway.declare(limit=cap(cap_w))
    gateway.kill("worker")
    gateway.kill("dispatcher")
    wait_until_under(edrv, cap_w)
    gateway.wait_until_answered(event["id"], within_s=90)

    wait_until(lambda: allowed_w(edrv) <= within_w(edrv, cap_w), within_s=60)
    assert stays_under(edrv, cap_w, for_s=10) == []


def test_turns_rotate_when_there_are_not_six_amperes_for_everyone(gateway, edrv):
    site = next(iter(charging(edrv).values()))["location"]
    mine = {key for key, row in charging(edrv).items() if row["location"] == site}
    cap_w = 20_000

    event = gateway.declare(limit=cap(cap_w, "per_site"), targets=[{"type": "site", "value": site}])
    gateway.wait_until_answered(event["id"])
    had_power = set()

    def all_have_had_a_turn():
        rows = {key: row for key, row in edrv.limits().items() if key in mine}
        powered = {key for key, row in rows.items() if (held(row) or ("", 1))[1] > 0} - had_power
        if powered:
            print(round(time.monotonic()), "for the first time:", *sorted(powered))
        had_power.update(powered)
        return had_power >= reachable(gateway, event)

    # Five turns or so, where nothing comes between them.
    wait_until(all_have_had_a_turn, within_s=240, every_s=0.5)


def reachable(gateway, event):
    parts = gateway.participations(event["id"])
    return {key for key, part in parts.items() if part["state"] == "confirmed"}


def test_power_comes_back_as_a_slope(gateway, edrv):
    before_w = drawn_w(edrv)
    cap_w, rate_w_per_min = round(before_w * 0.4), round(before_w * 1.2)
    event = gateway.declare(limit=cap(cap_w), restore={"rate_w_per_min": rate_w_per_min})
    wait_until_under(edrv, cap_w)
    gateway.wait_until_answered(event["id"])

    gateway.end(event["id"])
    ended_at, least_w, seen = time.monotonic(), drawn_w(edrv), []
    while gateway.event(event["id"])["status"] == "restoring":
        seen.append((time.monotonic() - ended_at, drawn_w(edrv)))
        time.sleep(0.2)

    steepest = [(at, drawn) for at, drawn in seen if drawn > bound(at, least_w, rate_w_per_min)]
    assert steepest == []
    assert seen[-1][0] >= 15, "it took its time"
    wait_until(lambda: drawn_w(edrv) > before_w * 0.8, within_s=30)


def bound(at_s, least_w, rate_w_per_min):
    """The slope from where it began; a car whose metering is a little old is the margin."""
    return least_w * 1.05 + 3_000 + rate_w_per_min * (at_s + 1) / 60
