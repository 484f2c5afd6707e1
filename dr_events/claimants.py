"""Cars that stand under caps: what each can be held to, what it counts for, and its place in the
queue for what there is. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from chargers.electricity import ROUNDING
from dr_events.orders import Car
from dr_events.sharing import CapNumber


@dataclass(frozen=True, slots=True)
class Claimant:
    """A car under a cap. It can be held to nothing or from `least_w` to `most_w`, and makes no
    use of more than `ceiling_w`. `caps` bind it, `counted` are those whose room it uses. One
    with `free_w` cannot be held at all."""

    key: int
    car: Car
    rank: int
    least_w: float
    most_w: float
    ceiling_w: float
    caps: tuple[CapNumber, ...]
    counted: tuple[CapNumber, ...]
    turn_w: float = 0.0
    free_w: float | None = None

    @property
    def in_force_w(self) -> float:
        """Its old allowance, until it has answered."""
        return self.car.full_w if self.car.grip.is_loose else self.car.held_w or 0.0

    @property
    def stuck_w(self) -> float:
        """What it may be drawing, whatever it is told."""
        drawn_w = self.car.free_w if self.car.grip.is_loose else self.car.power_w or 0.0
        return max(self.car.held_w or 0.0, drawn_w)

    @property
    def only_counted(self) -> tuple[CapNumber, ...]:
        """Those whose room it uses without being bound by them: of events that others outrank,
        or from which it is excused."""
        if self.caps == self.counted:
            return ()
        return tuple(cap for cap in self.counted if cap not in self.caps)

    @property
    def running_since(self) -> datetime | None:
        """Since when it has had something; None while it is paused, or was never limited."""
        grip = self.car.grip
        return None if grip.wanted is None or grip.wanted.is_pause else grip.switched_at

    def whole(self, watts: float) -> float:
        """Whole watts, downwards: what is sent is never more than the share. Yet 6 A stay 6 A and
        all stays all, which on some circuits are no whole watts."""
        if watts <= self.least_w or watts >= self.most_w:
            return watts
        return max(self.least_w, float(math.floor(watts + ROUNDING)))


class Place(NamedTuple):
    """A claimant's place in the queue; the smaller, the nearer to its head.

    Whose turn it is comes first, and of those who needs a floor: the others make do with what is
    left, as they did when they were let in. Then first come, first served: whoever waits came
    when it was paused; whose turn has ended came then, and if nobody took it over has another one.
    """

    turn_is_over: bool
    needs_no_floor: bool
    came_at: float
    waits: bool
    key: int


def place(one: Claimant, turn: timedelta, now: datetime) -> Place:
    """Its place now, where a turn takes so long."""
    since = one.running_since
    if since is None:
        came_at = one.car.grip.switched_at or now
        return Place(True, False, came_at.timestamp(), True, one.key)
    began_at = turn_began_at(since, turn, now)
    is_first = began_at <= since
    return Place(not is_first, is_first and not one.least_w, began_at.timestamp(), False, one.key)


def turn_began_at(since: datetime, turn: timedelta, now: datetime) -> datetime:
    """When the last one ended of the turns since then, and another began."""
    return since + turn * max(0, (now - since) // turn)
