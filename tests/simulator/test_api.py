"""eDRV's API as the gateway meets it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from tests.simulator.support import Bench, asynchronous, running, until

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


async def every(bench: Bench, path: str, **query: Any) -> list[Any]:
    parameters = {"paginate_limit": "1000", "sort_order": "asc", **query}
    result: list[Any] = (await bench.api(path, params=parameters)).result
    return result


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


# The resources


@asynchronous
async def test_stations_embed_their_connectors_and_refer_to_their_location() -> None:
    async with running(sites=4, sessions=40) as bench:
        locations = {location["_id"] for location in await every(bench, "locations")}
        stations = await every(bench, "chargestations")
        connectors = {item["_id"]: item for item in await every(bench, "connectors")}

        embedded = [item for station in stations for item in station["connectors"]]
        assert {station["location"] for station in stations} == locations
        assert {item["_id"]: item for item in embedded} == connectors
        assert all(
            item["chargestation"] == station["_id"]
            for station in stations
            for item in station["connectors"]
        )
        assert {station["protocol"] for station in stations} == {"ocpp1.6", "ocpp2.0.1"}


@asynchronous
async def test_only_simulators_say_that_they_are() -> None:
    async with running(sites=4, sessions=40, share_simulator=0.25) as bench:
        stations = await every(bench, "chargestations")
        said = [station["is_simulator"] for station in stations if "is_simulator" in station]

        assert said == [True] * round(len(stations) * 0.25)


@asynchronous
async def test_power_types_are_spelt_in_the_documented_ways() -> None:
    async with running(sites=4, sessions=80) as bench:
        spellings = {item["power_type"] for item in await every(bench, "connectors")}

        assert spellings == {
            "AC_1_PHASE",
            "AC_SINGLE_PHASE",
            "AC Single Phase",
            "AC_3_PHASE",
            "AC Three Phase",
            "DC",
        }


@asynchronous
async def test_a_location_has_no_name_of_its_own() -> None:
    async with running() as bench:
        location = (await every(bench, "locations"))[0]

        assert "name" not in location
        assert location["meta_data"].keys() == {"name", "grid_zone", "substation", "feeder"}
        assert location["timezone"] == "Europe/Berlin"


@asynchronous
async def test_a_running_session_has_metrics_and_an_energy_report() -> None:
    async with running() as bench:
        session = await bench.look(await bench.plug(station_kind="physical"))

        assert session["status"] == "Started"
        assert session["metrics"]["timezone"] == "Europe/Berlin"
        report = session["energy_report"]
        assert list(report) == ["timestamp", "current", "power", "energy_meter"]
        assert [report[name]["unit"] for name in ("current", "power", "energy_meter")] == [
            "A",
            "kW",
            "kWh",
        ]
        assert TIME.match(report["timestamp"])


@asynchronous
async def test_only_dc_sessions_know_a_state_of_charge() -> None:
    async with running(sites=2, stations_per_site=20, share_dc=0.2) as bench:
        dc = await bench.look(await bench.plug(station_kind="dc", state_of_charge=0.4))

        assert dc["energy_report"]["state_of_charge"] == {"value": 40, "unit": "Percent"}


@asynchronous
async def test_the_meter_of_a_session_goes_on_where_it_began() -> None:
    async with running(time_factor=3600.0, report_interval_s=1800.0) as bench:
        id_ = await bench.plug(station_kind="physical", battery_wh=1e9)
        begun = await bench.look(id_)
        await bench.sim(f"sessions/{id_}/unplug", {})

        ended = await bench.look(id_)
        taken_kwh = ended["metrics"]["energyConsumed"] / 1000
        register_kwh = ended["energy_report"]["energy_meter"]["value"]
        assert taken_kwh > 0
        assert register_kwh == pytest.approx(
            begun["metrics"]["meterStart"] / 1000 + taken_kwh, abs=0.002
        )
        assert (ended["status"], ended["energy_report"]["power"]["value"]) == ("Ended", 0)


@asynchronous
async def test_objects_can_be_asked_for_in_place_of_ids() -> None:
    async with running() as bench:
        id_ = await bench.plug()

        session = (await bench.api(f"sessions/{id_}?include_chargestation=true")).result

        assert session["chargestation"]["connectors"]
        assert isinstance(session["connector"], str)


@asynchronous
async def test_energy_reports_are_listed_oldest_first() -> None:
    async with running(time_factor=100.0, report_interval_s=10.0) as bench:
        id_ = await bench.plug()

        async def several() -> Any:
            reports = (await bench.api(f"sessions/{id_}/energy_reports")).result
            return reports if len(reports) > 2 else None

        times = [report["timestamp"] for report in await until(several)]
        assert times == sorted(times)
        assert (await bench.api("sessions/none/energy_reports")).status == 404


# Actions


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


# Pages


@asynchronous
async def test_a_list_has_twenty_entries_unless_told_otherwise() -> None:
    async with running(sites=2, sessions=45) as bench:
        reply = await bench.api("sessions")

        assert list(reply.json) == ["ok", "message", "result", "hasNext", "hasPrevious"]
        assert len(reply.result) == 20
        assert (reply.json["hasNext"], reply.json["hasPrevious"]) == (True, False)


@pytest.mark.parametrize("first_page", [0, 1])
@asynchronous
async def test_the_pages_of_a_list_make_up_the_whole(first_page: int) -> None:
    async with running(sites=2, sessions=45, first_page=first_page) as bench:
        pages = [
            (await bench.api(f"sessions?paginate_limit=20&paginate_page={first_page + n}")).json
            for n in range(4)
        ]
        everything = await every(bench, "sessions", sort_order="desc")

        assert [len(page["result"]) for page in pages] == [20, 20, 5, 0]
        assert [page["hasNext"] for page in pages] == [True, True, False, False]
        assert [page["hasPrevious"] for page in pages] == [False, True, True, True]
        assert [item for page in pages for item in page["result"]] == everything


@asynchronous
async def test_lists_are_newest_first_and_may_be_turned_around() -> None:
    async with running(sites=2, sessions=30) as bench:
        newest = [s["createdAt"] for s in (await bench.api("sessions?paginate_limit=30")).result]
        oldest = [s["createdAt"] for s in await every(bench, "sessions")]

        assert newest == sorted(newest, reverse=True)
        assert oldest == newest[::-1]


@asynchronous
async def test_paging_can_be_switched_off() -> None:
    async with running(sites=2, sessions=30) as bench:
        reply = await bench.api("sessions?paginate_enabled=false")

        assert len(reply.result) == 30


@asynchronous
async def test_lists_can_be_narrowed_by_time() -> None:
    async with running(sites=2, sessions=30) as bench:
        times = [session["createdAt"] for session in await every(bench, "sessions")]
        middle = times[12]

        since = await every(bench, "sessions", **{"createdAt[$gte]": middle})
        until_ = await every(bench, "sessions", **{"createdAt[$lte]": middle})

        assert [session["createdAt"] for session in since] == times[12:]
        assert [session["createdAt"] for session in until_] == times[:13]


@asynchronous
async def test_lists_can_be_ordered_by_their_last_change() -> None:
    async with running(sites=2, sessions=30) as bench:
        changed = (await every(bench, "sessions"))[3]
        await bench.sim(f"sessions/{changed['_id']}/unplug", {})

        latest = (await bench.api("sessions?sort_by=updatedAt&paginate_limit=1")).result

        assert [session["_id"] for session in latest] == [changed["_id"]]


@asynchronous
async def test_lists_can_be_filtered() -> None:
    async with running(sites=3, sessions=30, share_offline=0.2) as bench:
        session = (await every(bench, "sessions"))[0]
        await bench.sim(f"sessions/{session['_id']}/unplug", {})
        stations = await every(bench, "chargestations")
        offline = [station for station in stations if not station["online"]]
        site = stations[0]["location"]

        assert len(await every(bench, "sessions", status="started")) == 29
        ended = await every(bench, "sessions", connector=session["connector"])
        assert [one["_id"] for one in ended] == [session["_id"]]
        assert await every(bench, "chargestations", online="false") == offline
        there = await every(bench, "chargestations", location=site)
        assert there == [station for station in stations if station["location"] == site]


@pytest.mark.parametrize(
    "query",
    [
        "paginate_limit=0",
        "paginate_limit=1001",
        "paginate_limit=many",
        "paginate_page=-1",
        "sort_by=colour",
        "sort_order=up",
        "createdAt[$gte]=yesterday",
        "paginate_enabled=maybe",
    ],
)
@asynchronous
async def test_a_wrong_list_parameter_is_named(query: str) -> None:
    async with running() as bench:
        reply = await bench.api(f"sessions?{query}")

        assert reply.status == 400
        assert query.split("=", maxsplit=1)[0] in reply.json["message"]


def test_documented_times_parse_as_iso_8601() -> None:
    assert datetime.fromisoformat(DOCUMENTED_SET["result"]["createdAt"])  # type: ignore[index]
