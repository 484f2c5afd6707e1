"""A burst: every command answered and told of, none lost or doubled, memory of it complete."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.simulator.support import asynchronous, listening

SESSIONS, IN_FLIGHT = 1500, 200


@asynchronous
async def test_a_burst_is_answered_and_told_of_completely() -> None:
    settings = {
        "sites": 4,
        "stations_per_site": None,
        "sessions": SESSIONS,
        "share_simulator": 0.0,
        "share_offline": 0.0,
        "http_delay_s": 0.02,
    }
    async with listening(**settings, webhook_concurrency=32) as (hook, bench):
        listed = (await bench.api("sessions?paginate_enabled=false")).result
        ids = iter([session["_id"] for session in listed])

        async def caller() -> None:
            for id_ in ids:
                assert (await bench.set(id_, "current", 9)).status == 200

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
        completed = await hook.wait_for(SESSIONS, "session.set_power_limit.completed")
        summary = await bench.sim("ledger")
        limits = (await bench.sim("ledger/limits"))["sessions"]

        assert summary["requests"]["by_call"]["set"] == {"200": SESSIONS}
        assert IN_FLIGHT / 2 < summary["requests"]["max_in_flight"] <= IN_FLIGHT
        assert len({event["data"]["_id"] for event in completed}) == SESSIONS
        assert Counter(event["type"] for event in hook.of("session.set_power_limit")) == {
            "session.set_power_limit.requested": SESSIONS,
            "session.set_power_limit.completed": SESSIONS,
        }
        held = Counter(
            row["limit"] and (row["limit"]["unit"], row["limit"]["limit"])
            for row in limits.values()
        )
        assert held == {("current", 9): SESSIONS}
