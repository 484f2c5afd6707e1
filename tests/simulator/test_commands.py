"""From a command to the station's answer, kind by kind, and what the car makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.simulator.support import Bench, asynchronous, listening, receiving, running


async def answer_to(bench: Bench, kind: str, unit: str | None) -> Any:
    """What a set, or with no unit a clear, ends in: an HTTP status, or the action's end."""
    session = await bench.plug(station_kind=kind)
    reply = await (bench.set(session, unit, 10) if unit else bench.clear(session))
    if reply.status != 200:
        return reply.status
    action = await bench.settled(reply.result["_id"])
    return action["status"], action["response_data"]


ACCEPTED = ("completed", {"status": "Accepted"})
REJECTED = ("failed", {"status": "Rejected"})
UNSUPPORTED = ("failed", {"status": "NotSupported"})


@pytest.mark.parametrize(
    ("kind", "power", "current", "clear"),
    [
        ("physical", ACCEPTED, ACCEPTED, ACCEPTED),
        ("dc", ACCEPTED, ACCEPTED, ACCEPTED),
        ("amperes_only", REJECTED, ACCEPTED, ACCEPTED),
        ("simulator", 400, ACCEPTED, 400),
    ],
)
@asynchronous
async def test_every_kind_of_station_answers_in_its_way(
    kind: str, power: Any, current: Any, clear: Any
) -> None:
    async with running() as bench:
        assert await answer_to(bench, kind, "power") == power
        assert await answer_to(bench, kind, "current") == current
        assert await answer_to(bench, kind, None) == clear


@asynchronous
async def test_simulators_may_refuse_by_a_failed_action_instead() -> None:
    async with running(unsupported="action") as bench:
        assert await answer_to(bench, "simulator", "power") == UNSUPPORTED
        assert await answer_to(bench, "simulator", None) == UNSUPPORTED


@asynchronous
async def test_an_offline_station_fails_after_its_time_out() -> None:
    async with running(time_factor=100.0) as bench:
        session = await bench.plug(station_kind="offline")
        action = (await bench.set(session, "current", 10)).result

        settled = await bench.settled(action["_id"])
        waited = datetime.fromisoformat(settled["updatedAt"]) - datetime.fromisoformat(
            settled["createdAt"]
        )

        assert settled["status"] == "failed"
        assert waited >= timedelta(seconds=0.3)  # 30 simulated ones
        assert list(settled["response_data"]) == ["error"]
        assert (await bench.limits(session))["limit"] is None


@asynchronous
async def test_a_station_that_comes_back_does_not_answer_the_call_it_missed() -> None:
    async with running(time_factor=100.0) as bench:
        session = await bench.plug(station_kind="offline")
        action = (await bench.set(session, "current", 10)).result
        station = action["chargestation"]
        await bench.sim(f"chargestations/{station}/online", {})

        assert (await bench.settled(action["_id"]))["status"] == "failed"


@pytest.mark.parametrize(("strict", "status"), [(False, "completed"), (True, "failed")])
@asynchronous
async def test_a_clear_of_nothing_is_unknown_only_when_strict(strict: bool, status: str) -> None:
    async with running(strict_clear=strict) as bench:
        session = await bench.plug(station_kind="physical")

        action = await bench.settled((await bench.clear(session)).result["_id"])

        assert action["status"] == status


@asynchronous
async def test_a_limit_reduces_the_car_and_a_clear_gives_it_back() -> None:
    async with running(time_factor=50.0) as bench:
        session = await bench.plug(station_kind="physical", battery_wh=1e9)
        full_w = (await bench.limits(session))["power_w"]
        phases = (await bench.limits(session))["phases"]

        await bench.settled((await bench.set(session, "power", phases * 230 * 8)).result["_id"])
        limited = await bench.limits(session)
        await bench.settled((await bench.clear(session)).result["_id"])
        cleared = await bench.limits(session)

        assert limited["limit"] == {"unit": "power", "limit": phases * 230 * 8}
        assert 0 < limited["power_w"] <= phases * 230 * 8 < full_w
        assert (cleared["limit"], cleared["power_w"]) == (None, full_w)


