"""The JSON objects of eDRV, in the shapes of its documentation, with quirks on request.

Numbers follow JavaScript, as eDRV's do: 40, not 40.0. `energy_meter` is the register of the
station's meter; `metrics.energyConsumed` (Wh) is what the session took. `metrics.energyPeriod`
counts simulated seconds, so that energy over time stays a power at any time factor.
"""

from __future__ import annotations

import random
from collections.abc import Collection

from chargers.simulator.clock import iso, iso_or_none
from chargers.simulator.model import Action, Connector, Json, Kind, Session, Site, Station

PRICE_PER_KWH = 0.49
ACTION_OBJECT, SESSION_OBJECT, STATION_OBJECT = "action", "session", "chargestation"


def number(value: float) -> int | float:
    """A float as JavaScript prints it: whole numbers without a point."""
    return int(value) if value == int(value) else value


def location(site: Site) -> Json:
    """eDRV's locations have no name: ours, and the place in the grid, are in `meta_data`."""
    return {
        "_id": site.id,
        "active": True,
        "operatorName": site.operator,
        "address": {
            "streetAndNumber": site.street,
            "postalCode": site.postal_code,
            "city": site.city,
            "country": "DE",
        },
        "timezone": site.timezone,
        "coordinates": [site.longitude, site.latitude],
        "meta_data": {"name": site.name, **site.grid},
        "createdAt": iso(site.created_ms),
        "updatedAt": iso(site.updated_ms),
    }


def connector(connector: Connector) -> Json:
    return {
        "_id": connector.id,
        "rate": _rate(connector.station.site),
        "active": True,
        "status": connector.status,
        "type": connector.type,
        "format": connector.format,
        "power_type": connector.power_type,
        "power": number(round(connector.outlet.max_power_w / 1000, 2)),
        "chargestation": connector.station.id,
        "createdAt": iso(connector.created_ms),
        "updatedAt": iso(connector.updated_ms),
    }


def chargestation(station: Station) -> Json:
    return {
        "_id": station.id,
        "location": station.site.id,
        "protocol": station.protocol,
        "endpoint": station.endpoint,
        "static_endpoint": station.endpoint,
        "online": station.online,
        "active": True,
        "public": True,
        **({"is_simulator": True} if station.kind is Kind.SIMULATOR else {}),
        "bootInfo": _boot_info(station),
        "coordinates": [station.site.longitude, station.site.latitude],
        "connectors": [connector(item) for item in station.connectors],
        "lastConnectAt": iso(station.last_connect_ms),
        "lastDisconnectAt": iso(station.last_disconnect_ms),
        "lastMessageAt": iso(max(station.updated_ms, station.last_connect_ms)),
        "configuration": {},
        "connection_url": "ws://csms.edrv.example/1l9t",
        "security": {"type": "none"},
        "meta_data": {},
        "createdAt": iso(station.created_ms),
        "updatedAt": iso(station.updated_ms),
    }


def action(action: Action) -> Json:
    """Without `response_data` until the station has answered, as in the documented example."""
    answered = {} if action.response_data is None else {"response_data": action.response_data}
    return {
        "_id": action.id,
        "type": action.type,
        "status": action.status,
        "chargestation": action.session.station.id,
        "data": action.data,
        "connector": action.session.connector.id,
        **answered,
        "createdAt": iso(action.created_ms),
        "updatedAt": iso(action.updated_ms),
    }


def _rate(site: Site) -> Json:
    price = {"type": "ENERGY", "price": PRICE_PER_KWH, "tax": 0, "step_size": 1}
    return {"_id": site.rate_id, "currency": "EUR", "price_components": [price]}


def _boot_info(station: Station) -> Json:
    return {
        "chargeBoxSerialNumber": station.endpoint,
        "chargePointModel": station.model,
        "chargePointVendor": station.vendor,
        "firmwareVersion": "V0.67.50.2770.P0",
    }


