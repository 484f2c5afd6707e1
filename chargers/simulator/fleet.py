"""A fleet from a seed: sites, stations and connectors, the same in every run of that seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chargers.simulator.cars import Outlet
from chargers.simulator.ids import fixed_id
from chargers.simulator.model import Connector, Kind, Site, Station
from chargers.simulator.options import Options

BUILT_MS = round(datetime(2024, 3, 1, 8, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
FREE_SHARE = 1.3  # connectors for each session: arrivals need somewhere to go
AC_VOLTAGE_V = 230.0
FEEDERS_PER_SUBSTATION, SITES_PER_FEEDER = 3, 2

CITIES = (  # city, postal code, longitude, latitude
    ("Berlin", "10115", 13.3888, 52.5170),
    ("Köln", "50667", 6.9603, 50.9384),
    ("Düsseldorf", "40212", 6.7763, 51.2254),
    ("München", "80331", 11.5755, 48.1372),
    ("Leipzig", "04109", 12.3731, 51.3397),
    ("Görlitz", "02826", 14.9885, 51.1555),
)
PLACES = ("Parkhaus", "Depot", "Bürocampus", "Wohnpark", "Klinikum", "Einkaufszentrum", "Bahnhof")
STREETS = (
    "Nordhafen",
    "Königsallee",
    "Südring",
    "Am Grünen Weg",
    "Łużycka",
    "Marktstraße",
    "Hof 7",
)
OPERATORS = ("Stadtwerke Nord", "Ladewerk GmbH", "Grüne Säule eG")
MODELS = (("eDRV-Test", "AWSE770003T2P0"), ("Alfen", "EVE Double Pro"), ("ABB", "Terra AC W22"))
DC_MODELS = (("ABB", "Terra 184"), ("Alpitronic", "HYC150"))
# One meaning, several spellings: eDRV's own pages do not agree.
SINGLE_PHASE = ("AC_1_PHASE", "AC_SINGLE_PHASE", "AC Single Phase")
THREE_PHASE = ("AC_3_PHASE", "AC Three Phase")


class FleetError(ValueError):
    """The wanted fleet cannot be built; the message says which setting to change."""


@dataclass(slots=True)
class Fleet:
    """In the order of their creation, as the lists of the API give them."""

    sites: list[Site]
    stations: list[Station]

    @property
    def connectors(self) -> list[Connector]:
        return [connector for station in self.stations for connector in station.connectors]


def build_fleet(options: Options) -> Fleet:
    """FleetError if the sessions do not fit on the connectors."""
    rng = random.Random(f"{options.seed}:fleet")
    sites = [build_site(rng, number, options.timezone) for number in range(options.sites)]
    counts = _stations_of_sites(rng, options)
    places = [site for site, count in zip(sites, counts, strict=True) for _ in range(count)]
    kinds = _kinds(rng, options, len(places))
    fleet = Fleet(sites, [])
    for number, (site, kind) in enumerate(zip(places, kinds, strict=True)):
        fleet.stations.append(_generated_station(rng, options, site, kind, number))
    _take_offline(rng, fleet.stations, options.share_offline)
    _check_room(fleet, options)
    return fleet


def _check_room(fleet: Fleet, options: Options) -> None:
    if (room := len(fleet.connectors)) < options.sessions:
        raise FleetError(
            f"--sessions {options.sessions}: the stations have {room} connectors; "
            "raise --stations-per-site or --sites"
        )


def _stations_of_sites(rng: random.Random, options: Options) -> list[int]:
    """How many stations each site has: equal if given, otherwise varied."""
    if options.stations_per_site is not None:
        return [options.stations_per_site] * options.sites
    total = max(_stations_needed(options), options.sites)
    weights = [rng.uniform(0.5, 1.5) for _ in range(options.sites)]
    counts = [1] * options.sites
    for site in rng.choices(range(options.sites), weights, k=total - options.sites):
        counts[site] += 1
    return counts


def _stations_needed(options: Options) -> int:
    """AC stations have two connectors, DC stations one."""
    wanted = max(round(options.sessions * FREE_SHARE), options.sessions + 1)
    stations = wanted // 2
    while 2 * stations - round(options.share_dc * stations) < wanted:
        stations += 1
    return stations


def _kinds(rng: random.Random, options: Options, count: int) -> list[Kind]:
    """Exact shares, shuffled: a small fleet has each kind too."""
    shares = {
        Kind.DC: options.share_dc,
        Kind.SIMULATOR: options.share_simulator,
        Kind.AMPERES_ONLY: options.share_amperes_only,
    }
    kinds = [kind for kind, share in shares.items() for _ in range(round(share * count))]
    kinds = (kinds + [Kind.PHYSICAL] * count)[:count]
    rng.shuffle(kinds)
    return kinds


def build_site(rng: random.Random, number: int, timezone: str) -> Site:
    city, postal_code, longitude, latitude = CITIES[number % len(CITIES)]
    place, street = PLACES[number % len(PLACES)], STREETS[(number * 3 + 1) % len(STREETS)]
    created_ms = BUILT_MS + number * DAY_MS
    return Site(
        id=fixed_id(rng, created_ms),
        name=f"{place} {city} {number + 1}",
        operator=OPERATORS[number % len(OPERATORS)],
        street=f"{street} {number + 1}",
        postal_code=postal_code,
        city=city,
        timezone=timezone,
        longitude=round(longitude + rng.uniform(-0.05, 0.05), 6),
        latitude=round(latitude + rng.uniform(-0.05, 0.05), 6),
        grid=_grid_place(number),
        rate_id=fixed_id(rng, created_ms),
        created_ms=created_ms,
    )


def _grid_place(number: int) -> dict[str, str]:
    feeder = number // SITES_PER_FEEDER
    substation = feeder // FEEDERS_PER_SUBSTATION
    return {
        "grid_zone": f"Z{substation // 2 + 1}",
        "substation": f"S{substation + 1:02d}",
        "feeder": f"F{feeder + 1:02d}",
    }


def build_station(
    rng: random.Random, site: Site, kind: Kind, number: int, *, endpoint: str
) -> Station:
    """A station without connectors."""
    created_ms = site.created_ms + number * 60_000
    vendor, model = rng.choice(DC_MODELS if kind is Kind.DC else MODELS)
    return Station(
        id=fixed_id(rng, created_ms),
        site=site,
        kind=kind,
        endpoint=endpoint,
        protocol=rng.choice(("ocpp1.6", "ocpp1.6", "ocpp2.0.1")),
        vendor=vendor,
        model=model,
        created_ms=created_ms,
        updated_ms=created_ms,
        last_connect_ms=created_ms + DAY_MS,
        last_disconnect_ms=created_ms + DAY_MS - 1000,
    )


def add_connector(
    rng: random.Random, station: Station, outlet: Outlet, *, power_type: str
) -> Connector:
    created_ms = station.created_ms + 1 + len(station.connectors)
    connector = Connector(
        id=fixed_id(rng, created_ms),
        station=station,
        number=len(station.connectors) + 1,
        outlet=outlet,
        type="IEC_62196_T2_COMBO" if outlet.direct else "IEC_62196_T2",
        format="Cable" if outlet.direct else "Socket",
        power_type=power_type,
        created_ms=created_ms,
        updated_ms=created_ms,
        meter_wh=float(rng.randrange(100_000, 9_000_000)),
    )
    station.connectors.append(connector)
    return connector


def _generated_station(
    rng: random.Random, options: Options, site: Site, kind: Kind, number: int
) -> Station:
    station = build_station(rng, site, kind, number, endpoint=f"edrv{number + 1:05d}")
    outlet = _outlet(rng, options, kind)
    for _ in range(1 if outlet.direct else 2):
        add_connector(rng, station, outlet, power_type=_spelling(rng, outlet))
    return station


def _outlet(rng: random.Random, options: Options, kind: Kind) -> Outlet:
    if kind is Kind.DC:
        power_w = rng.choice((50_000, 75_000, 150_000))
        return Outlet(1, options.dc_voltage_v, power_w / options.dc_voltage_v, direct=True)
    phases = 3 if rng.random() < options.share_three_phase else 1
    voltage_v = options.voltage_v or AC_VOLTAGE_V
    return Outlet(phases, voltage_v, rng.choice((16.0, 32.0)))


def _spelling(rng: random.Random, outlet: Outlet) -> str:
    if outlet.direct:
        return "DC"
    return rng.choice(THREE_PHASE if outlet.phases == 3 else SINGLE_PHASE)


def _take_offline(rng: random.Random, stations: Sequence[Station], share: float) -> None:
    for station in rng.sample(stations, round(share * len(stations))):
        station.online = False
