"""The control surface: cars by hand, stations on and off, the endpoint, and plain errors."""

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


# --- stations -----------------------------------------------------------------------------


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
async def test_a_session_that_never_started_is_cancelled_even_at_an_offline_station() -> None:
    async with listening(time_factor=400.0) as (hook, bench):
        session = await bench.plug(station_kind="physical", starts=False)
        station = (await bench.look(session))["chargestation"]
        await bench.sim(f"chargestations/{station}/offline", {})

        (cancelled,) = await hook.wait_for(1, "session.cancelled")

        assert cancelled["data"]["_id"] == session


@asynchronous
async def test_a_car_that_left_before_it_started_does_not_start() -> None:
    async with listening(time_factor=100.0) as (hook, bench):
        session = await bench.plug(station_kind="physical", start_after_s=10)
        station = (await bench.look(session))["chargestation"]
        await bench.sim(f"chargestations/{station}/offline", {})
        await bench.sim(f"sessions/{session}/unplug", {})
        await asyncio.sleep(0.15)
        await bench.sim(f"chargestations/{station}/online", {})

        await hook.wait_for(1, "session.cancelled")
        assert not hook.of("session.started")


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
async def test_the_control_surface_lists_what_can_be_read() -> None:
    async with running() as bench:
        for path in (await bench.sim(""))["get"]:
            assert (await bench.sim_reply(path.removeprefix("/_sim/"))).status == 200


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
