"""What planning starts from: orders, standing capacities, and cars with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from dr_events.demand import Metering
from dr_events.pacing import Pace

EventId: TypeAlias = UUID
SiteId: TypeAlias = int
# An event (None: a site's standing capacity) and a site (None: the event as a whole).
CapKey: TypeAlias = tuple[EventId | None, SiteId | None]
LOWEST_RANK = 1 << 16


@dataclass(frozen=True, slots=True)
class Each:
    """So much for each session."""

    limit: Limit


@dataclass(frozen=True, slots=True)
class Percent:
    """That share of what each session drew when it came into the event, as a limit in `unit`."""

    percent: float
    unit: Unit = Unit.POWER


@dataclass(frozen=True, slots=True)
class Cap:
    """So much for all sessions of the event together, or for those of each site."""

    cap_w: float
    a_site: bool = False


Ask: TypeAlias = Each | Percent | Cap


@dataclass(frozen=True, slots=True)
class Order:
    """A running event as the planner sees it. Priority 0 is the highest, None the lowest. `ask`
    None: between two steps nothing is ordered."""

    event_id: EventId
    label: str
    priority: int | None
    declared_at: datetime
    ask: Ask | None
    below_minimum: BelowMinimum = BelowMinimum.PAUSE
    pace: Pace | None = None

    @property
    def rank(self) -> int:
        """The smaller, the more it counts."""
        return LOWEST_RANK if self.priority is None else self.priority


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a site may import, whatever the events say: the sun, a battery, a fuse."""

    capacity_w: float
    label: str = "site capacity"


@dataclass(frozen=True, slots=True)
class Part:
    """A session's part in an event: its draw when it came in (None: not metered), why it is
    excused, and at what it is held while the event is restoring."""

    event_id: EventId
    before_w: float | None = None
    excused: str = ""
    hold: Limit | None = None


@dataclass(frozen=True, slots=True)
class Grip:
    """What is known of the limit on a session.

    `held_w` is the most that the limits confirmed, or on their way, allow, None where there are
    none; one that `is_loose` may still be charging without any. `switched_at` is when it was last
    paused, or let run again: what was wanted since is of the same kind. One that is stuck does
    not answer, or does not do as it is told.
    """

    wanted: Limit | None = None
    wanted_at: datetime | None = None
    switched_at: datetime | None = None
    held_w: float | None = None
    is_loose: bool = True
    is_stuck: bool = False


NOT_METERED = Metering()
NO_LIMIT = Grip()
NO_SITE: SiteId = 0


@dataclass(frozen=True, slots=True)
class Car:
    """A session as the planner sees it: what it hangs on, its metering, its events, the limit on
    it, and why no event at all may limit it. `site_id`: whose capacity it takes from."""

    session_id: int
    circuit: Circuit
    metering: Metering = NOT_METERED
    parts: tuple[Part, ...] = ()
    exempt_reason: str = ""
    site_id: SiteId = NO_SITE
    grip: Grip = NO_LIMIT

    @property
    def power_w(self) -> float | None:
        return self.metering.power_w

    @property
    def wanted_w(self) -> float | None:
        """What it is to be held to now, of all that its connector gives."""
        if self.grip.wanted is None:
            return None
        return min(self.circuit.watts(self.grip.wanted), self.full_w)

    @property
    def held_w(self) -> float | None:
        """The most that the limits on it allow, of all that its connector gives."""
        return None if self.grip.held_w is None else min(self.grip.held_w, self.full_w)

    @property
    def full_w(self) -> float:
        """All that its connector gives."""
        return self.circuit.watts(self.circuit.everything)

    @property
    def free_w(self) -> float:
        """What it counts for where it cannot be held: its last known draw or, where it was
        never metered, all that its connector gives."""
        return self.full_w if self.power_w is None else self.power_w


@dataclass(frozen=True, slots=True)
class Rules:
    """When a new share of a cap is worth a command, and how long a turn is."""

    dead_band_w: float = 500.0
    minimum_interval: timedelta = timedelta(seconds=60)
    turn: timedelta = timedelta(minutes=15)
    settling: timedelta = timedelta(seconds=60)
