"""Reading what eDRV sends, as tolerantly as its own pages contradict each other.

Numbers may be strings, units vary, statuses change their case, references are ids or whole
objects, fields are missing or new. What cannot be read is None; only what has no id at all is
Unreadable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson

Json = Mapping[str, Any]

# Factors to W, A and Wh. eDRV's samples show kW, A, kWh and Wh (docs.edrv.io/docs/sessions).
UNIT_FACTORS = {
    "w": 1.0, "kw": 1e3, "mw": 1e6,
    "a": 1.0, "ma": 1e-3,
    "wh": 1.0, "kwh": 1e3, "mwh": 1e6,
    "percent": 1.0, "%": 1.0,
}  # fmt: skip

STATUS_BY_TYPE = {
    "session.started": "started",
    "session.ended": "ended",
    "session.cancelled": "cancelled",
    "session.start_failure": "cancelled",
}

MAX_ID_LENGTH = 64


class Unreadable(ValueError):
    """Not an object of eDRV's: the message says what is missing."""


class ActionStatus(StrEnum):
    REQUESTED = "requested"
    COMPLETED = "completed"
    FAILED = "failed"


# The suffixes of webhook types as the page of power limits and as the release notes of
# 29 February 2024 have them. Anything else ("APIRequested") is still under way.
ACTION_STATUSES = {
    "requested": ActionStatus.REQUESTED,
    "completed": ActionStatus.COMPLETED,
    "accepted": ActionStatus.COMPLETED,
    "failed": ActionStatus.FAILED,
    "rejected": ActionStatus.FAILED,
}