@asynchronous
async def test_a_limit_below_six_amperes_pauses_an_ac_car() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")

        await bench.settled((await bench.set(session, "current", 5.9)).result["_id"])

        row = await bench.limits(session)
        assert (row["power_w"], row["limit"]["limit"]) == (0, 5.9)


@asynchronous
async def test_the_next_set_replaces_the_limit_and_the_history_keeps_both() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")
        actions = []
        for limit in (16, 10):
            action = (await bench.set(session, "current", limit)).result
            actions.append((await bench.settled(action["_id"]))["_id"])

        row = await bench.limits(session)

        assert row["limit"] == {"unit": "current", "limit": 10}
        assert row["action_id"] == actions[1]
        assert [(change["limit"], change["action_id"]) for change in row["history"]] == [
            (16, actions[0]),
            (10, actions[1]),
        ]


@asynchronous
async def test_a_limit_is_gone_with_its_session_and_the_next_car_starts_uncapped() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")
        await bench.settled((await bench.set(session, "current", 7)).result["_id"])
        before = await bench.limits(session)
        await bench.sim(f"sessions/{session}/unplug", {})

        after = await bench.limits(session)
        next_ = await bench.limits(await bench.plug(connector=before["connector"]))

        assert before["limit"] is not None
        assert (after["limit"], after["history"][-1]["limit"]) == (None, None)
        assert next_["limit"] is None
        assert next_["power_w"] > 7 * 230 * next_["phases"] - 1


@asynchronous
async def test_a_station_answers_its_calls_in_their_order() -> None:
    async with running(answer_delay_s=(0.0, 0.1)) as bench, receiving() as hook:
        await bench.sim("webhooks", {"url": hook.url})
        session = await bench.plug(station_kind="physical")

        for limit in range(6, 16):
            await bench.set(session, "current", limit)
        done = await hook.wait_for(10, "session.set_power_limit.completed")

        assert [event["data"]["data"]["limit"] for event in done] == list(range(6, 16))
        assert (await bench.limits(session))["limit"]["limit"] == 15


@asynchronous
async def test_a_session_that_ends_meanwhile_makes_the_command_fail() -> None:
    async with running(answer_delay_s=(0.2, 0.2)) as bench:
        session = await bench.plug(station_kind="physical")
        action = (await bench.set(session, "current", 10)).result
        await bench.sim(f"sessions/{session}/unplug", {})

        settled = await bench.settled(action["_id"])

        assert (settled["status"], settled["response_data"]) == REJECTED


@asynchronous
async def test_a_command_is_reported_requested_and_then_completed() -> None:
    async with listening() as (hook, bench):
        session = await bench.plug(station_kind="physical")
        answered = (await bench.set(session, "current", 12)).result
        requested, completed = await hook.wait_for(2, "session.set_power_limit")

        assert requested["type"] == "session.set_power_limit.requested"
        assert requested["object"] == "action"
        assert requested["data"] == answered
        assert completed["type"] == "session.set_power_limit.completed"
        assert completed["data"]["_id"] == answered["_id"]
        assert completed["data"]["status"] == "completed"
        assert completed["data"]["response_data"] == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("names", "suffixes"),
    [
        ("completed", ["requested", "completed", "requested", "failed"]),
        ("accepted", ["requested", "accepted", "requested", "rejected"]),
    ],
)
@asynchronous
async def test_the_names_of_the_events_differ_and_their_status_does_not(
    names: str, suffixes: list[str]
) -> None:
    async with receiving() as hook, running(webhook_names=names) as bench:
        await bench.sim("webhooks", {"url": hook.url})
        session = await bench.plug(station_kind="amperes_only")
        for unit in ("current", "power"):
            await bench.settled((await bench.set(session, unit, 12)).result["_id"])

        events = await hook.wait_for(4, "session.set_power_limit")

        assert [event["type"].split(".")[-1] for event in events] == suffixes
        statuses = [event["data"]["status"] for event in events]
        assert statuses == ["requested", "completed", "requested", "failed"]
