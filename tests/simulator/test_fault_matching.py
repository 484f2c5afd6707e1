"""Whom a fault strikes, how often, for how long; and faults that are refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.simulator.support import Bench, asynchronous, running


async def physical(bench: Bench) -> str:
    return await bench.plug(station_kind="physical")


async def statuses(bench: Bench, session: str, count: int) -> list[int]:
    return [(await bench.set(session, "current", 10)).status for _ in range(count)]


@asynchronous
async def test_a_fault_strikes_those_it_matches() -> None:
    async with running() as bench:
        one, other = await physical(bench), await bench.plug(station_kind="amperes_only")
        match = {"session": one, "calls": ["set"]}
        await bench.sim("faults", {"kind": "http_reject", "match": match})

        assert (await bench.set(one, "current", 10)).status == 400
        assert (await bench.clear(one)).status == 200
        assert (await bench.api(f"sessions/{one}")).status == 200
        assert (await bench.set(other, "current", 10)).status == 200


@pytest.mark.parametrize(
    ("call", "hit"), [("look", (True, False)), ("list", (False, True)), ("set", (False, False))]
)
@asynchronous
async def test_reading_can_be_disturbed_too(call: str, hit: tuple[bool, bool]) -> None:
    async with running() as bench:
        session = await physical(bench)
        await bench.sim("faults", {"kind": "http_reject", "match": {"calls": [call]}})

        look, list_ = await bench.api(f"sessions/{session}"), await bench.api("sessions")

        assert (look.status == 400, list_.status == 400) == hit


@asynchronous
async def test_a_station_can_be_singled_out() -> None:
    async with running() as bench:
        session = await physical(bench)
        station = (await bench.look(session))["chargestation"]
        await bench.sim("faults", {"kind": "http_reject", "match": {"chargestation": station}})

        assert (await bench.set(session, "current", 10)).status == 400
        assert (await bench.set(await bench.plug(station_kind="dc"), "current", 9)).status == 200


@asynchronous
async def test_a_count_ends_a_fault() -> None:
    async with running() as bench:
        session = await physical(bench)
        await bench.sim("faults", {"kind": "server_error", "count": 2})

        assert await statuses(bench, session, 4) == [503, 503, 200, 200]
        (fault,) = (await bench.sim("faults"))["faults"]
        assert (fault["struck"], fault["active"]) == (2, False)


@asynchronous
async def test_time_ends_a_fault() -> None:
    async with running() as bench:
        session = await physical(bench)
        await bench.sim("faults", {"kind": "server_error", "for_s": 0.1})

        assert await statuses(bench, session, 1) == [503]
        await asyncio.sleep(0.12)
        assert await statuses(bench, session, 1) == [200]


@asynchronous
async def test_a_share_strikes_by_chance_and_the_seed_repeats_it() -> None:
    async def outcome(seed: int) -> list[int]:
        async with running(seed=seed) as bench:
            await bench.sim("faults", {"kind": "http_reject", "match": {"share": 0.3}})
            return await statuses(bench, await physical(bench), 60)

    one = await outcome(5)

    assert 8 <= one.count(400) <= 30
    assert await outcome(5) == one
    assert await outcome(6) != one


@asynchronous
async def test_a_sticky_share_strikes_the_same_sessions_every_time() -> None:
    async with running(sessions=40, share_simulator=0.0, share_offline=0.0) as bench:
        match = {"share": 0.5, "sticky": True, "calls": ["set"]}
        await bench.sim("faults", {"kind": "http_reject", "match": match})
        sessions = [one["_id"] for one in (await bench.api("sessions?paginate_limit=40")).result]

        outcomes = {session: await statuses(bench, session, 3) for session in sessions}

        assert all(len(set(three)) == 1 for three in outcomes.values())
        assert 10 <= sum(three[0] == 400 for three in outcomes.values()) <= 30


@asynchronous
async def test_the_oldest_of_two_faults_strikes_and_removing_it_gives_way() -> None:
    async with running() as bench:
        session = await physical(bench)
        first = await bench.sim("faults", {"kind": "server_error"})
        await bench.sim("faults", {"kind": "rate_limit"})
        before = await statuses(bench, session, 1)
        await bench.sim(f"faults/{first['id']}", method="DELETE")
        between = await statuses(bench, session, 1)
        removed = await bench.sim("faults", method="DELETE")

        assert (before, between) == ([503], [429])
        assert removed == {"removed": 1}
        assert await statuses(bench, session, 1) == [200]
        assert (await bench.sim("faults"))["faults"] == []


@asynchronous
async def test_faults_may_be_there_from_the_start() -> None:
    async with running(faults=('{"kind":"http_reject"}',)) as bench:
        assert (await bench.api("sessions")).status == 400


@asynchronous
async def test_the_ledger_names_the_fault_that_struck() -> None:
    async with running() as bench:
        fault = await bench.sim("faults", {"kind": "rate_limit"})
        await bench.api("sessions")

        assert (await bench.sim("ledger/requests"))["entries"][-1]["fault"] == fault["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "gremlins"}, "kind"),
        ({"kind": "slow"}, "delay_s"),
        ({"kind": "slow", "delay_s": -1}, "delay_s"),
        ({"kind": "slow", "delay_s": "1"}, "delay_s"),
        ({"kind": "server_error", "code": 404}, "code"),
        ({"kind": "delay_webhooks", "min_s": 2, "max_s": 1}, "max_s"),
        ({"kind": "double_webhooks", "times": 1.5}, "times"),
        ({"kind": "reject", "response_data": "no"}, "response_data"),
        ({"kind": "stall", "hold_s": 1}, "hold_s"),
        ({"kind": "stall", "count": 0}, "count"),
        ({"kind": "stall", "match": {"share": 1.5}}, "match.share"),
        ({"kind": "stall", "match": {"calls": ["put"]}}, "match.calls"),
        ({"kind": "stall", "match": {"sesion": "x"}}, "match.sesion"),
        ({"kind": "stall", "match": []}, "match"),
    ],
)
@asynchronous
async def test_a_wrong_fault_is_refused_and_the_field_is_named(body: Any, field: str) -> None:
    async with running() as bench:
        reply = await bench.sim_reply("faults", body)

        assert reply.status == 400
        assert reply.json["error"].startswith(f"{field}:")
        assert (await bench.sim("faults"))["faults"] == []
