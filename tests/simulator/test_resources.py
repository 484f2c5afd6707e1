"""What locations, chargestations, connectors and sessions look like."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.simulator.support import asynchronous, running, until

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


@asynchronous
async def test_stations_embed_their_connectors_and_refer_to_their_location() -> None:
    async with running(sites=4, sessions=40) as bench:
        locations = {location["_id"] for location in await bench.every("locations")}
        stations = await bench.every("chargestations")
        connectors = {item["_id"]: item for item in await bench.every("connectors")}

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
        stations = await bench.every("chargestations")
        said = [station["is_simulator"] for station in stations if "is_simulator" in station]

        assert said == [True] * round(len(stations) * 0.25)


@asynchronous
async def test_power_types_are_spelt_in_the_documented_ways() -> None:
    async with running(sites=4, sessions=80) as bench:
        spellings = {item["power_type"] for item in await bench.every("connectors")}

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
        location = (await bench.every("locations"))[0]

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
