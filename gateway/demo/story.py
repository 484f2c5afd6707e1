"""The demo's event, from declared to restored, as moments that can be shown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.demo.world import Client, World

FEEDER = "F12"
LIMIT_W = 4200
DURATION_S = 50
LATE_CARS = 4
LATE_AFTER_S = 12
RESTORE_WITHIN_S = 90
POLL_S = 1.0

OVER = ("completed", "cancelled")


@dataclass(frozen=True, slots=True)
class Moment:
    """What the gateway said at one moment. Watts are of the whole feeder, as metered."""

    elapsed_s: float
    event: dict[str, Any]
    participations: list[dict[str, Any]]
    before_w: float
    now_w: float

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.event["counts"]
        return counts

    @property
    def joined_late(self) -> list[dict[str, Any]]:
        return [part for part in self.participations if part["joined_late"]]

    def reasons(self) -> Counter[tuple[str, str]]:
        """How many sessions carry each (state, reason)."""
        return Counter(
            (part["state"], part["reason"]) for part in self.participations if part["reason"]
        )


@dataclass
class Story:
    """What has been seen, for the closing table and the verdict."""

    world: World
    client: Client
    moments: list[Moment] = field(default_factory=list)
    late_sessions: list[str] = field(default_factory=list)
    before_w: float = 0.0

    def tell(self) -> Iterator[Moment]:
        """Declare the event and yield a moment a second until it is over."""
        self.before_w = self._feeder_w()
        event = self.client.post("events/", declaration())
        began = time.monotonic()
        while not self.moments or self.moments[-1].event["status"] not in OVER:
            elapsed_s = time.monotonic() - began
            if elapsed_s > DURATION_S + RESTORE_WITHIN_S:
                return
            self._plug_in_late_cars(elapsed_s)
            self.moments.append(self._look(event["id"], elapsed_s))
            yield self.moments[-1]
            time.sleep(POLL_S)

    def _plug_in_late_cars(self, elapsed_s: float) -> None:
        if elapsed_s < LATE_AFTER_S or self.late_sessions:
            return
        sites = {site["external_id"] for site in self.client.all("sites/", feeder=FEEDER)}
        self.late_sessions = self.world.plug_in(self.client, sites, LATE_CARS)

    def _look(self, event_id: str, elapsed_s: float) -> Moment:
        event = self.client.get(f"events/{event_id}/")
        parts = self.client.all(f"events/{event_id}/participations/")
        return Moment(elapsed_s, event, parts, self.before_w, self._feeder_w())

    def _feeder_w(self) -> float:
        sessions = self.client.all("sessions/", feeder=FEEDER, status="started")
        return sum(session["power_w"] or 0.0 for session in sessions)

    @property
    def last(self) -> Moment:
        return self.moments[-1]

    def lowest_w(self) -> float:
        """The least the feeder drew while the event was active."""
        active = [moment.now_w for moment in self.moments if moment.event["status"] == "active"]
        return min(active, default=self.before_w)


def declaration() -> dict[str, Any]:
    """The body of `POST events/`."""
    return {
        "external_id": "DEMO-1",
        "name": f"Feeder {FEEDER} overload",
        "reason": "Transformer T4 at 105 %",
        "priority": 0,
        "duration": f"PT{DURATION_S}S",
        "limit": {"kind": "per_session", "unit": "power", "value": LIMIT_W},
        "targets": [{"type": "feeder", "value": FEEDER}],
    }
