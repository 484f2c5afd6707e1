"""The simulator's own book, and the state of its world."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.simulator.support import asynchronous, listening, running, until


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

        async def acknowledged() -> Any:
            """The sender reads the answer a moment after the receiver gave it."""
            found = (await bench.sim("ledger"))["webhooks"]
            return found if found["acked"] >= 5 else None

        webhooks = await until(acknowledged)
        (entry,) = (await bench.sim("ledger/webhooks?since=2&limit=1"))["entries"]

        assert webhooks["by_type"]["session.set_power_limit.completed"] == {"acked": 1}
        assert (webhooks["count"], webhooks["acked"]) == (5, 5)
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
        path = f"ledger/energy?session={session}"

        async def sampled() -> Any:
            row = (await bench.sim(path))["sessions"][session]
            return row if len(row["samples"]) >= 8 else None

        row = await until(sampled)
        bare = (await bench.sim("ledger/energy?samples=false"))["sessions"][session]

        assert row["energy_wh"] == pytest.approx(row["drawing_s"], rel=1e-3)  # 1 Wh a second
        assert row["drawing_s"] >= 70
        assert all(power_w == 3600 for _, power_w, _ in row["samples"])
        energies = [energy_wh for _, _, energy_wh in row["samples"]]
        assert energies == sorted(energies)
        assert "samples" not in bare
        assert (await bench.sim_reply("ledger/energy?session=none")).status == 404
