"""Each kind of fault, as a caller of the API or a receiver of webhooks meets it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from tests.simulator.support import Bench, asynchronous, listening, running


async def physical(bench: Bench) -> str:
    return await bench.plug(station_kind="physical")


# --- stations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [{"status": "Rejected"}, {"status": "Occurrence", "errors": [1, {"a": None}]}, {}]
)
@asynchronous
async def test_reject_fails_the_action_with_any_words(said: Any) -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "reject", "response_data": said})
        session = await physical(bench)

        action = await bench.settled((await bench.set(session, "current", 10)).result["_id"])

        assert (action["status"], action["response_data"]) == ("failed", said)
        assert (await bench.limits(session))["limit"] is None


@asynchronous
async def test_ignore_limit_accepts_and_does_not_reduce() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "ignore_limit", "count": 1})
        session = await physical(bench)
        before_w = (await bench.limits(session))["power_w"]

        action = await bench.settled((await bench.set(session, "current", 0)).result["_id"])
        ignoring = await bench.limits(session)
        await bench.settled((await bench.set(session, "current", 0)).result["_id"])
        obeying = await bench.limits(session)

        assert action["status"] == "completed"
        assert (ignoring["ignores_limit"], ignoring["power_w"]) == (True, before_w)
        assert (obeying["ignores_limit"], obeying["power_w"]) == (False, 0)


@asynchronous
async def test_stall_leaves_the_action_requested_for_ever() -> None:
    async with listening() as (hook, bench):
        await bench.sim("faults", {"kind": "stall", "count": 1})
        session = await physical(bench)
        stalled = (await bench.set(session, "current", 10)).result["_id"]
        answered = (await bench.set(session, "current", 11)).result["_id"]
        await bench.settled(answered)
        await hook.wait_for(3, "session.set_power_limit")

        assert (await bench.api(f"actions/{stalled}")).result["status"] == "requested"
        told = [(e["data"]["_id"], e["data"]["status"]) for e in hook.of("session.set")]
        assert sorted(told) == sorted(
            [(stalled, "requested"), (answered, "requested"), (answered, "completed")]
        )


@asynchronous
async def test_webhook_first_tells_before_it_answers() -> None:
    async with listening() as (hook, bench):
        await bench.sim("faults", {"kind": "webhook_first"})
        session = await physical(bench)

        answer = (await bench.set(session, "current", 10)).result

        told = hook.of("session.set_power_limit")  # no waiting: they are here already
        assert [event["data"]["status"] for event in told] == ["requested", "completed"]
        assert answer["status"] == "requested"
        assert "response_data" not in answer


# HTTP


@asynchronous
async def test_http_reject_is_a_400_in_the_envelope() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "http_reject", "message": "no such luck"})

        reply = await bench.set(await physical(bench), "current", 10)

        assert (reply.status, reply.json["message"]) == (400, "no such luck")


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize(("kind", "params"), [("timeout", {"hold_s": 0.05}), ("reset", {})])
@asynchronous
async def test_a_cut_line_says_nothing_of_the_effect(
    kind: str, params: dict[str, Any], effect: bool
) -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": kind, "effect": effect, "count": 1, **params})
        session = await physical(bench)

        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await bench.set(session, "current", 10)
        await asyncio.sleep(0.05)

        row = await bench.limits(session)
        assert (row["limit"] is not None) == effect
        entry = (await bench.sim("ledger/requests"))["entries"][-1]
        assert (entry["http_status"], entry["answered_at"]) == (None, None)
        assert (entry["action_id"] is not None) == effect
        assert (await bench.sim("ledger"))["requests"]["by_call"]["set"] == {"unanswered": 1}


@asynchronous
async def test_reset_is_a_real_connection_reset() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "reset"})
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.simulator.port)
        head = "GET /v1.1/sessions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer simulator\r\n\r\n"
        writer.write(head.encode())

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@asynchronous
async def test_slow_answers_late_but_acts_at_once() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "slow", "delay_s": 0.4})
        session = await physical(bench)

        reply = await bench.set(session, "current", 10)

        assert reply.status == 200
        row = await bench.limits(session)
        assert row["limit"] == {"unit": "current", "limit": 10}
        entry = (await bench.sim("ledger/requests"))["entries"][-1]
        received_at, set_at, answered_at = (
            datetime.fromisoformat(time)
            for time in (entry["received_at"], row["set_at"], entry["answered_at"])
        )
        assert received_at <= set_at < answered_at
        assert answered_at - received_at >= timedelta(milliseconds=399)


@pytest.mark.parametrize(("retry_after_s", "header"), [(None, None), (2, "2"), (0.3, "1")])
@asynchronous
async def test_rate_limit_may_say_when_to_come_back(
    retry_after_s: float | None, header: str | None
) -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "rate_limit", "retry_after_s": retry_after_s})

        reply = await bench.set(await physical(bench), "current", 10)

        assert (reply.status, reply.headers.get("Retry-After")) == (429, header)
        assert reply.json["ok"] is False


@asynchronous
async def test_server_error_speaks_json_or_as_a_proxy() -> None:
    async with running() as bench:
        session = await physical(bench)
        await bench.sim("faults", {"kind": "server_error", "count": 1})
        plain = await bench.set(session, "current", 10)
        await bench.sim("faults", {"kind": "server_error", "code": 502, "html": True})
        proxy = await bench.set(session, "current", 10)

        assert (plain.status, plain.json["ok"]) == (503, False)
        assert (proxy.status, proxy.headers["Content-Type"].split(";")[0]) == (502, "text/html")
        assert "502 Bad Gateway" in proxy.text


@asynchronous
async def test_server_error_may_come_after_the_effect() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "server_error", "effect": True})
        session = await physical(bench)

        assert (await bench.set(session, "current", 10)).status == 503
        await asyncio.sleep(0.05)

        assert (await bench.limits(session))["limit"] == {"unit": "current", "limit": 10}


@asynchronous
async def test_an_effect_that_is_impossible_stays_hidden() -> None:
    async with running() as bench:
        await bench.sim("faults", {"kind": "server_error", "code": 504, "effect": True})

        assert (await bench.set("0" * 24, "current", 10)).status == 504


# --- webhooks -----------------------------------------------------------------------------


@asynchronous
async def test_drop_webhooks_never_sends_them() -> None:
    async with listening() as (hook, bench):
        fault = {"kind": "drop_webhooks", "match": {"type": "session.set_power_limit.completed"}}
        await bench.sim("faults", fault)
        session = await physical(bench)
        await bench.settled((await bench.set(session, "current", 10)).result["_id"])
        await bench.settled((await bench.clear(session)).result["_id"])
        await hook.wait_for(2, "session.clear_power_limit")

        told = [event["type"] for event in hook.of("session.set_power_limit")]
        assert told == ["session.set_power_limit.requested"]
        assert (await bench.sim("ledger"))["webhooks"]["dropped"] == 1


@asynchronous
async def test_double_webhooks_sends_the_same_delivery_again() -> None:
    async with listening() as (hook, bench):
        fault = {"kind": "double_webhooks", "times": 3, "match": {"type": "session.started"}}
        await bench.sim("faults", fault)
        await physical(bench)

        started = await hook.wait_for(3, "session.started")

        assert len({event["_id"] for event in started}) == 1
        (entry,) = [
            one
            for one in (await bench.sim("ledger/webhooks"))["entries"]
            if one["type"] == "session.started"
        ]
        assert len(entry["attempts"]) == 3


@asynchronous
async def test_delay_webhooks_lets_later_ones_pass() -> None:
    async with listening() as (hook, bench):
        match = {"type": "session.set_power_limit.requested"}
        await bench.sim(
            "faults", {"kind": "delay_webhooks", "min_s": 0.1, "max_s": 0.15, "match": match}
        )
        await bench.set(await physical(bench), "current", 10)

        told = await hook.wait_for(2, "session.set_power_limit")

        assert [event["data"]["status"] for event in told] == ["completed", "requested"]


@asynchronous
async def test_reorder_webhooks_shuffles_within_a_window() -> None:
    async with listening() as (hook, bench):
        fault = {"kind": "reorder_webhooks", "window": 20, "window_s": 0.5}
        await bench.sim("faults", {**fault, "match": {"type": "session.set_power_limit"}})
        session = await physical(bench)
        for limit in range(6, 16):
            await bench.set(session, "current", limit)

        told = await hook.wait_for(20, "session.set_power_limit")

        limits = [event["data"]["data"]["limit"] for event in told]
        assert limits != sorted(limits)
        assert Counter(limits) == dict.fromkeys(range(6, 16), 2)


@asynchronous
async def test_a_window_that_does_not_fill_is_released_in_time() -> None:
    async with listening() as (hook, bench):
        await bench.sim("faults", {"kind": "reorder_webhooks", "window": 99, "window_s": 0.05})
        await physical(bench)

        assert await hook.wait_for(3)
