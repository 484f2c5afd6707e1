"""eDRV and its stations as a small model in memory: what the domain talks to when there is no
network. It keeps the truth (what each station holds its car to) and its own book of requests.

A station takes its calls in the order they reached eDRV, as OCPP has it. Everything else comes in
whatever order the caller likes: answers, webhooks, lost and doubled ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from chargers.claims import Claim
from chargers.edrv.burst import Reply
from chargers.edrv.errors import NotFound, ProviderUnreachable
from chargers.edrv.payloads import SessionData, read_session

Json = dict[str, Any]

# Every connector of this fleet: 32 A on three phases of 230 V.
MOST_A, MOST_W = 32, 22_080


@dataclass(slots=True)
class Car:
    """One session as it is. `limit` is what its station holds it to: unit and value."""

    id: str
    chargestation: str
    connector: str
    status: str = "Started"
    limit: tuple[str, float] | None = None
    power_w: float = 11_000.0
    changed_at: datetime | None = None

    @property
    def held(self) -> tuple[str, float] | None:
        """A set to all that the connector gives is no limit: some stations know no clear."""
        most = {"current": MOST_A, "power": MOST_W}
        return None if self.limit is None or self.limit[1] >= most[self.limit[0]] else self.limit


@dataclass(slots=True)
class Action:
    """One command as eDRV keeps it; `limit` None for a clear."""

    id: str
    command_id: int
    car: Car
    verb: str
    limit: tuple[str, float] | None
    status: str = "requested"
    response_data: Any = None
    updated_at: datetime | None = None

    def as_json(self) -> Json:
        return {
            "_id": self.id,
            "type": f"session.{self.verb}_power_limit",
            "status": self.status,
            "response_data": self.response_data,
            "updatedAt": self.updated_at and self.updated_at.isoformat(),
        }


@dataclass(slots=True)
class Wire:
    cars: dict[str, Car] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    online: dict[str, bool] = field(default_factory=dict)
    outbox: list[bytes] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    failures: dict[int, int] = field(default_factory=dict)  # by command: times somebody said no
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # --- cars and stations ------------------------------------------------------------------

    def plug_in(self, car: Car, at: datetime) -> None:
        self.cars[car.id] = car
        self.tell_session(car, "session.started", at)

    def unplug(self, car: Car, at: datetime) -> None:
        """The limit goes with its session (OCPP 1.6, TxProfile)."""
        car.status, car.limit = "Ended", None
        self.tell_session(car, "session.ended", at)

    def report(self, car: Car, power_w: float, at: datetime) -> None:
        car.power_w = power_w
        self.tell_session(car, "session.updated", at)

    def set_online(self, chargestation: str, online: bool, at: datetime) -> None:
        self.online[chargestation] = online
        data = {"_id": chargestation, "online": online}
        self._tell(f"chargestation.{'online' if online else 'offline'}", data, at)

    def tell_session(self, car: Car, type_: str, at: datetime) -> None:
        car.changed_at = at
        self._tell(type_, self.session_json(car), at)

    def session_json(self, car: Car) -> Json:
        at = car.changed_at and car.changed_at.isoformat()
        return {
            "_id": car.id,
            "chargestation": car.chargestation,
            "connector": car.connector,
            "status": car.status,
            "metrics": {"chargingStop": at} if car.status == "Ended" else {},
            "energy_report": {
                "timestamp": at,
                "power": {"value": f"{car.power_w / 1000}", "unit": "kW"},
            },
            "updatedAt": at,
        }

    # --- requests -----------------------------------------------------------------------------

    def take(self, claim: Claim, how: str, at: datetime) -> Reply:
        """What the caller gets for a request. `how`: `answered` as it should be; `unanswered`,
        carried out all the same; `failed` with a 503 after it was carried out; `unreachable`,
        `limited` and `refused` without any effect."""
        if how == "unreachable":
            return _reply(claim, at, error=ProviderUnreachable("ClientConnectorError"))
        if how == "limited":
            return _reply(claim, at, 429, {"ok": False, "message": "slow down"}, "5")
        if how == "refused":
            self._count_failure(claim.command_id)
            return _reply(claim, at, 400, {"ok": False, "message": "cannot do that now"})
        status, body = self._answer(claim, at)
        if how == "unanswered":
            return _reply(claim, at, error=ProviderUnreachable("TimeoutError", ambiguous=True))
        if how == "failed":
            return _reply(claim, at, 503, {"ok": False, "message": "upstream"})
        return _reply(claim, at, status, body)

    def _answer(self, claim: Claim, at: datetime) -> tuple[int, Json]:
        _, kind, id_, *call = claim.call.path.split("/")
        known: Mapping[str, Any] = self.actions if kind == "actions" else self.cars
        if id_ not in known:
            return 404, {"ok": False, "message": "does not exist"}
        if kind == "actions":
            return 200, {"ok": True, "result": self.actions[id_].as_json()}
        car = self.cars[id_]
        if not call:
            return 200, {"ok": True, "result": self.session_json(car)}
        if car.status != "Started":
            return 409, {"ok": False, "message": f"Session is {car.status}"}
        return 200, {"ok": True, "result": self._new_action(claim, car, at).as_json()}

    def _new_action(self, claim: Claim, car: Car, at: datetime) -> Action:
        body = orjson.loads(claim.call.body) if claim.call.body else None
        limit = (body["unit"], float(body["limit"])) if body else None
        id_ = f"{next(self._ids):024x}"
        action = Action(
            id_, claim.command_id, car, "set" if limit else "clear", limit, updated_at=at
        )
        self.actions[id_] = action
        self._tell(f"session.{action.verb}_power_limit.requested", action.as_json(), at)
        return action

    # --- answers of stations ------------------------------------------------------------------

    def heads(self) -> list[Action]:
        """Of each car the oldest action that its station has not answered."""
        oldest: dict[str, Action] = {}
        for action in self.actions.values():
            if action.status == "requested":
                oldest.setdefault(action.car.id, action)
        return list(oldest.values())

    def may_still_take_effect(self, car: Car) -> bool:
        """Whether a set is on its way to the car's station."""
        return any(
            action.car is car and action.verb == "set" and action.status == "requested"
            for action in self.actions.values()
        )

    def answer(self, action: Action, response_data: Json | None, at: datetime) -> None:
        """The station takes the command, or says no with `response_data`."""
        is_over = action.car.status != "Started"
        refusal = response_data or ({"status": "Rejected"} if is_over else None)
        action.status = "failed" if refusal else "completed"
        action.response_data, action.updated_at = refusal, at
        if refusal:
            self._count_failure(action.command_id)
        else:
            action.car.limit = action.limit
        self._tell(f"session.{action.verb}_power_limit.{action.status}", action.as_json(), at)

    def _count_failure(self, command_id: int) -> None:
        self.failures[command_id] = self.failures.get(command_id, 0) + 1

    # --- webhooks, and what a sync reads --------------------------------------------------------

    def _tell(self, type_: str, data: Json, at: datetime) -> None:
        body = {
            "_id": f"{next(self._ids):024x}",
            "type": type_,
            "data": data,
            "createdAt": at.isoformat(),
        }
        self.outbox.append(orjson.dumps(body))

    def pages(self, name: str, filters: object = None) -> Iterator[list[Json]]:
        """As `EdrvClient.pages`: of what the gateway did not make up itself."""
        if name == "chargestations":
            yield [{"_id": id_, "online": online} for id_, online in self.online.items()]
        if name == "sessions":
            yield [self.session_json(car) for car in self.cars.values()]

    def get_session(self, external_id: str) -> SessionData:
        if external_id not in self.cars:
            raise NotFound("does not exist", 404)
        return read_session(self.session_json(self.cars[external_id]))


def _reply(
    claim: Claim,
    at: datetime,
    status: int = 0,
    body: Json | None = None,
    retry_after: str | None = None,
    error: ProviderUnreachable | None = None,
) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    seconds = at.timestamp()
    raw = b"" if body is None else orjson.dumps(body)
    return Reply(claim.attempt_id, seconds, seconds, status, headers, raw, error)
