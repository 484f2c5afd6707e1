"""Deliveries: their form, their signature, their order, and what happens if nobody says 200."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.simulator.support import (
    SECRET,
    Bench,
    asynchronous,
    listening,
    receiving,
    running,
    until,
)

QUICK = {"webhook_backoff_s": (0.01,), "webhook_secret": SECRET}


async def deliveries(bench: Bench, state: str, count: int = 1) -> list[Any]:
    """At least `count` deliveries in a state, from the ledger."""

    async def enough() -> Any:
        entries = (await bench.sim("ledger/webhooks"))["entries"]
        found = [entry for entry in entries if entry["state"] == state]
        return found if len(found) >= count else None

    found: list[Any] = await until(enough)
    return found


def hmac_hex(content: bytes) -> str:
    return hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()


@asynchronous
async def test_a_delivery_has_the_documented_envelope() -> None:
    async with listening() as (hook, bench):
        session = await bench.plug()

        (started,) = await hook.wait_for(1, "session.started")

        assert list(started) == ["_id", "data", "object", "type", "createdAt"]
        assert started["object"] == "session"
        assert started["data"]["_id"] == session
        assert started["data"]["status"] == "Started"


@asynchronous
async def test_a_car_is_told_of_from_plug_to_leave() -> None:
    async with listening() as (hook, bench):
        session = await bench.plug(station_kind="physical")
        await bench.sim(f"sessions/{session}/unplug", {})

        events = await hook.wait_for(5)

        assert [event["type"] for event in events] == [
            "chargestation.connector_status.updated",
            "chargestation.connector_status.updated",
            "session.started",
            "session.ended",
            "chargestation.connector_status.updated",
        ]
        status = [
            [connector["status"] for connector in event["data"]["connectors"]]
            for event in hook.of("chargestation.connector_status")
        ]
        assert [one[0] for one in status] == ["Preparing", "Charging", "Available"]


@asynchronous
async def test_the_body_is_signed_with_the_secret() -> None:
    async with listening(**QUICK) as (hook, bench):
        before_ms = time.time_ns() // 1_000_000
        await bench.plug()
        await hook.wait_for(3)

        for body, signature in zip(hook.bodies, hook.signatures, strict=True):
            t, v1 = (part.split("=", 1)[1] for part in signature.split(","))
            assert v1 == hmac_hex(body)
            assert 0 <= int(t) - before_ms < 5_000


@asynchronous
async def test_the_time_may_be_signed_too() -> None:
    settings = {**QUICK, "signed_content": "t.body"}
    async with listening(**settings) as (hook, bench):
        await bench.plug()
        await hook.wait_for(1)

        t, v1 = (part.split("=", 1)[1] for part in hook.signatures[0].split(","))
        assert v1 == hmac_hex(f"{t}.".encode() + hook.bodies[0])


@asynchronous
async def test_the_older_signature_is_over_escaped_unicode_of_an_unescaped_body() -> None:
    settings = {**QUICK, "signature_style": "legacy"}
    async with listening(**settings) as (hook, bench):
        await bench.sim("webhooks/send", {"_id": "1", "data": {"name": "Łódź"}})
        escaped = json.dumps(json.loads(hook.bodies[0]), separators=(",", ":")).encode()

        assert "Łódź" in hook.bodies[0].decode()
        assert hook.signatures == [f"sha256={hmac_hex(escaped)}"]


@asynchronous
async def test_what_is_not_answered_200_is_tried_again_with_the_same_id() -> None:
    async with listening({"statuses": [500, 204, 302]}, **QUICK) as (hook, bench):
        await bench.sim("chargestations/" + await a_station(bench) + "/offline", {})
        (delivery,) = await deliveries(bench, "acked")

        assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 204, 302, 200]
        assert {event["_id"] for event in hook.events} == {delivery["_id"]}
        times = [int(signature.split(",")[0][2:]) for signature in hook.signatures]
        assert times == sorted(times)
        assert times[0] < times[-1]


@asynchronous
async def test_the_waits_between_tries_follow_the_schedule_and_repeat_its_end() -> None:
    settings = {**QUICK, "webhook_backoff_s": (0.02, 0.1)}
    async with listening({"statuses": [500] * 3}, **settings) as (hook, bench):
        await bench.sim(f"chargestations/{await a_station(bench)}/offline", {})
        await hook.wait_for(4)

        waits_s = [later - sooner for sooner, later in itertools.pairwise(hook.times_s)]
        assert waits_s[0] >= 0.02
        assert min(waits_s[1:]) >= 0.1
        assert waits_s[0] < min(waits_s[1:])


@pytest.mark.parametrize("form", ["seconds", "date"])
@asynchronous
async def test_retry_after_outranks_the_schedule(form: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    value = "0" if form == "seconds" else format_datetime(soon, usegmt=True)
    receiver = {"statuses": [429], "headers": {"Retry-After": value}}
    async with listening(receiver, webhook_backoff_s=(60.0,)) as (hook, bench):
        await bench.sim(f"chargestations/{await a_station(bench)}/offline", {})

        assert len(await hook.wait_for(2)) == 2


@asynchronous
async def test_a_delivery_is_given_up_after_its_last_try() -> None:
    async with listening({"statuses": [500] * 3}, webhook_tries=3, **QUICK) as (_, bench):
        await bench.sim(f"chargestations/{await a_station(bench)}/offline", {})
        (failed,) = await deliveries(bench, "failed")

        assert len(failed["attempts"]) == 3
        assert (await bench.sim("ledger"))["webhooks"]["failed"] == 1


@asynchronous
async def test_nobody_there_counts_as_a_failed_try() -> None:
    async with receiving() as hook:
        url = hook.url
    async with running(webhook_url=url, webhook_tries=2, **QUICK) as bench:
        await bench.sim(f"chargestations/{await a_station(bench)}/offline", {})
        (failed,) = await deliveries(bench, "failed")

        assert [attempt["status"] for attempt in failed["attempts"]] == [
            "ConnectionRefusedError"
        ] * 2


@asynchronous
async def test_an_endpoint_that_keeps_failing_is_disabled_until_it_is_set_again() -> None:
    async with listening({"statuses": [500] * 3}, disable_after=3, **QUICK) as (hook, bench):
        station = await a_station(bench)
        await bench.sim(f"chargestations/{station}/offline", {})
        await deliveries(bench, "unsent")
        disabled = (await bench.sim("ledger"))["endpoint"]
        await bench.sim(f"chargestations/{station}/online", {})
        unheard = len(hook.bodies)
        await bench.sim("webhooks", {"url": hook.url})
        await bench.sim(f"chargestations/{station}/offline", {})
        await hook.wait_for(4)

        assert (disabled["disabled"], disabled["consecutive_failures"]) == (True, 3)
        assert unheard == 3
        assert (await bench.sim("webhooks"))["endpoint"]["disabled"] is False


@asynchronous
async def test_a_success_in_between_starts_the_count_of_failures_anew() -> None:
    receiver = {"statuses": [500, 500, 200, 500, 500]}
    async with listening(receiver, disable_after=3, **QUICK) as (hook, bench):
        station = await a_station(bench)
        await bench.sim(f"chargestations/{station}/offline", {})
        await bench.sim(f"chargestations/{station}/online", {})
        await hook.wait_for(6)

        assert (await bench.sim("ledger"))["endpoint"]["disabled"] is False


@asynchronous
async def test_the_events_of_a_station_arrive_in_order_even_past_a_failure() -> None:
    async with listening({"statuses": [503, 503]}, **QUICK) as (hook, bench):
        station = await a_station(bench)
        for _ in range(5):
            await bench.sim(f"chargestations/{station}/offline", {})
            await bench.sim(f"chargestations/{station}/online", {})
        await hook.wait_for(12, "chargestation.o")
        kept = list(dict.fromkeys(event["_id"] for event in hook.of("chargestation.o")))
        sent = await deliveries(bench, "acked", 10)

        ordered = [one["_id"] for one in sent if one["type"].startswith("chargestation.o")]
        assert kept == ordered


@asynchronous
async def test_no_more_deliveries_are_in_flight_than_allowed() -> None:
    async with receiving(delay_s=0.05) as hook, running(webhook_concurrency=4) as bench:
        await bench.sim("webhooks", {"url": hook.url})
        stations = (await bench.api("chargestations?paginate_limit=100")).result
        online = [station["_id"] for station in stations if station["online"]][:12]
        for station in online:
            await bench.sim(f"chargestations/{station}/offline", {})
        await hook.wait_for(12)

        assert hook.max_in_flight == 4


@asynchronous
async def test_a_slow_endpoint_is_given_up_on() -> None:
    settings = {**QUICK, "webhook_timeout_s": 0.05, "webhook_tries": 1}
    async with listening({"delay_s": 0.5}, **settings) as (_, bench):
        await bench.sim(f"chargestations/{await a_station(bench)}/offline", {})
        (failed,) = await deliveries(bench, "failed")

        assert [attempt["status"] for attempt in failed["attempts"]] == ["timeout"]


@asynchronous
async def test_without_an_endpoint_events_are_noted_as_unsent() -> None:
    async with running() as bench:
        await bench.sim(f"chargestations/{await a_station(bench)}/offline", {})

        assert (await bench.sim("ledger"))["webhooks"]["unsent"] == 1


@asynchronous
async def test_reports_come_in_each_sessions_own_rhythm() -> None:
    settings = {"sessions": 20, "time_factor": 100.0, "share_offline": 0.0}
    async with listening(**settings) as (hook, _):
        reports = await hook.wait_for(60, "session.updated")
        sessions = [report["data"]["_id"] for report in reports]

        # Each session is heard once in a round, about in its place: spread, not all at once.
        first, second = sessions[:20], sessions[20:40]
        assert len(set(first)) == 20
        assert all(abs(first.index(one) - second.index(one)) <= 3 for one in first)
        assert hook.times_s[19] - hook.times_s[0] > 0.15  # of a round of 0.3 s


@pytest.mark.parametrize(
    ("quirk", "reading"),
    [
        ("string-numbers", {"value": "11.04", "unit": "kW"}),
        ("power-in-w", {"value": 11040, "unit": "W"}),
    ],
)
@asynchronous
async def test_quirks_change_how_a_reading_is_written(quirk: str, reading: Any) -> None:
    quirks = frozenset({quirk})
    async with running(quirks=quirks, share_three_phase=1.0, time_factor=100.0) as bench:
        id_ = await bench.plug(station_kind="physical", power_w=11040, battery_wh=1e9)

        async def charging() -> Any:
            power = (await bench.look(id_))["energy_report"]["power"]
            return power if float(power["value"]) else None

        power = await until(charging)
        assert type(power["value"]) is type(reading["value"])
        assert power["unit"] == reading["unit"]
        assert float(power["value"]) == pytest.approx(float(reading["value"]), rel=0.011)


@asynchronous
async def test_the_other_quirks_are_visible_in_a_session() -> None:
    quirks = frozenset({"energy-in-wh", "status-case", "populated", "extra-fields"})
    async with running(quirks=quirks) as bench:
        id_ = await bench.plug()
        sessions = [await bench.look(id_) for _ in range(30)]

        assert {session["status"] for session in sessions} == {"Started", "started", "STARTED"}
        assert sessions[0]["energy_report"]["energy_meter"]["unit"] == "Wh"
        assert sessions[0]["chargestation"]["connectors"]
        assert sessions[0]["connector"]["_id"]
        assert "fleet_hint" in sessions[0]


@asynchronous
async def test_unknown_types_come_now_and_then() -> None:
    settings = {"sessions": 40, "time_factor": 300.0, "quirks": frozenset({"unknown-types"})}
    async with listening(**settings) as (hook, _):
        (unknown, *_) = await hook.wait_for(1, "session.grid_readiness")

        assert unknown["type"] == "session.grid_readiness.updated"
        assert len(hook.of("session.updated")) > 5


async def a_station(bench: Bench) -> str:
    """One that is online and has no session."""
    stations = (await bench.api("chargestations?paginate_limit=100")).result
    free: str = next(
        station["_id"]
        for station in stations
        if station["online"] and all(c["status"] == "Available" for c in station["connectors"])
    )
    return free
