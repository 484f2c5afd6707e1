"""eDRV's API as the gateway meets it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from tests.simulator.support import asynchronous, running

# docs.edrv.io, "Real Time Session Power Management": the two documented answers.
DOCUMENTED_SET = {
    "ok": True,
    "message": "",
    "result": {
        "_id": "630cc5a7b8d8867b16ca6f55",
        "type": "session.set_power_limit",
        "status": "requested",
        "chargestation": "630cbe24c459e97b158e8c23",
        "data": {"unit": "current", "limit": 40},
        "connector": "630cbe25b8d8867b16c9d0b2",
        "createdAt": "2022-08-29T13:56:55.140Z",
        "updatedAt": "2022-08-29T13:56:55.140Z",
    },
}
DOCUMENTED_CLEAR = {
    "ok": True,
    "message": "",
    "result": {
        "_id": "630cc4efb8d8867b16ca693b",
        "type": "session.clear_power_limit",
        "status": "requested",
        "chargestation": "601d3fbd50189514b894676e",
        "data": {},
        "connector": "601d3fbd50189514b8946770",
        "createdAt": "2022-08-29T13:53:51.784Z",
        "updatedAt": "2022-08-29T13:53:51.784Z",
    },
}
OBJECT_ID = re.compile(r"^[0-9a-f]{24}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def shape(value: Any) -> Any:
    """Keys in their order; ids and times by their form; everything else as it is."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, str) and OBJECT_ID.match(value):
        return "an id"
    if isinstance(value, str) and TIME.match(value):
        return "a time"
    return value


# The two commands


@asynchronous
async def test_a_set_is_answered_exactly_as_documented() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")

        reply = await bench.set(session, "current", 40)

        assert reply.status == 200
        assert shape(reply.json) == shape(DOCUMENTED_SET)


@asynchronous
async def test_a_clear_is_answered_exactly_as_documented() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")

        reply = await bench.clear(session)

        assert shape(reply.json) == shape(DOCUMENTED_CLEAR)


@asynchronous
async def test_whole_limits_are_echoed_without_a_point() -> None:
    async with running() as bench:
        session = await bench.plug(station_kind="physical")

        replies = [(await bench.set(session, "power", w)).text for w in (75000, 75000.0, 4200.5)]

        assert ['"limit":75000}' in text for text in replies] == [True, True, False]
        assert '"limit":4200.5}' in replies[2]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", "body"),
        ("not json", "JSON"),
        ("[]", "object"),
        ('{"limit": 10}', "unit"),
        ('{"unit": "watts", "limit": 10}', "unit"),
        ('{"unit": ["power"], "limit": 10}', "unit"),
        ('{"unit": "power"}', "limit"),
        ('{"unit": "power", "limit": null}', "limit"),
        ('{"unit": "power", "limit": "10"}', "limit"),
        ('{"unit": "power", "limit": true}', "limit"),
        ('{"unit": "power", "limit": -1}', "limit"),
        ('{"unit": "power", "limit": 1e999}', "JSON|limit"),
    ],
)
@asynchronous
async def test_a_malformed_set_is_refused_in_the_envelope(body: str, names: str) -> None:
    async with running() as bench:
        session = await bench.plug()

        path = f"sessions/{session}/set_power_limit"
        reply = await bench.api(path, method="POST", data=body)

        assert reply.status == 400
        assert reply.json.keys() == {"ok", "message", "result"}
        assert (reply.json["ok"], reply.json["result"]) == (False, None)
        assert re.search(names, reply.json["message"])


@asynchronous
async def test_a_command_needs_a_session_that_exists_and_has_started() -> None:
    async with running() as bench:
        waiting = await bench.plug(starts=False)
        over = await bench.plug()
        await bench.sim(f"sessions/{over}/unplug", {})

        assert (await bench.set("0" * 24, "power", 1)).status == 404
        assert (await bench.set(waiting, "power", 1)).status == 409
        assert (await bench.set(over, "power", 1)).status == 409
        assert (await bench.clear(over)).status == 409


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@asynchronous
async def test_commands_have_the_one_method_that_is_configured(method: str) -> None:
    async with running(command_method=method) as bench:
        path = f"sessions/{await bench.plug()}/set_power_limit"
        body = {"unit": "current", "limit": 10}

        statuses = {
            other: (await bench.api(path, method=other, json=body)).status
            for other in ("POST", "PUT", "PATCH", "DELETE")
        }

        assert statuses == {other: 200 if other == method else 405 for other in statuses}


@asynchronous
async def test_with_get_the_limit_is_in_the_query() -> None:
    async with running(command_method="GET") as bench:
        path = f"sessions/{await bench.plug()}/set_power_limit"

        good = await bench.api(path, params={"unit": "current", "limit": "10"})
        bad = await bench.api(path, params={"unit": "current", "limit": "ten"})

        assert good.result["data"] == {"unit": "current", "limit": 10}
        assert bad.status == 400


@asynchronous
async def test_the_status_of_an_accepted_command_is_configurable() -> None:
    async with running(command_status=201) as bench:
        assert (await bench.set(await bench.plug(), "current", 10)).status == 201


# The key, the paths


@pytest.mark.parametrize("key", [None, "wrong", ""])
@asynchronous
async def test_without_the_key_nothing_is_said(key: str | None) -> None:
    async with running() as bench:
        for path in ("sessions", "chargestations", "actions/1", "nowhere"):
            reply = await bench.api(path, key=key)

            assert reply.status == 401
            assert list(reply.json) == ["ok", "message", "result"]
            assert reply.json["result"] is None


@asynchronous
async def test_the_key_is_the_configured_one() -> None:
    async with running(api_key="another") as bench:
        assert (await bench.api("sessions", key="another")).status == 200
        assert (await bench.api("sessions", key="simulator")).status == 401


@asynchronous
async def test_a_trailing_slash_makes_no_difference() -> None:
    async with running() as bench:
        session = await bench.plug()

        for path in ("locations", "sessions", f"sessions/{session}"):
            assert (await bench.api(f"{path}/")).text == (await bench.api(path)).text
        slashed = await bench.api(f"sessions/{session}/clear_power_limit/", method="POST")
        assert slashed.status == 200


@asynchronous
async def test_the_base_path_is_configurable() -> None:
    async with running(base_path="/edrv/v9") as bench:
        assert bench.simulator.api_url.endswith("/edrv/v9")
        assert (await bench.api("sessions")).status == 200


@pytest.mark.parametrize(
    "path", ["nowhere", "sessions/1/stop_it", "locations/1", "sessions/1/2/3", "actions", ""]
)
@asynchronous
async def test_an_unknown_path_is_404_in_the_envelope(path: str) -> None:
    async with running() as bench:
        reply = await bench.api(path)

        assert (reply.status, reply.json["ok"]) == (404, False)


# --- actions ------------------------------------------------------------------------------


@asynchronous
async def test_an_action_can_be_looked_up_until_it_is_switched_off() -> None:
    async with running() as bench:
        action = (await bench.set(await bench.plug(station_kind="physical"), "power", 5000)).result

        settled = await bench.settled(action["_id"])

        assert settled["status"] == "completed"
        assert settled["response_data"] == {"status": "Accepted"}
        assert settled["updatedAt"] >= settled["createdAt"] == action["createdAt"]
    async with running(actions=False) as bench:
        action = (await bench.set(await bench.plug(), "current", 10)).result
        assert (await bench.api(f"actions/{action['_id']}")).status == 404


def test_documented_times_parse_as_iso_8601() -> None:
    assert datetime.fromisoformat(DOCUMENTED_SET["result"]["createdAt"])  # type: ignore[index]
