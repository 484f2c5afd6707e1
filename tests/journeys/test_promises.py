"""A journey for each promise: real processes, real HTTP, and two books that must agree."""

import re
import time
from datetime import datetime

import pytest
import requests

from tests.books import disagreements, held, held_down, unrecorded_requests
from tests.waiting import wait_until

NAMED = ("failed", "unreachable", "exempt")


def wait_for_agreement(gateway, edrv):
    wait_until(lambda: not disagreements(gateway, edrv), within_s=30)


def some_session(edrv, kind="physical", *, online=True):
    """A started session on a station of this kind."""
    return next(
        key
        for key, row in sorted(edrv.limits().items())
        if row["station_kind"] == kind and row["online"] is online and row["status"] == "Started"
    )


# --- P1 no session forgotten --------------------------------------------------------------


def test_p1_every_session_is_confirmed_or_carries_a_reason(gateway, edrv):
    edrv.fault("reject", match={"calls": ["set"], "share": 0.1, "sticky": True})
    in_scope = {key for key, row in edrv.limits().items() if row["status"] == "Started"}

    event = gateway.declare()
    gateway.wait_until_answered(event["id"])

    parts = gateway.participations(event["id"])
    assert set(parts) == in_scope
    for part in parts.values():
        assert part["state"] == "confirmed" or (part["state"] in NAMED and part["reason"]), part
    reasons = {part["reason"] for part in parts.values()}
    assert {"rejected_by_station", "station_offline"} <= reasons
    waiting = [part for part in parts.values() if part["reason"] == "station_offline"]
    assert all(part["next_attempt_at"] for part in waiting)
    assert gateway.event(event["id"])["counts"]["targeted"] == len(in_scope)


def test_p1_a_car_that_plugs_in_during_the_event_is_limited(gateway, edrv):
    event = gateway.declare()
    gateway.wait_until_answered(event["id"])

    arrived = edrv.plug_in(station_kind="physical")["_id"]

    wait_until(lambda: gateway.participations(event["id"]).get(arrived, {}).get("accepted_at"))
    part = gateway.participations(event["id"])[arrived]
    assert (part["state"], part["joined_late"]) == ("confirmed", True)
    assert held(edrv.limits()[arrived]) == ("power", 4200)
    edrv.unplug(arrived)


def test_p1_a_station_that_comes_back_is_limited_at_once(gateway, edrv):
    session = some_session(edrv, online=False)
    station = edrv.limits()[session]["chargestation"]
    event = gateway.declare(targets=[{"type": "chargestation", "value": station}])
    gateway.wait_until_answered(event["id"])
    assert gateway.participations(event["id"])[session]["reason"] == "station_offline"

    edrv.set_online(station, True)

    wait_until(lambda: gateway.participations(event["id"])[session]["state"] == "confirmed")
    assert held(edrv.limits()[session]) is not None
    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed")
    edrv.set_online(station, False)


def test_p1_a_car_that_ignores_its_limit_is_named(gateway, edrv):
    session = some_session(edrv)
    edrv.fault("ignore_limit", match={"session": session})
    event = gateway.declare(targets=[{"type": "session", "value": session}],
                            limit={"kind": "per_session", "unit": "power", "value": 0})  # fmt: skip

    gateway.wait_until_answered(event["id"])

    wait_until(
        lambda: gateway.participations(event["id"])[session]["reason"] == "non_responsive",
        within_s=40,
    )
    part = gateway.participations(event["id"])[session]
    assert (part["state"], part["complied_at"]) == ("confirmed", None)


# --- P2 no limit left behind --------------------------------------------------------------


def test_p2_after_the_event_no_station_holds_a_limit(gateway, edrv):
    event = gateway.declare(duration="PT6S")
    gateway.wait_until_answered(event["id"])
    assert held_down(edrv)

    gateway.wait_for_status(event["id"], "completed")

    assert held_down(edrv) == {}
    assert disagreements(gateway, edrv) == {}
    restored = [p for p in gateway.participations(event["id"]).values() if p["accepted_at"]]
    assert restored
    assert all(part["restored_at"] for part in restored)


def test_p2_an_event_is_not_completed_while_a_station_is_out_of_reach(gateway, edrv):
    session = some_session(edrv)
    station = edrv.limits()[session]["chargestation"]
    event = gateway.declare(targets=[{"type": "chargestation", "value": station}])
    gateway.wait_until_answered(event["id"])
    edrv.set_online(station, False)

    gateway.end(event["id"])
    time.sleep(3)
    assert gateway.event(event["id"])["status"] == "restoring"
    assert session in held_down(edrv)

    edrv.set_online(station, True)
    gateway.wait_for_status(event["id"], "completed")
    assert held_down(edrv) == {}


