"""The control surface: cars by hand, stations on and off, the ledger's pages, and plain errors."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.simulator.support import PATIENCE_S, asynchronous, listening, running

# Plugging in


@pytest.mark.parametrize("kind", ["physical", "simulator", "amperes_only", "dc", "offline"])
@asynchronous
async def test_a_car_can_be_plugged_in_at_a_station_of_any_kind(kind: str) -> None:
    async with running() as bench:
        row = await bench.sim("sessions", {"station_kind": kind})

        assert (row["status"], row["power_w"]) == ("Started", 0)
        assert row["online"] == (kind != "offline")
        if kind != "offline":
            assert row["station_kind"] == kind
        assert (await bench.look(row["_id"]))["connector"] == row["connector"]


@asynchronous
async def test_a_car_can_be_plugged_in_at_one_connector_or_one_location() -> None:
    async with running() as bench:
        connector = (await bench.api("connectors")).result[5]["_id"]
        location = (await bench.api("locations")).result[0]["_id"]

        there = await bench.sim("sessions", {"connector": connector})
        again = await bench.sim_reply("sessions", {"connector": connector})
        somewhere = await bench.sim("sessions", {"location": location})

        assert there["connector"] == connector
        assert again.status == 409
        assert somewhere["location"] == location


@asynchronous
async def test_a_car_draws_what_it_is_told_to() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical", power_w=3000)

        assert (await bench.limits(session))["power_w"] == 3000


@asynchronous
async def test_a_car_leaves_after_its_stay() -> None:
    async with listening(time_factor=100.0) as (hook, bench):
        session = await bench.plug(stay_s=10)

        (ended,) = await hook.wait_for(1, "session.ended")

        assert ended["data"]["_id"] == session
        assert ended["data"]["metrics"]["chargingStop"]


@asynchronous
async def test_a_car_may_start_later_or_never() -> None:
    async with listening(time_factor=200.0) as (hook, bench):
        later = await bench.plug(start_after_s=20)
        never = await bench.plug(starts=False)
        too_late = await bench.plug(start_after_s=500)
        before = (await bench.look(later))["status"]

        (started,) = await hook.wait_for(1, "session.started")
        cancelled = await hook.wait_for(2, "session.cancelled")  # after 120 s without a start

        assert before == "Created"
        assert started["data"]["_id"] == later
        assert {event["data"]["_id"] for event in cancelled} == {never, too_late}
        assert "energy_report" not in cancelled[0]["data"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"station_kind": "steam"}, "station_kind"),
        ({"connector": "none"}, "connector"),
        ({"connector": 5}, "connector"),
        ({"power_w": -1}, "power_w"),
        ({"power_w": 1e9}, "power_w"),
        ({"station_kind": "physical", "power_w": 500}, "power_w"),  # below 6 A
        ({"stay_s": "long"}, "stay_s"),
        ({"state_of_charge": 2}, "state_of_charge"),
        ({"starts": "yes"}, "starts"),
        ({"speed": 3}, "speed"),
    ],
)
@asynchronous
async def test_a_wrong_field_of_a_car_is_named(body: Any, field: str) -> None:
    async with running() as bench:
        reply = await bench.sim_reply("sessions", body)

        assert reply.status == 400
        assert reply.json["error"].startswith(f"{field}:")
        assert (await bench.sim("state"))["sessions"]["total"] == 0


@asynchronous
async def test_when_every_place_is_taken_that_is_said() -> None:
    async with running(sites=1, stations_per_site=2, share_dc=0.0, share_offline=0.0) as bench:
        for _ in range(4):
            await bench.plug()

        assert (await bench.sim_reply("sessions", {})).status == 409


@asynchronous
async def test_unplugging_twice_is_a_conflict() -> None:
    async with running() as bench:
        session = await bench.plug()

        first = await bench.sim(f"sessions/{session}/unplug", {})
        second = await bench.sim_reply(f"sessions/{session}/unplug", {})
        unknown = await bench.sim_reply("sessions/none/unplug", {})

        assert first["status"] == "Ended"
        assert (second.status, unknown.status) == (409, 404)


# Stations


@asynchronous
async def test_an_offline_station_is_silent_and_catches_up_on_its_return() -> None:
    async with listening(time_factor=100.0, report_interval_s=5.0) as (hook, bench):
        session = await bench.plug(station_kind="physical", battery_wh=1e9)
        station = (await bench.look(session))["chargestation"]
        await hook.wait_for(1, "session.updated")
        await bench.sim(f"chargestations/{station}/offline", {})
        await hook.wait_for(1, "chargestation.offline")
        heard = len(hook.bodies)
        stale = (await bench.look(session))["updatedAt"]
        await asyncio.sleep(0.2)
        meanwhile = len(hook.bodies)
        still = (await bench.look(session))["updatedAt"]
        await bench.sim(f"chargestations/{station}/online", {})
        await hook.wait_for(heard + 2)

        assert meanwhile == heard
        assert still == stale
        types = [event["type"] for event in hook.events][heard : heard + 2]
        assert types == ["chargestation.online", "session.updated"]
        assert (await bench.look(session))["updatedAt"] > stale


@asynchronous
async def test_the_end_of_a_session_at_an_offline_station_is_heard_later() -> None:
    async with listening() as (hook, bench):
        session = await bench.plug(station_kind="physical")
        station = (await bench.look(session))["chargestation"]
        await bench.sim(f"chargestations/{station}/offline", {})
        gone = await bench.sim(f"sessions/{session}/unplug", {})
        before = (await bench.look(session))["status"]
        command = await bench.set(session, "current", 10)
        await bench.sim(f"chargestations/{station}/online", {})
        await hook.wait_for(1, "session.ended")

        assert gone["power_w"] == 0
        assert before == "Started"
        assert command.status == 200  # eDRV does not know better
        assert (await bench.look(session))["status"] == "Ended"


@asynchronous
async def test_a_station_says_whether_it_is_online_and_since_when() -> None:
    async with running() as bench:
        stations = (await bench.api("chargestations")).result
        station = next(one for one in stations if one["online"])

        await bench.sim(f"chargestations/{station['_id']}/offline", {})
        after = (await bench.api(f"chargestations/{station['_id']}")).result

        assert (station["online"], after["online"]) == (True, False)
        assert after["lastDisconnectAt"] > station["lastDisconnectAt"]
        assert (await bench.sim_reply("chargestations/none/offline", {})).status == 404


# State and ledger


@asynchronous
async def test_the_state_sums_the_fleet_up() -> None:
    async with running(sessions=10, seed=4, time_factor=7.0) as bench:
        await bench.sim("sessions", {"station_kind": "dc"})
        state = await bench.sim("state")

        assert state["stations"]["total"] == 40
        assert state["stations"]["by_kind"] == {
            "physical": 24,
            "dc": 8,
            "simulator": 4,
            "amperes_only": 4,
        }
        assert (state["stations"]["offline"], state["seed"]) == (4, 4)
        assert state["sessions"]["by_status"] == {"Started": 11}
        assert state["connectors"]["free"] == state["connectors"]["total"] - 11
        assert state["power_kw"] > 10
        assert state["time_factor"] == 7


@asynchronous
async def test_the_ledger_keeps_every_request_in_the_order_of_arrival() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")
        action = (await bench.set(session, "current", 10)).result["_id"]
        await bench.api(f"sessions/{session}/set_power_limit", method="POST", data="gibberish")
        await bench.api("sessions", key="wrong")

        page = await bench.sim("ledger/requests")
        good, bad, unknown = page["entries"]

        assert [entry["seq"] for entry in page["entries"]] == [1, 2, 3]
        assert good == {
            "seq": 1,
            "received_at": good["received_at"],
            "answered_at": good["answered_at"],
            "method": "POST",
            "path": f"/v1.1/sessions/{session}/set_power_limit",
            "call": "set",
            "session": session,
            "body": {"unit": "current", "limit": 10},
            "http_status": 200,
            "action_id": action,
            "fault": None,
        }
        assert good["received_at"] <= good["answered_at"]
        assert (bad["http_status"], bad["body"], bad["action_id"]) == (400, "gibberish", None)
        assert (unknown["http_status"], unknown["call"]) == (401, "other")


@asynchronous
async def test_the_pages_of_a_log_follow_each_other() -> None:
    async with running() as bench:
        for _ in range(5):
            await bench.api("sessions")

        first = await bench.sim("ledger/requests?limit=2")
        second = await bench.sim(f"ledger/requests?limit=2&since={first['next']}")
        rest = await bench.sim(f"ledger/requests?since={second['next']}")
        end = await bench.sim(f"ledger/requests?since={rest['next']}")

        seqs = [[entry["seq"] for entry in page["entries"]] for page in (first, second, rest, end)]
        assert seqs == [[1, 2], [3, 4], [5], []]
        assert end == {"entries": [], "count": 5, "next": 5}


@asynchronous
async def test_the_ledger_forgets_the_oldest_and_says_so() -> None:
    async with running(keep=8) as bench:
        for _ in range(20):
            await bench.api("sessions")

        summary = (await bench.sim("ledger"))["requests"]
        kept = (await bench.sim("ledger/requests"))["entries"]
        later = (await bench.sim("ledger/requests?since=18"))["entries"]

        assert (summary["count"], summary["forgotten"]) == (20, 20 - len(kept))
        assert 8 <= len(kept) <= 10
        assert [entry["seq"] for entry in later] == [19, 20]


@asynchronous
async def test_the_summary_counts_calls_answers_and_flight() -> None:
    async with running(http_delay_s=0.05) as bench:
        session = await bench.plug()
        await asyncio.gather(*(bench.set(session, "current", 10) for _ in range(7)))
        await bench.api("sessions")
        await bench.set("none", "current", 10)

        requests = (await bench.sim("ledger"))["requests"]

        assert requests["by_call"] == {"set": {"200": 7, "404": 1}, "list": {"200": 1}}
        assert (requests["in_flight"], requests["max_in_flight"]) == (0, 7)
        assert requests["peak_per_s"] >= 5
        assert requests["first_at"] < requests["last_at"]


@asynchronous
async def test_webhooks_are_counted_by_type_and_state() -> None:
    async with listening() as (hook, bench):
        session = await bench.plug(station_kind="physical")
        await bench.settled((await bench.set(session, "current", 10)).result["_id"])
        await hook.wait_for(5)

        webhooks = (await bench.sim("ledger"))["webhooks"]
        (entry,) = (await bench.sim("ledger/webhooks?since=2&limit=1"))["entries"]

        assert webhooks["by_type"]["session.set_power_limit.completed"] == {"acked": 1}
        assert webhooks["count"] == webhooks["acked"] == 5
        assert (entry["seq"], entry["type"], entry["subject"]) == (3, "session.started", session)
        assert entry["_id"] == hook.events[2]["_id"]


@asynchronous
async def test_limits_show_open_sessions_and_on_request_all() -> None:
    async with running() as bench:
        open_, over = await bench.plug(station_kind="physical"), await bench.plug()
        await bench.sim(f"sessions/{over}/unplug", {})
        await bench.settled((await bench.set(open_, "power", 5000)).result["_id"])

        now = (await bench.sim("ledger/limits"))["sessions"]
        ever = (await bench.sim("ledger/limits?all=true"))["sessions"]

        assert now.keys() == {open_}
        assert ever.keys() == {open_, over}
        assert now[open_]["limit"] == {"unit": "power", "limit": 5000}
        assert now[open_]["set_at"] == ever[open_]["history"][0]["at"]
        assert (await bench.sim_reply("ledger/limits?all=maybe")).status == 400


@asynchronous
async def test_energy_is_true_energy_with_samples() -> None:
    async with running(time_factor=360.0, report_interval_s=10.0) as bench:
        session = await bench.plug(station_kind="physical", power_w=3600, battery_wh=1e9)
        await asyncio.sleep(0.3)

        row = (await bench.sim(f"ledger/energy?session={session}"))["sessions"][session]
        bare = (await bench.sim("ledger/energy?samples=false"))["sessions"][session]

        assert row["energy_wh"] == pytest.approx(row["drawing_s"], rel=1e-3)  # 1 Wh a second
        assert row["drawing_s"] >= 0.3 * 360
        assert len(row["samples"]) >= 8
        assert all(power_w == 3600 for _, power_w, _ in row["samples"])
        energies = [energy_wh for _, _, energy_wh in row["samples"]]
        assert energies == sorted(energies)
        assert "samples" not in bare
        assert (await bench.sim_reply("ledger/energy?session=none")).status == 404


# The endpoint, errors, the end


@asynchronous
async def test_the_endpoint_can_be_moved_while_running() -> None:
    async with listening() as (old, bench), listening() as (new, _):
        await bench.plug()
        await old.wait_for(3)
        said = await bench.sim("webhooks", {"url": new.url, "secret": "other", "disable_after": 9})
        await bench.plug()
        await new.wait_for(3)

        assert len(old.bodies) == 3
        assert said["endpoint"]["url"] == new.url
        assert said["endpoint"]["disable_after"] == 9
        assert "secret" not in said["endpoint"]


@asynchronous
async def test_a_raw_delivery_is_signed_and_sent_as_it_is() -> None:
    async with listening({"statuses": [202]}) as (hook, bench):
        delivery = {"_id": "x", "type": "no.such.event", "anything": [1, None]}

        first = await bench.sim("webhooks/send", delivery)
        second = await bench.sim("webhooks/send", delivery)

        assert (first, second) == ({"status": 202}, {"status": 200})
        assert hook.events == [delivery, delivery]
        assert hook.signatures[0].startswith("t=")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://here"}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://here", "signed_content": "all"}, "signed_content"),
        ({"url": "http://here", "signature_style": "v9"}, "signature_style"),
        ({"url": "http://here", "disable_after": 0}, "disable_after"),
        ({"url": "http://here", "retries": 1}, "retries"),
    ],
)
@asynchronous
async def test_a_wrong_endpoint_is_refused_and_the_field_is_named(body: Any, field: str) -> None:
    async with running() as bench:
        reply = await bench.sim_reply("webhooks", body)

        assert (reply.status, reply.json["error"].split(":")[0]) == (400, field)
        assert (await bench.sim("webhooks"))["endpoint"] is None


@asynchronous
async def test_what_is_no_control_call_is_404_and_no_json_is_400() -> None:
    async with running() as bench:
        assert (await bench.sim_reply("nowhere")).status == 404
        assert (await bench.sim_reply("state", {})).status == 404
        assert (await bench.sim_reply("webhooks/send", [])).status == 400
        assert (await bench.sim_reply("webhooks/send", {"a": 1})).status == 409  # no endpoint
        async with bench.http.post(f"{bench.simulator.control_url}/faults", data="{") as reply:
            assert reply.status == 400
            assert "JSON" in await reply.text()


@asynchronous
async def test_control_calls_are_not_in_the_ledger_and_need_no_key() -> None:
    async with running() as bench:
        assert (await bench.sim("health"))["ok"] is True
        assert (await bench.sim("ledger"))["requests"]["count"] == 0


@asynchronous
async def test_stop_ends_even_a_held_request_soon() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "timeout", "hold_s": 3600})
        held = asyncio.create_task(bench.api("sessions"))
        await asyncio.sleep(0.02)
        await bench.sim("stop", {})

        assert bench.simulator.parts.stopping.is_set()
        async with asyncio.timeout(PATIENCE_S):
            await bench.simulator.stop()
        with pytest.raises(aiohttp.ClientError):
            await held
