"""set_power_limit and clear_power_limit: from the call to the station's answer.

The call makes an action `requested`; a webhook says so; the station answers later, one call after
another as OCPP has it; the action turns `completed` (the station accepted, no more than that) or
`failed`, and a second webhook says that. An offline station fails after its time-out.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from chargers.simulator import payloads, stations
from chargers.simulator.cars import Limit
from chargers.simulator.clock import wall_ms
from chargers.simulator.faults import STATION_KINDS, Fault, Faults, Occasion
from chargers.simulator.ledger import Delivery
from chargers.simulator.model import Action, Json, Session, Station
from chargers.simulator.outbox import Outbox
from chargers.simulator.world import World

REQUESTED_AFTER_S = 0.005  # the answer to the call is normally on the wire before the webhook
SUFFIXES = {
    "completed": {"requested": "requested", "completed": "completed", "failed": "failed"},
    # docs.edrv.io/changelog/29-february-2024 names the events differently; data.status stays.
    "accepted": {"requested": "requested", "completed": "accepted", "failed": "rejected"},
}


@dataclass(frozen=True, slots=True)
class Command:
    """A set, or a clear if `limit` is None."""

    session: Session
    limit: Limit | None

    @property
    def call(self) -> str:
        return "set" if self.limit else "clear"

    @property
    def type(self) -> str:
        return f"session.{self.call}_power_limit"

    @property
    def data(self) -> Json:
        if self.limit is None:
            return {}
        return {"unit": self.limit.unit, "limit": payloads.number(self.limit.value)}

    @property
    def station(self) -> Station:
        return self.session.station

    @property
    def occasion(self) -> Occasion:
        return Occasion(self.session.id, self.station.id, self.call)


@dataclass(frozen=True, slots=True)
class Call:
    """A command on its way to the station. `reached`: it was online when the call went out."""

    action: Action
    command: Command
    fault: Fault | None
    reached: bool

    @property
    def stalled(self) -> bool:
        return self.fault is not None and self.fault.kind == "stall"


class Commands:
    def __init__(self, world: World, outbox: Outbox, faults: Faults) -> None:
        self.actions: dict[str, Action] = {}
        self._world, self._outbox, self._faults = world, outbox, faults
        self._options = world.options
        self._suffixes = SUFFIXES[world.options.webhook_names]
        self._rng = random.Random(f"{world.options.seed}:answers")

    def issue(self, command: Command) -> Action:
        """The action of a valid command; its webhooks follow the HTTP answer."""
        call, scheduler = self._call(command), self._world.scheduler
        announced_s = time.monotonic() + self._options.http_delay_s + REQUESTED_AFTER_S
        scheduler.at(announced_s, self._announce, call.action)
        if not call.stalled:
            scheduler.at(self._answered_s(announced_s, command.station), self._answer, call)
        return call.action

    async def issue_webhooks_first(self, command: Command, *, wait_s: float) -> Json:
        """The station answers at once; returns after the webhooks were delivered.

        Returns the payload as it was when the command came: the HTTP answer says `requested`.
        """
        call = self._call(command)
        payload = payloads.action(call.action)
        deliveries = [self._announce(call.action)]
        if not call.stalled:
            deliveries.append(self._answer(call))
        await self._outbox.wait_settled(deliveries, timeout_s=wait_s)
        return payload

    def _call(self, command: Command) -> Call:
        fault = self._faults.strike(STATION_KINDS, command.occasion)
        return Call(self._new_action(command), command, fault, reached=command.station.online)

    def _new_action(self, command: Command) -> Action:
        now_ms = wall_ms()
        id_ = self._world.ids.next(now_ms)
        action = Action(id_, command.type, command.session, command.data, now_ms, now_ms)
        self.actions[id_] = action
        if len(self.actions) > self._options.keep:
            del self.actions[next(iter(self.actions))]
        return action

    def _answered_s(self, announced_s: float, station: Station) -> float:
        """When the station answers: never before its answer to an earlier call."""
        if not station.online:
            return announced_s + self._world.clock.real_s(self._options.station_timeout_s)
        due_s = announced_s + self._rng.uniform(*self._options.answer_delay_s)
        station.answers_at_s = max(due_s, station.answers_at_s)
        return station.answers_at_s

    def _announce(self, action: Action) -> Delivery:
        return self._tell(action, "requested", payloads.action(action))

    def _answer(self, call: Call) -> Delivery:
        answer, action = self._decide(call), call.action
        action.status = "completed" if answer.accepted else "failed"
        action.response_data, action.updated_ms = answer.response_data, wall_ms()
        if answer.accepted:
            self._take_effect(call)
        return self._tell(action, action.status, payloads.action(action))

    def _take_effect(self, call: Call) -> None:
        ignored = call.fault is not None and call.fault.kind == "ignore_limit"
        self._world.apply_limit(
            call.command.session, call.command.limit, action_id=call.action.id, ignored=ignored
        )

    def _decide(self, call: Call) -> stations.Answer:
        session, fault = call.command.session, call.fault
        if not call.reached or not session.station.online:
            return stations.no_answer()
        if fault and fault.kind == "reject":
            return stations.Answer(False, fault.params["response_data"])
        return stations.answer(
            session.station.kind,
            call.command.limit,
            session_running=session.running,
            has_limit=session.limit is not None,
            strict_clear=self._options.strict_clear,
        )

    def _tell(self, action: Action, status: str, data: Json) -> Delivery:
        return self._outbox.emit(
            f"{action.type}.{self._suffixes[status]}",
            payloads.ACTION_OBJECT,
            data,
            station_id=action.session.station.id,
            session_id=action.session.id,
        )