def test_p2_a_clear_that_is_rejected_at_first_is_not_given_up(gateway, edrv):
    session = some_session(edrv)
    event = gateway.declare(targets=[{"type": "session", "value": session}])
    gateway.wait_until_answered(event["id"])
    edrv.fault("reject", count=2, match={"session": session})

    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed")

    assert held_down(edrv) == {}


# --- P3 no webhook lost or doubled --------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        [("double_webhooks", {"times": 5})],
        [("reorder_webhooks", {"window": 10, "window_s": 1.0})],
        [("webhook_first", {})],
        [("delay_webhooks", {"min_s": 0.0, "max_s": 2.0}), ("double_webhooks", {"times": 3})],
    ],
    ids=["doubled", "reordered", "before the answer", "late and doubled"],
)
def test_p3_webhooks_in_any_order_and_number_take_effect_once(gateway, edrv, faults):
    for kind, more in faults:
        edrv.fault(kind, **more)
    event = gateway.declare()
    gateway.wait_until_answered(event["id"])
    wait_for_agreement(gateway, edrv)

    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed")

    assert held_down(edrv) == {}
    settled = gateway.rows(
        "SELECT count(*) FROM chargers_command WHERE state IN ('due', 'sent', 'unconfirmed')"
    )
    assert settled == [{"count": 0}]


def test_p3_every_delivery_that_was_answered_200_is_stored_exactly_once(gateway, edrv):
    edrv.fault("double_webhooks", times=2, for_s=5)
    event = gateway.declare()
    gateway.wait_until_answered(event["id"])

    told = edrv.call("GET", "ledger/webhooks", limit=200_000)["entries"]
    acked = {row["_id"] for row in told if row["state"] == "acked"}
    stored = {row["external_id"] for row in gateway.rows(
        "SELECT external_id FROM chargers_webhookdelivery")}  # fmt: skip
    assert acked
    assert acked - stored == set()


def test_p3_a_forged_delivery_is_refused_and_counted(gateway):
    before = _counted(gateway, "mismatch")

    answer = requests.post(
        gateway.webhook_url,
        data=b'{"_id":"forged","type":"session.ended","data":{"_id":"x"}}',
        headers={"edrv-signature": f"t={int(time.time())},v1={'0' * 64}"},
        timeout=5,
    )

    assert answer.status_code == 401
    assert not gateway.rows("SELECT 1 FROM chargers_webhookdelivery WHERE external_id = 'forged'")
    assert _counted(gateway, "mismatch") == before + 1


def _counted(gateway, reason):
    metrics = requests.get(f"{gateway.url}/metrics", timeout=5).text
    found = re.search(rf'dr_webhooks_refused_total{{reason="{reason}"}} (\d+)', metrics)
    return int(found.group(1)) if found else 0


# --- P4 no unrecorded command -------------------------------------------------------------


def test_p4_every_request_was_on_record_before_it_was_received(gateway, edrv):
    since = len(edrv.commands())
    event = gateway.declare()
    gateway.wait_until_answered(event["id"])
    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed")

    received = {row["action_id"]: row for row in edrv.commands()[since:] if row["action_id"]}
    recorded = {
        row["action_id"]: row
        for row in gateway.rows(
            "SELECT attempt.action_id, attempt.claimed_at, attempt.unit, attempt.value,"
            " session.external_id FROM chargers_attempt AS attempt"
            " JOIN chargers_session AS session ON session.id = attempt.session_id"
            " WHERE action_id IS NOT NULL"
        )
    }
    assert received
    assert unrecorded_requests(gateway, edrv, since) == []
    for action_id, request in received.items():
        attempt = recorded[action_id]
        assert attempt["external_id"] == request["session"]
        assert attempt["claimed_at"] <= datetime.fromisoformat(request["received_at"])
        if request["body"]:
            assert attempt["unit"] == request["body"]["unit"]
            assert attempt["value"] == request["body"]["limit"]


# --- P5 no regress ------------------------------------------------------------------------


