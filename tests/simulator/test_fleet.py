"""The generated fleet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from chargers.simulator.fleet import Fleet, FleetError, build_fleet
from chargers.simulator.model import Kind
from chargers.simulator.options import Options


def identity(fleet: Fleet) -> list[tuple[object, ...]]:
    return [
        (c.id, c.station.id, c.station.kind, c.station.online, c.station.site.id, c.outlet)
        for c in fleet.connectors
    ]


def test_a_seed_gives_the_same_fleet_every_time() -> None:
    options = Options(seed=7)

    assert identity(build_fleet(options)) == identity(build_fleet(options))
    assert identity(build_fleet(options)) != identity(build_fleet(replace(options, seed=8)))


def test_the_shares_of_kinds_are_kept() -> None:
    fleet = build_fleet(
        Options(
            sites=10,
            stations_per_site=20,
            sessions=0,
            share_dc=0.2,
            share_simulator=0.1,
            share_amperes_only=0.05,
            share_offline=0.03,
        )
    )
    kinds = Counter(station.kind for station in fleet.stations)

    assert kinds == {Kind.PHYSICAL: 130, Kind.DC: 40, Kind.SIMULATOR: 20, Kind.AMPERES_ONLY: 10}
    assert sum(not station.online for station in fleet.stations) == 6


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_three_phases_are_for_ac_stations_by_share(share: float) -> None:
    fleet = build_fleet(Options(share_three_phase=share))
    phases = {c.outlet.phases for c in fleet.connectors if not c.outlet.direct}

    assert phases == {3 if share else 1}


@pytest.mark.parametrize("sessions", [0, 1, 3, 200, 1001])
def test_there_is_room_for_the_sessions_and_for_arrivals(sessions: int) -> None:
    fleet = build_fleet(Options(sites=3, sessions=sessions))

    assert len(fleet.connectors) > sessions
    assert {station.site.id for station in fleet.stations} == {site.id for site in fleet.sites}


def test_sessions_that_do_not_fit_are_refused_with_a_way_out() -> None:
    with pytest.raises(FleetError, match="--stations-per-site"):
        build_fleet(Options(sites=1, stations_per_site=2, sessions=50))


def test_ids_are_unique_24_hex_digits_in_the_order_of_creation() -> None:
    fleet = build_fleet(Options(sessions=500))
    ids = [thing.id for thing in (*fleet.sites, *fleet.stations, *fleet.connectors)]

    assert len(set(ids)) == len(ids)
    assert all(len(id_) == 24 and int(id_, 16) for id_ in ids)
    created_ms = [station.created_ms for station in fleet.stations]
    assert created_ms == sorted(created_ms)


def test_sites_have_a_place_in_the_grid_and_some_have_unicode_names() -> None:
    fleet = build_fleet(Options())

    assert all(site.grid.keys() == {"grid_zone", "substation", "feeder"} for site in fleet.sites)
    assert any(not site.name.isascii() for site in fleet.sites)
    assert len({site.grid["feeder"] for site in fleet.sites}) == 6


def test_the_voltages_are_those_asked_for() -> None:
    fleet = build_fleet(Options(voltage_v=240, dc_voltage_v=800))

    assert {c.outlet.voltage_v for c in fleet.connectors if c.outlet.direct} == {800}
    assert {c.outlet.voltage_v for c in fleet.connectors if not c.outlet.direct} == {240}
