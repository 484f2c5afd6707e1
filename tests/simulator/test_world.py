"""A fleet that lives: arrivals, departures, compressed time, and seeds that repeat themselves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.simulator.support import Bench, asynchronous, listening, running, until

MILLISECOND = timedelta(milliseconds=1)  # what eDRV's times are cut to


async def fingerprint(bench: Bench) -> list[Any]:
    """What a seed decides: everything but the times of creation."""
    sessions = (await bench.api("sessions?paginate_enabled=false&sort_order=asc")).result
    return [
        (one["_id"][8:], one["user"], one["connector"], one["metrics"]["energyConsumed"])
        for one in sessions
    ]


@asynchronous
async def test_the_sessions_of_a_start_come_from_the_seed() -> None:
    async with running(sessions=20, seed=3) as one, running(sessions=20, seed=3) as same:
        first, again = await fingerprint(one), await fingerprint(same)
    async with running(sessions=20, seed=4) as other:
        different = await fingerprint(other)

    assert first == again
    assert first != different


@asynchronous
async def test_the_first_sessions_are_under_way_and_older_than_the_simulator() -> None:
    async with running(sessions=20) as bench:
        sessions = (await bench.api("sessions?paginate_limit=20")).result
        now = datetime.now().astimezone()

        assert all(one["status"] == "Started" for one in sessions)
        assert all(datetime.fromisoformat(one["createdAt"]) < now for one in sessions)
        assert sum(one["metrics"]["energyConsumed"] > 0 for one in sessions) == 20
        assert sum(one["energy_report"]["power"]["value"] > 0 for one in sessions) == 20


@asynchronous
async def test_cars_arrive_and_leave_at_the_rate_asked_for() -> None:
    settings = {"static": False, "arrivals_per_hour": 3600.0, "time_factor": 50.0}
    async with listening(**settings, share_no_shows=0.0) as (hook, bench):
        await asyncio.sleep(0.6)
        total = (await bench.sim("state"))["sessions"]["total"]
        simulated_s = (await bench.sim("state"))["simulated_s"]

        assert total == pytest.approx(simulated_s, abs=4 * simulated_s**0.5)
        assert hook.of("session.started")


@asynchronous
async def test_stays_end() -> None:
    settings = {"static": False, "arrivals_per_hour": 0.0, "sessions": 30}
    async with listening(**settings, time_factor=36_000.0, report_interval_s=7200.0) as (hook, _):
        ended = await hook.wait_for(20, "session.ended")

        assert all(one["data"]["status"] == "Ended" for one in ended)


@asynchronous
async def test_static_means_that_nobody_comes_or_goes() -> None:
    async with running(sessions=20, time_factor=20_000.0, report_interval_s=7200.0) as bench:
        await asyncio.sleep(0.5)

        state = await bench.sim("state")
        assert state["simulated_s"] > 9_000
        assert state["sessions"]["by_status"] == {"Started": 20}


@asynchronous
async def test_some_arrivals_never_start_and_are_cancelled() -> None:
    settings = {"static": False, "arrivals_per_hour": 3600.0, "time_factor": 400.0}
    async with listening(**settings, share_no_shows=1.0) as (hook, _):
        cancelled = await hook.wait_for(3, "session.cancelled")

        assert cancelled[0]["data"]["status"] == "Cancelled"
        assert not hook.of("session.started")


@asynchronous
async def test_time_is_compressed_and_timestamps_are_not() -> None:
    async with running(time_factor=1000.0, report_interval_s=10.0) as bench:
        began_at = datetime.now(UTC)
        session = await bench.plug(station_kind="physical", power_w=3600, battery_wh=1e9)
        await asyncio.sleep(0.3)

        shown = await bench.look(session)
        reported_at = datetime.fromisoformat(shown["energy_report"]["timestamp"])
        assert began_at - MILLISECOND <= reported_at <= datetime.now(UTC)
        assert shown["metrics"]["energyPeriod"] > 200  # simulated seconds
        assert shown["metrics"]["energyConsumed"] == pytest.approx(
            shown["metrics"]["energyPeriod"], abs=2
        )  # 3600 W take a watt-hour a second


@asynchronous
async def test_a_car_lags_behind_a_limit_in_compressed_time() -> None:
    async with running(time_factor=20.0) as bench:
        session = await bench.plug(
            station_kind="physical", power_w=3600, battery_wh=1e9, lag_s=8, ramp_s=0.0
        )
        await power_reaches(bench, session, 3600)
        set_s = (await bench.sim("state"))["simulated_s"]
        await bench.settled((await bench.set(session, "current", 0)).result["_id"])
        await power_reaches(bench, session, 0)

        assert (await bench.sim("state"))["simulated_s"] - set_s >= 8


async def power_reaches(bench: Bench, session: str, power_w: float) -> None:
    async def reached() -> bool:
        return bool((await bench.limits(session))["power_w"] == power_w)

    await until(reached)


@asynchronous
async def test_readings_are_within_a_percent_of_the_truth() -> None:
    async with listening(time_factor=100.0, report_interval_s=2.0) as (hook, bench):
        await bench.plug(station_kind="physical", power_w=3000, battery_wh=1e9)
        events = await hook.wait_for(15, "session.updated")
        readings_kw = [event["data"]["energy_report"]["power"]["value"] for event in events]

        assert all(abs(reading_kw - 3) <= 0.031 for reading_kw in readings_kw)
        assert len(set(readings_kw)) > 5


@asynchronous
async def test_connectors_tell_who_stopped_the_car() -> None:
    async with listening(time_factor=100.0, report_interval_s=5.0) as (hook, bench):
        paused = await bench.plug(station_kind="physical", battery_wh=1e9)
        await bench.set(paused, "current", 0)
        full = await bench.plug(station_kind="amperes_only", battery_wh=1, state_of_charge=1)

        async def statuses() -> dict[str, str]:
            rows = (await bench.sim("ledger/limits"))["sessions"]
            return {
                id_: (await bench.api(f"connectors/{rows[id_]['connector']}")).result["status"]
                for id_ in (paused, full)
            }

        await asyncio.sleep(0.3)
        assert await statuses() == {paused: "SuspendedEVSE", full: "SuspendedEV"}
        assert len(hook.of("chargestation.connector_status.updated")) == 6