class Sessions:
    """Session objects and energy reports, with the quirks one run was told to have."""

    def __init__(self, quirks: Collection[str], rng: random.Random) -> None:
        self.quirks = frozenset(quirks)
        self._rng = rng

    def payload(self, session: Session, populate: Collection[str] = ()) -> Json:
        started = session.started_ms is not None
        return {
            "_id": session.id,
            "user": session.user_id,
            **self._references(session, populate),
            "status": self._status(session),
            "rate": session.station.site.rate_id,
            "metrics": _metrics(session),
            **(self._energy(session) if started else {}),
            "cost": _cost(session),
            "meta_data": {},
            **({"__v": 3, "fleet_hint": {"pool": "b"}} if "extra-fields" in self.quirks else {}),
            "createdAt": iso(session.created_ms),
            "updatedAt": iso(session.updated_ms),
        }

    def report(self, session: Session, at_ms: int, power_w: float, energy_wh: float) -> Json:
        """`power_w` as read, `energy_wh` taken since the session began."""
        meter_wh = session.meter_start_wh + energy_wh
        return {
            "timestamp": iso(at_ms),
            "current": self._value(_current_a(session, power_w), 2, "A"),
            "power": self._scaled("power-in-w", power_w, "W", "kW"),
            "energy_meter": self._scaled("energy-in-wh", meter_wh, "Wh", "kWh"),
        }

    def _energy(self, session: Session) -> Json:
        reading = session.reading
        report = self.report(session, reading.at_ms, reading.power_w, reading.energy_wh)
        if session.connector.outlet.direct:  # an AC car cannot tell its state of charge
            percent = reading.state_of_charge * 100
            report["state_of_charge"] = self._value(percent, 0, "Percent")
        return {"energy_report": report, "charging_activity": _activity(session)}

    def _references(self, session: Session, populate: Collection[str]) -> Json:
        every = "populated" in self.quirks
        station, plug = session.station, session.connector
        return {
            "chargestation": chargestation(station)
            if every or "chargestation" in populate
            else station.id,
            "connector": connector(plug) if every or "connector" in populate else plug.id,
        }

    def _status(self, session: Session) -> str:
        status = session.status.value
        if "status-case" in self.quirks:
            return self._rng.choice((status, status.lower(), status.upper()))
        return status

    def _scaled(self, quirk: str, value: float, unit: str, kilo_unit: str) -> Json:
        if quirk in self.quirks:
            return self._value(value, 0, unit)
        return self._value(value / 1000, 3, kilo_unit)

    def _value(self, value: float, digits: int, unit: str) -> Json:
        value = round(value, digits)
        if "string-numbers" in self.quirks:
            return {"value": str(float(value)), "unit": unit}
        return {"value": number(value), "unit": unit}


def _current_a(session: Session, power_w: float) -> float:
    """Per phase, of the phases the car uses."""
    outlet = session.connector.outlet
    return power_w / (outlet.voltage_v * min(outlet.phases, session.draw.car.phases))


def _metrics(session: Session) -> Json:
    times = {
        "chargingStart": iso_or_none(session.started_ms),
        "chargingStop": iso_or_none(session.ended_ms),
    }
    return {
        **{name: at for name, at in times.items() if at},
        "meterStart": round(session.meter_start_wh),
        "timezone": session.station.site.timezone,
        "energyPeriod": number(round(session.reading.drawing_s, 3)),
        "energyConsumed": round(session.reading.energy_wh),
    }


def _activity(session: Session) -> list[Json]:
    return [
        {
            "startTime": iso_or_none(session.started_ms),
            "endTime": iso(session.reading.at_ms),
            "status": "Charging",
        }
    ]


def _cost(session: Session) -> Json:
    amount = round(session.reading.energy_wh / 1000 * PRICE_PER_KWH, 2)
    return {"amount": number(amount), "currency": "eur", "breakdown": []}
