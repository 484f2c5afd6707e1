"""The four resources of the API that are listed and looked up, each described once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chargers.simulator import payloads
from chargers.simulator.http import ApiError
from chargers.simulator.model import Json
from chargers.simulator.world import World

Item = TypeVar("Item")
POPULATED = ("chargestation", "connector")


@dataclass(frozen=True, slots=True)
class Resource:
    """How one resource is found, listed (in the order of creation), shown and filtered."""

    by_id: Mapping[str, Any]
    items: Sequence[Any]
    show: Callable[[Any, frozenset[str]], Json]
    filters: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)


def resources(world: World) -> Mapping[str, Resource]:
    return {
        "locations": Resource(
            world.sites, world.fleet.sites, lambda site, _: payloads.location(site)
        ),
        "chargestations": _chargestations(world),
        "connectors": Resource(
            world.connectors,
            world.connector_list,
            lambda connector, _: payloads.connector(connector),
            {"chargestation": lambda connector: connector.station.id},
        ),
        "sessions": _sessions(world),
    }


def _chargestations(world: World) -> Resource:
    return Resource(
        world.stations,
        world.fleet.stations,
        lambda station, _: payloads.chargestation(station),
        {
            "location": lambda station: station.site.id,
            "online": lambda station: str(station.online),
            "active": lambda station: "true",
            "public": lambda station: "true",
        },
    )


def _sessions(world: World) -> Resource:
    return Resource(
        world.sessions,
        world.session_list,
        world.payloads.payload,
        {
            "status": lambda session: session.status.value,
            "connector": lambda session: session.connector.id,
            "chargestation": lambda session: session.station.id,
            "user": lambda session: session.user_id,
        },
    )


def found(by_id: Mapping[str, Item], id_: str) -> Item:
    """ApiError 404 if there is none."""
    if (item := by_id.get(id_)) is None:
        raise ApiError(404, "Not found")
    return item


def populated(query: Mapping[str, str]) -> frozenset[str]:
    """`include_chargestation=true` asks for the object in place of its id."""
    return frozenset(name for name in POPULATED if query.get(f"include_{name}") == "true")
