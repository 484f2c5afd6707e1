"""A car plugged in by hand: the fields of `POST /_sim/sessions` turned into a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from chargers.simulator.cars import Car, Outlet, any_car, floor_power_w
from chargers.simulator.fields import FieldError, Fields
from chargers.simulator.http import ApiError
from chargers.simulator.model import Connector, Kind, Session
from chargers.simulator.world import World

OFFLINE = "offline"
KINDS = (*(kind.value for kind in Kind), OFFLINE)


def plug_in(world: World, fields: Fields) -> Session:
    """FieldError for a bad field, ApiError 404 or 409 if there is no such free connector."""
    connector = _connector(world, fields)
    car = _car(world, fields, connector.outlet)
    charge = fields.number("state_of_charge", 0.2, most=1.0)
    stay_s = fields.optional_number("stay_s")
    starts = fields.flag("starts", True)
    start_after_s = fields.number("start_after_s", 0.0)
    fields.end()
    return world.plug_in(
        connector,
        car,
        stored_wh=charge * car.battery_wh,
        start_after_s=start_after_s if starts else None,
        stay_s=stay_s,
    )


def _connector(world: World, fields: Fields) -> Connector:
    """The named connector, or the first free one that fits."""
    kind = fields.choice("station_kind", KINDS) if fields.has("station_kind") else None
    location = fields.optional_text("location")
    named = fields.optional_text("connector")
    if named is not None:
        return _free(world.connectors, named)
    for connector in world.connector_list:
        if connector.session is None and _fits(connector, kind, location):
            return connector
    raise ApiError(409, "no free connector fits station_kind and location")


def _free(connectors: Mapping[str, Connector], id_: str) -> Connector:
    connector = connectors.get(id_)
    if connector is None:
        raise FieldError(f"connector: {id_} does not exist")
    if connector.session is not None:
        raise ApiError(409, f"connector: {id_} has a session already")
    return connector


def _fits(connector: Connector, kind: str | None, location: str | None) -> bool:
    station = connector.station
    if location not in (None, station.site.id):
        return False
    if kind == OFFLINE:
        return not station.online
    return station.online and kind in (None, station.kind.value)


def _car(world: World, fields: Fields, outlet: Outlet) -> Car:
    """Any car, with what the call wants to be certain of."""
    car = any_car(world.rng, outlet)
    if fields.has("power_w"):
        power_w = fields.number("power_w", most=outlet.max_power_w)
        current_a = power_w / (outlet.phases * outlet.voltage_v)
        car = replace(car, phases=outlet.phases, max_current_a=current_a, max_power_w=power_w)
        _check_floor(fields, outlet, car)
    read: Callable[[str], float | None] = fields.optional_number
    lag_s, ramp_s, battery_wh = read("lag_s"), read("ramp_s"), read("battery_wh")
    return replace(
        car,
        lag_s=car.lag_s if lag_s is None else lag_s,
        ramp_s=car.ramp_s if ramp_s is None else ramp_s,
        battery_wh=car.battery_wh if battery_wh is None else battery_wh,
    )


def _check_floor(fields: Fields, outlet: Outlet, car: Car) -> None:
    floor_w = floor_power_w(outlet, car)
    if 0 < car.max_power_w < floor_w:
        raise fields.error("power_w", f"an AC car takes nothing or at least {floor_w:g} W here")