def test_p5_late_answers_to_an_older_limit_do_not_undo_the_newer_one(gateway, edrv):
    edrv.fault("delay_webhooks", min_s=2.0, max_s=3.0, count=160)
    event = gateway.declare()
    wait_until(lambda: len(held_down(edrv)) > 40)
    edrv.clear_faults()

    gateway.amend(event["id"], limit={"kind": "per_session", "unit": "power", "value": 6000})
    time.sleep(4)  # the old answers are in by now
    gateway.wait_until_answered(event["id"])

    wait_for_agreement(gateway, edrv)
    confirmed = [
        part["confirmed"]
        for part in gateway.participations(event["id"]).values()
        if part["state"] == "confirmed"
    ]
    assert confirmed
    assert {"unit": "power", "value": 4200} not in confirmed


def test_p5_a_limit_that_reaches_its_station_after_the_clear_is_mended(gateway, edrv):
    session = some_session(edrv)
    # The answer to the set is lost, and it takes effect all the same.
    edrv.fault("timeout", hold_s=6, effect=True, count=1, match={"session": session})
    event = gateway.declare(targets=[{"type": "session", "value": session}])
    wait_until(lambda: session in held_down(edrv))

    gateway.end(event["id"])
    gateway.wait_for_status(event["id"], "completed", within_s=90)

    assert held_down(edrv) == {}


# --- P7 no one in who doesn't belong --------------------------------------------------------

SURFACES = [
    ("GET", "/api/v1/events/", 401),
    ("POST", "/api/v1/events/", 401),
    ("GET", "/api/v1/sessions/", 401),
    ("POST", "/webhooks/edrv/", 401),
    ("POST", "/oauth/token/", 401),
    ("GET", "/admin/", 302),
    ("GET", "/admin/chargers/session/", 302),
]


@pytest.mark.parametrize(("method", "path", "status"), SURFACES)
def test_p7_every_surface_asks_who_is_there(gateway, method, path, status):
    answer = requests.request(
        method,
        f"{gateway.url}{path}",
        data={"grant_type": "client_credentials"} if path.startswith("/oauth") else b"{}",
        allow_redirects=False,
        timeout=10,
    )

    assert answer.status_code == status


def test_p7_no_secret_is_ever_in_a_log(gateway, edrv):
    event = gateway.declare(targets=[{"type": "session", "value": some_session(edrv)}])
    gateway.wait_until_answered(event["id"])

    logs = "".join(path.read_text(errors="replace") for path in gateway.data_dir.rglob("*.log"))
    token = gateway.client._http.headers["Authorization"].removeprefix("Bearer ")
    secret_key = (gateway.data_dir / "secret_key").read_text()
    assert "command" in logs or "sync.done" in logs
    for secret in (gateway.env["EDRV_WEBHOOK_SECRETS"], token, secret_key):
        assert secret not in logs


# --- P8 no doubt about figures --------------------------------------------------------------


def test_p8_metered_figures_are_the_simulator_s_and_times_are_utc(gateway, edrv):
    session = some_session(edrv)
    event = gateway.declare(targets=[{"type": "session", "value": session}])
    gateway.wait_until_answered(event["id"])
    wait_until(lambda: gateway.participations(event["id"])[session]["complied_at"])

    part = gateway.participations(event["id"])[session]
    told = gateway.client.get(f"sessions/{session}/")
    samples = edrv.call("GET", "ledger/energy")["sessions"][session]["samples"]
    metered_ms = datetime.fromisoformat(told["metered_at"]).timestamp() * 1000
    nearest = min(samples, key=lambda sample: abs(sample[0] - metered_ms))
    assert told["power_w"] == pytest.approx(nearest[1], rel=0.05, abs=60)
    assert told["power_w"] <= 4200 * 1.05
    for name in ("joined_at", "first_sent_at", "accepted_at", "complied_at"):
        assert part[name].endswith("Z")
    assert part["first_sent_at"] <= part["accepted_at"] <= part["complied_at"]


def test_p8_the_report_adds_up_and_shows_gaps_as_gaps(gateway):
    event = gateway.declare(duration="PT5S")
    gateway.wait_for_status(event["id"], "completed")

    report = gateway.client.get(f"events/{event['id']}/report/", format="json")

    counts = report["counts"]
    states = ("confirmed", "failed", "unreachable", "exempt", "ended")
    assert counts["targeted"] == sum(counts[state] for state in states)
    assert counts["targeted"] == len(report["participations"])
    by_state = dict.fromkeys(states, 0)
    for row in report["participations"]:
        by_state[row["state"]] += 1
        assert row["accepted_at"] is not None or row["seconds_to_accepted"] is None
    assert by_state == {state: counts[state] for state in states}