SESSION_STATUSES = {
    "created": "created", "pending": "created", "preparing": "created",
    "started": "started", "active": "started", "charging": "started", "ongoing": "started",
    "ended": "ended", "stopped": "ended", "completed": "ended", "finished": "ended",
    "cancelled": "cancelled", "canceled": "cancelled", "start_failure": "cancelled",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """A command on its way to a station. `updated_at` is when the station answered, once it has;
    `response_data` is what it answered, in no documented shape, and can be written as JSON."""

    id: str
    type: str
    status: ActionStatus
    updated_at: datetime | None
    response_data: Any

    @property
    def is_final(self) -> bool:
        """Whether the station has answered."""
        return self.status is not ActionStatus.REQUESTED


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """W, A, Wh and percent; None where the report did not say. `meter_wh` is the reading of the
    meter, which may have started long before the session."""

    metered_at: datetime | None
    power_w: float | None
    current_a: float | None
    meter_wh: float | None
    state_of_charge_percent: float | None

    @property
    def is_empty(self) -> bool:
        return self.power_w is None and self.current_a is None and self.meter_wh is None


@dataclass(frozen=True, slots=True)
class SessionData:
    """A session as eDRV tells it: `status` as `read_session_status` reads it, `energy_wh` delivered
    so far."""

    id: str
    chargestation_id: str | None
    connector_id: str | None
    status: str | None
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime | None
    energy_wh: float | None
    report: EnergyReport | None


@dataclass(frozen=True, slots=True)
class LocationData:
    """A site as eDRV tells it; empty where it says nothing."""

    id: str
    name: str
    address: str
    timezone: str | None


@dataclass(frozen=True, slots=True)
class ConnectorData:
    """A connector as eDRV tells it: `power_type` as `read_power_type` reads it."""

    id: str
    chargestation_id: str | None
    status: str
    power_type: str
    max_power_w: float | None


@dataclass(frozen=True, slots=True)
class ChargeStationData:
    """A chargestation as eDRV tells it, with the connectors inside it."""

    id: str
    location_id: str | None
    name: str
    protocol: str
    online: bool | None
    is_simulator: bool | None
    connectors: tuple[ConnectorData, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook's body. `created_at` is when eDRV made it, as far as it says."""

    id: str | None
    type: str
    data: Any
    created_at: datetime | None


def parse(body: bytes) -> Any:
    """JSON as JavaScript writes it, half of a surrogate pair and numbers beyond a float included:
    the one becomes a replacement character, the other a gap. Raises Unreadable."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        found = json.loads(body.decode(), parse_constant=lambda _: None, parse_float=_finite)
        return orjson.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON ({error})") from error


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def read_delivery(payload: Any) -> Delivery:
    """A webhook's body. Raises Unreadable; an id is not needed."""
    body = _object(payload, "webhook")
    return Delivery(
        id=reference(body.get("_id") or body.get("id")),
        type=_text(body.get("type")).strip().lower(),
        data=body.get("data"),
        created_at=read_time(body.get("createdAt")),
    )


def read_action(payload: Any, *, webhook_type: str = "") -> Action:
    """The status is `status`; where that says nothing known, the webhook's suffix decides. The
    action may also be given as its id alone, or as a member `action`."""
    if isinstance(payload, Mapping) and reference(payload) is None:
        inner = payload.get("action")
        payload = inner if isinstance(inner, Mapping) else {**payload, "_id": inner}
    data = {"_id": payload} if isinstance(payload, str) else _object(payload, "action")
    suffix = ACTION_STATUSES.get(webhook_type.rpartition(".")[2])
    status = ACTION_STATUSES.get(_text(data.get("status")).lower())
    return Action(
        id=_id(data, "action"),
        type=_text(data.get("type")),
        status=status or suffix or ActionStatus.REQUESTED,
        updated_at=read_time(data.get("updatedAt")) or read_time(data.get("createdAt")),
        response_data=_writable(data.get("response_data")),
    )


def read_session(payload: Any, *, webhook_type: str = "") -> SessionData:
    """`session.ended` says so even where the object's own status lags behind it."""
    data = _object(payload, "session")
    metrics = _mapping(data.get("metrics"))
    report = data.get("energy_report")
    return SessionData(
        id=_id(data, "session"),
        chargestation_id=reference(data.get("chargestation")),
        connector_id=reference(data.get("connector")),
        status=STATUS_BY_TYPE.get(webhook_type) or read_session_status(data.get("status"), metrics),
        started_at=read_time(metrics.get("chargingStart")),
        ended_at=read_time(metrics.get("chargingStop")),
        updated_at=read_time(data.get("updatedAt")),
        # Wh, without a unit of its own (docs.edrv.io: displaying charging metrics).
        energy_wh=read_quantity(metrics.get("energyConsumed"), default_unit="wh"),
        report=read_energy_report(report) if isinstance(report, Mapping) else None,
    )


def read_session_status(status: Any, metrics: Json) -> str | None:
    """One of created, started, ended, cancelled. An unknown word is judged by the times."""
    known = SESSION_STATUSES.get(_text(status).strip().lower())
    if known:
        return known
    if read_time(metrics.get("chargingStop")):
        return "ended"
    return "started" if read_time(metrics.get("chargingStart")) else None


def read_energy_report(report: Json) -> EnergyReport:
    """Power without a unit is taken for kW, current for A, the meter for Wh."""
    power_w = read_quantity(report.get("power"), default_unit="kw")
    return EnergyReport(
        metered_at=read_time(report.get("timestamp")),
        power_w=power_w,
        current_a=read_quantity(report.get("current"), default_unit="a"),
        meter_wh=read_quantity(report.get("energy_meter"), default_unit="wh"),
        state_of_charge_percent=read_quantity(report.get("state_of_charge"), default_unit="%"),
    )


def read_location(payload: Any) -> LocationData:
    """Raises Unreadable. An address in parts becomes one line."""
    data = _object(payload, "location")
    address = data.get("address")
    if isinstance(address, Mapping):
        address = ", ".join(_text(part) for part in address.values() if part)
    return LocationData(
        id=_id(data, "location"),
        name=_text(data.get("name")),
        address=_text(address),
        timezone=_text(data.get("timezone")) or None,
    )


def read_chargestation(payload: Any) -> ChargeStationData:
    """Raises Unreadable. Without a name it is known by its vendor and model; connectors inside it
    without an id are passed over."""
    data = _object(payload, "chargestation")
    boot = _mapping(data.get("bootInfo"))
    model = f"{_text(boot.get('chargePointVendor'))} {_text(boot.get('chargePointModel'))}"
    station_id = _id(data, "chargestation")
    embedded = data.get("connectors") if isinstance(data.get("connectors"), list) else []
    return ChargeStationData(
        id=station_id,
        location_id=reference(data.get("location")),
        name=_text(data.get("name")) or model.strip(),
        protocol=_text(data.get("protocol")),
        online=read_bool(data.get("online")),
        is_simulator=read_bool(data.get("is_simulator")),
        connectors=tuple(
            read_connector(item, chargestation_id=station_id)
            for item in embedded or []
            if isinstance(item, Mapping) and reference(item)
        ),
    )


def read_connector(payload: Any, *, chargestation_id: str | None = None) -> ConnectorData:
    """`power` is the connector's maximum in kW (docs.edrv.io/docs/connector)."""
    data = _object(payload, "connector")
    power = data.get("power")
    return ConnectorData(
        id=_id(data, "connector"),
        chargestation_id=reference(data.get("chargestation")) or chargestation_id,
        status=_text(data.get("status")),
        power_type=read_power_type(data.get("power_type")),
        max_power_w=read_quantity(power, default_unit="kw"),
    )


def read_power_type(value: Any) -> str:
    """`AC_1_PHASE`, `AC_SINGLE_PHASE`, `AC Single Phase`, `AC_3_PHASE`, `AC Three Phase`, `DC`
    are all seen."""
    words = _text(value).lower().replace("_", " ").replace("-", " ").split()
    if "dc" in words:
        return "dc"
    if {"1", "single", "one"} & set(words):
        return "ac_1_phase"
    return "ac_3_phase" if {"3", "three"} & set(words) else "unknown"


def read_quantity(value: Any, *, default_unit: str) -> float | None:
    """`{"value": "16.0", "unit": "A"}` or a bare number, in W, A, Wh or percent. None for what
    is missing, not a number or in a unit nobody knows."""
    unit = default_unit
    if isinstance(value, Mapping):
        unit = _text(value.get("unit")).strip() or default_unit
        value = value.get("value")
    # "mW" is read as "MW": nobody meters a car in milliwatts.
    factor = UNIT_FACTORS.get(unit.lower())
    number = read_number(value)
    if factor is None or number is None or not math.isfinite(number * factor):
        return None
    return number * factor


def read_number(value: Any) -> float | None:
    """A finite number, also from its text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_bool(value: Any) -> bool | None:
    """true or false, also as text; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(_text(value).lower())


def read_time(value: Any) -> datetime | None:
    """An ISO 8601 time, as UTC. eDRV writes UTC; a time without offset is taken as such. A number
    is seconds since 1970, or milliseconds where seconds would lie beyond the year 5000."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _read_epoch(value)
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:
        return None


def _read_epoch(number: float) -> datetime | None:
    seconds = number / 1000 if abs(number) > 1e11 else number
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def reference(value: Any) -> str | None:
    """The id of something given as its id or as the whole object."""
    if isinstance(value, Mapping):
        value = value.get("_id") or value.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH or "\x00" in value:
        return None
    return value


def _object(payload: Any, what: str) -> Json:
    if not isinstance(payload, Mapping):
        raise Unreadable(f"{what} is not an object")
    return payload


def _id(data: Json, what: str) -> str:
    found = reference(data)
    if found is None:
        raise Unreadable(f"{what} without _id")
    return found


def _writable(value: Any) -> Any:
    """None for what is nested deeper than orjson writes, 254 levels; it reads 1,024."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None
    return value


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    # PostgreSQL's text cannot hold NUL.
    return value.replace("\x00", "") if isinstance(value, str) else ""
