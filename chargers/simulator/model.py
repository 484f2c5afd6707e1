"""The things of the simulated world. `_ms` is wall-clock time in milliseconds since 1970."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chargers.simulator.cars import Draw, Limit, Outlet

Json = dict[str, Any]


class Kind(StrEnum):
    """What a station understands. DC stations understand everything, as physical AC ones do."""

    PHYSICAL = "physical"
    SIMULATOR = "simulator"  # eDRV's own: only unit "current", and no clear
    AMPERES_ONLY = "amperes_only"  # ChargingScheduleAllowedChargingRateUnit = Current
    DC = "dc"


class Status(StrEnum):
    CREATED = "Created"
    STARTED = "Started"
    ENDED = "Ended"
    CANCELLED = "Cancelled"


@dataclass(slots=True)
class Site:
    id: str
    name: str
    operator: str
    street: str
    postal_code: str
    city: str
    timezone: str
    longitude: float
    latitude: float
    grid: dict[str, str]  # grid_zone, substation, feeder
    rate_id: str
    created_ms: int

    @property
    def updated_ms(self) -> int:
        return self.created_ms


@dataclass(slots=True)
class Station:
    id: str
    site: Site
    kind: Kind
    endpoint: str
    protocol: str
    vendor: str
    model: str
    created_ms: int
    updated_ms: int
    last_connect_ms: int
    last_disconnect_ms: int
    online: bool = True
    connectors: list[Connector] = field(default_factory=list)
    answers_at_s: float = 0.0  # real monotonic seconds: a station answers one call after another


@dataclass(slots=True)
class Connector:
    id: str
    station: Station
    number: int
    outlet: Outlet
    type: str
    format: str
    power_type: str
    created_ms: int
    updated_ms: int
    meter_wh: float  # the register of the meter, never reset
    status: str = "Available"
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class LimitChange:
    at_ms: int
    limit: Limit | None
    action_id: str | None  # None: the limit went with the session


class Samples:
    """The last readings of a session, 16 bytes each: when, power in W, energy in Wh."""

    __slots__ = ("at_ms", "energy_wh", "power_w")
    KEPT = 240  # two hours at one reading every 30 s

    def __init__(self) -> None:
        self.at_ms, self.power_w, self.energy_wh = array("q"), array("f"), array("f")

    def add(self, at_ms: int, power_w: float, energy_wh: float) -> None:
        self.at_ms.append(at_ms)
        self.power_w.append(power_w)
        self.energy_wh.append(energy_wh)
        if len(self.at_ms) > 2 * self.KEPT:
            for column in (self.at_ms, self.power_w, self.energy_wh):
                del column[: self.KEPT]

    def rows(self) -> list[tuple[int, float, float]]:
        columns = (self.at_ms, self.power_w, self.energy_wh)
        return list(zip(*(column[-self.KEPT :] for column in columns), strict=True))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the station last told eDRV about a session; the draw may have moved on since."""

    at_ms: int
    power_w: float
    energy_wh: float  # since the session began
    drawing_s: float  # simulated seconds
    state_of_charge: float


@dataclass(slots=True)
class Session:
    id: str
    user_id: str
    connector: Connector
    draw: Draw
    reading: Reading
    created_ms: int
    updated_ms: int
    meter_start_wh: float
    status: Status = Status.CREATED
    started_ms: int | None = None
    ended_ms: int | None = None
    limit: Limit | None = None
    limit_action_id: str | None = None
    ignores_limit: bool = False
    unplugged: bool = False  # the car is gone; eDRV learns of it when the station is online
    history: list[LimitChange] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)

    @property
    def station(self) -> Station:
        return self.connector.station

    @property
    def open(self) -> bool:
        return self.status in (Status.CREATED, Status.STARTED)

    @property
    def running(self) -> bool:
        """A transaction runs at the station: only then there is something to limit."""
        return self.status is Status.STARTED and not self.unplugged

    def change_limit(self, limit: Limit | None, *, at_ms: int, action_id: str | None) -> None:
        self.limit, self.limit_action_id = limit, action_id
        self.history.append(LimitChange(at_ms, limit, action_id))


@dataclass(slots=True)
class Action:
    """A command to a station. `session` stays out of the payload, as in eDRV's examples."""

    id: str
    type: str
    session: Session
    data: Json
    created_ms: int
    updated_ms: int
    status: str = "requested"
    response_data: Json | None = None
