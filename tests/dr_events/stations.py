"""A street of charging cars in memory: what is wanted of each, what was said to its station, and
what the station really holds. For the planner's tests; no database.

The gateway's half of the book (`told`, `confirmed`) makes the facts that the planner reads,
through the very functions that read them from rows. The station's half (`in_force`, `on_wire`)
is the truth that those facts must not fall short of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from chargers.electricity import Circuit, Limit, Unit
from dr_events import facts
from dr_events.orders import Car, Part

UNSETTLED = ("due", "sent", "unconfirmed")
PATIENT_REJECTIONS = 3


@dataclass
class Told:
    """A command: one change of what is wanted, None for no limit."""

    generation: int
    limit: Limit | None
    created_at: datetime
    state: str = "due"
    attempts: int = 0
    rejections: int = 0
    reason: str = ""


@dataclass
class Charging:
    """One car at its station. It draws what it would like, up to what its station holds."""

    key: int
    circuit: Circuit
    started_at: datetime
    site_id: int = 1
    exempt: str = ""
    appetite_w: float = 11_000.0
    takes: Unit = Unit.POWER
    online: bool = True
    power_w: float | None = None
    metered_at: datetime | None = None
    told: list[Told] = field(default_factory=list)
    confirmed: Limit | None = None
    confirmed_generation: int = 0
    confirmed_at: datetime | None = None
    generation: int = 0
    wanted: Limit | None = None
    may_be_limited: bool = False
    # What was sent since the last acceptance that was heard: any of it may be in force.
    unheard: list[Told] = field(default_factory=list)
    heard: Limit | None = None
    # The station's half.
    in_force: Limit | None = None
    on_wire: list[Told] = field(default_factory=list)
    answers: list[tuple[Told, bool]] = field(default_factory=list)

    # --- the gateway's half -----------------------------------------------------------------

    def want(self, limit: Limit | None, now: datetime) -> bool:
        """As chargers.limits.want. Returns whether anything else is wanted now."""
        if limit == self.wanted:
            return False
        self.wanted = limit
        self.generation += 1
        for one in self.told:
            if one.state in UNSETTLED:
                one.state = "superseded"
        if limit is None and not self.may_be_limited:
            self.confirmed_generation = self.generation
        else:
            self.told.append(Told(self.generation, limit, now))
        return True

    @property
    def newest(self) -> Told | None:
        """The command of what is wanted now."""
        last = self.told[-1] if self.told else None
        return last if last and last.generation == self.generation else None

    @property
    def can_send(self) -> bool:
        newest = self.newest
        return self.online and newest is not None and newest.state in ("due", "unconfirmed")

    def send(self) -> None:
        newest = self.newest
        assert newest
        newest.state, newest.attempts = "sent", newest.attempts + 1
        self.may_be_limited = self.may_be_limited or newest.limit is not None
        self.on_wire.append(newest)
        self.unheard.append(newest)

    @property
    def has_messages(self) -> bool:
        """Whether there is anything to send, to reach the station or to be heard of it."""
        return bool(self.can_send or self.on_wire or self.answers)

    @property
    def is_waiting(self) -> bool:
        return self.newest is not None and self.newest.state == "sent"

    def give_up_waiting(self) -> None:
        """The deadline of what was sent has passed."""
        if self.newest and self.is_waiting:
            self.newest.state, self.newest.reason = "unconfirmed", "no_answer"

    def converse(self, now: datetime) -> None:
        """Whatever there is to be said reaches the station, which accepts all of it."""
        newest = self.newest
        if newest and newest.state == "rejected":
            newest.state, newest.reason = "due", ""
        if not self.on_wire and not self.answers:
            self.give_up_waiting()
        if self.can_send:
            self.send()
        while self.on_wire:
            self.reach()
        while self.answers:
            self.hear(0, now)

    def hear(self, index: int, now: datetime) -> None:
        """As chargers.settlement.settle, of one answer."""
        told, accepted = self.answers.pop(index)
        if accepted and told in self.unheard:
            self.heard = self._as_sent(told.limit)
            self.unheard = [one for one in self.unheard if one.generation > told.generation]
        if accepted:
            self._accept(told, now)
        elif told.state in UNSETTLED:
            self._reject(told)

    def _accept(self, told: Told, now: datetime) -> None:
        if told.state in UNSETTLED:
            told.state, told.reason = "accepted", ""
        if told.generation > self.confirmed_generation:
            self.confirmed, self.confirmed_at = self._as_sent(told.limit), now
            self.confirmed_generation = told.generation
            self.may_be_limited = told.limit is not None or told.generation < self.generation

    def _reject(self, told: Told) -> None:
        told.rejections += 1
        persists = told.limit is None or self.confirmed is not None
        told.reason = "rejected_by_station"
        told.state = "due" if persists or told.rejections <= PATIENT_REJECTIONS else "rejected"

    def as_car(self, parts: Sequence[Part], now: datetime) -> Car:
        """What the planner is told of it."""
        patience_since = now - timedelta(seconds=settings.COMPLIANCE_PATIENCE_S)
        row = self._row()
        metering = facts._metering(row, self.circuit)
        grip = facts._grip(row, self.circuit, metering, patience_since)
        return Car(self.key, self.circuit, metering, tuple(parts), self.exempt, self.site_id, grip)

    def _row(self) -> dict[str, Any]:
        newest, sent = self.newest, self._sent_since_the_last_answer()
        units = {unit: [t.limit.value for t in sent if t.limit and t.limit.unit is unit]
                 for unit in Unit}  # fmt: skip
        return {
            "power_w": self.power_w,
            "current_a": None,
            "metered_at": self.metered_at,
            "started_at": self.started_at,
            "wanted_unit": self.wanted and str(self.wanted.unit),
            "wanted_value": self.wanted and self.wanted.value,
            "wanted_at": newest and newest.created_at,
            "confirmed_unit": self.confirmed and str(self.confirmed.unit),
            "confirmed_value": self.confirmed and self.confirmed.value,
            "confirmed_at": self.confirmed_at,
            "online": self.online,
            "command_state": newest and newest.state,
            "command_reason": newest and newest.reason,
            "command_rejections": newest and newest.rejections,
            "switched_at": self._switched_at(),
            "sent_power": max(units[Unit.POWER], default=None),
            "sent_current": max(units[Unit.CURRENT], default=None),
            "sent_clear": any(t.limit is None for t in sent),
            "silence": max((t.reason for t in sent if t.reason == "no_answer"), default=None),
        }

    def _sent_since_the_last_answer(self) -> list[Told]:
        return [
            one
            for one in self.told
            if one.attempts and self.confirmed_generation < one.generation < self.generation
            and one.state != "rejected"
        ]  # fmt: skip

    def _switched_at(self) -> datetime | None:
        wanted = self.wanted
        if not wanted:
            return None
        others = [
            t.generation
            for t in self.told
            if t.limit is None or t.limit.is_pause != wanted.is_pause
        ]
        last_other = max(others, default=0)
        return min(t.created_at for t in self.told if t.generation > last_other)

    # --- the station's half -----------------------------------------------------------------

    def reach(self, *, accepts: bool = True) -> None:
        """What was sent first arrives."""
        told = self.on_wire.pop(0)
        if accepts:
            self.in_force = self._as_sent(told.limit)
        self.answers.append((told, accepts))

    def _as_sent(self, limit: Limit | None) -> Limit | None:
        return limit and self.circuit.in_unit(limit, self.takes)

    def report(self, now: datetime) -> None:
        self.power_w, self.metered_at = min(self.appetite_w, self.most_in_force_w), now

    @property
    def full_w(self) -> float:
        return self.circuit.watts(self.circuit.everything)

    @property
    def most_in_force_w(self) -> float:
        return self.watts(self.in_force)

    @property
    def free_w(self) -> float:
        """What it counts for where nobody can hold it."""
        return self.full_w if self.power_w is None else self.power_w

    def watts(self, limit: Limit | None) -> float:
        return self.full_w if limit is None else min(self.circuit.watts(limit), self.full_w)

    @property
    def may_be_free(self) -> bool:
        """Whether, for all that was heard, it may be charging without any limit."""
        is_cleared = any(told.limit is None for told in self.unheard)
        return self.heard is None or is_cleared or self.wanted is None

    @property
    def most_w(self) -> float:
        """The most that its station may come to allow, for all that was heard: by what it holds,
        what was sent to it since, and what may be sent at any moment."""
        if self.may_be_free:
            return self.full_w
        return max(self.watts(limit) for limit in self.may_be_limits)

    @property
    def was_sent(self) -> list[Limit]:
        """The limits that the gateway knows to be in force, or on their way."""
        limits = [self.confirmed, *(told.limit for told in self.unheard)]
        return [limit for limit in limits if limit is not None]

    @property
    def may_be_limits(self) -> list[Limit]:
        limits = [self.heard, self.wanted, *(told.limit for told in self.unheard)]
        return [limit for limit in limits if limit is not None]
