"""Two events on the same sessions, ended in either order: the ledger agrees at each step."""

import pytest

from tests.books import disagreements, held, held_down
from tests.waiting import wait_until

LIMITS = {
    "strict": {"kind": "per_session", "unit": "power", "value": 4200},
    "loose": {"kind": "per_session", "unit": "power", "value": 7000},
}


def declare(gateway, which, **changes):
    return gateway.declare(name=which, limit=LIMITS[which], **changes)["id"]


def wait_until_held(gateway, edrv, watts):
    """Every physical station that is online holds its car to this, by the simulator's book."""

    def all_held():
        rows = [
            r for r in edrv.limits().values() if r["station_kind"] == "physical" and r["online"]
        ]
        return rows and all(held(row) == watts for row in rows)

    wait_until(all_held, within_s=30)
    wait_until(lambda: not disagreements(gateway, edrv), within_s=30)


@pytest.mark.parametrize("ends_first", ["strict", "loose"])
def test_when_one_ends_the_other_s_limit_is_set_and_nothing_is_cleared(gateway, edrv, ends_first):
    since = len(edrv.commands())
    events = {"loose": declare(gateway, "loose")}
    wait_until_held(gateway, edrv, ("power", 7000))
    events["strict"] = declare(gateway, "strict")
    wait_until_held(gateway, edrv, ("power", 4200))

    gateway.end(events.pop(ends_first))
    ((survivor, event_id),) = events.items()
    wait_until_held(gateway, edrv, ("power", LIMITS[survivor]["value"]))
    verbs = {row["path"].rsplit("/", 1)[-1] for row in edrv.commands()[since:]}
    assert verbs == {"set_power_limit"}

    gateway.end(event_id)
    gateway.wait_for_status(event_id, "completed")
    assert held_down(edrv) == {}
    assert disagreements(gateway, edrv) == {}


def test_a_more_important_event_lifts_a_stricter_limit_while_it_runs(gateway, edrv):
    minor = declare(gateway, "strict", priority=5)
    wait_until_held(gateway, edrv, ("power", 4200))

    major = declare(gateway, "loose", priority=0)
    wait_until_held(gateway, edrv, ("power", 7000))
    wait_until(lambda: {p["reason"] for p in confirmed(gateway, minor)} == {"outranked"})

    gateway.end(major)
    wait_until_held(gateway, edrv, ("power", 4200))
    gateway.wait_for_status(major, "completed")
    wait_until(lambda: {p["reason"] for p in confirmed(gateway, minor)} == {""})


def confirmed(gateway, event_id):
    parts = gateway.participations(event_id).values()
    return [part for part in parts if part["state"] == "confirmed"]
