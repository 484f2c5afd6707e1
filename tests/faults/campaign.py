"""kill -9 at random, over and over, while events run: what is killed when, and how long it takes
until work goes on. The seed decides everything but the machine's own speed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import requests

from tests.faults.ledgers import end_and_compare, insist, returning_false_for_errors
from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

VICTIMS = (
    "web", "webhooks", "worker", "dispatcher", "beat", "valkey", "postgres",
    "pool child of worker", "pool child of dispatcher", "pool child of web",
)  # fmt: skip
LIMITS = (
    {"kind": "per_session", "unit": "power", "value": 4200},
    {"kind": "per_session", "unit": "current", "value": 8},
    {"kind": "per_session", "unit": "power", "value": 7000},
)

PLACES = "SELECT external_id FROM chargers_site ORDER BY external_id"

# The clock has ticked, and commands that are due find somebody who takes them.
_WORKING = """
    SELECT (SELECT at FROM chargers_heartbeat WHERE name = 'sweep') > %(since)s
       AND (NOT EXISTS (SELECT FROM chargers_command
                         WHERE state IN ('due', 'unconfirmed') AND next_attempt_at < %(since)s)
            OR EXISTS (SELECT FROM chargers_attempt WHERE claimed_at > %(since)s)) AS working
"""


@dataclass
class Campaign:
    """`seconds` holds, by victim, how long it took each time until work went on."""

    gateway: Gateway
    edrv: Simulation
    seed: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    running: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.sites = [row["external_id"] for row in self.gateway.rows(PLACES)]

    def run(self, kills: int, *, compare_every: int) -> None:
        """So many kills, each in the middle of something; the books are compared now and then."""
        for number, victim in enumerate(self._victims(kills), start=1):
            self._stir()
            time.sleep(self.rng.uniform(0.0, 1.5))
            self._kill(victim)
            if number % compare_every == 0:
                self.finish_and_compare()
        self.finish_and_compare()

    def _victims(self, kills: int) -> Sequence[str]:
        """Each as often as the others, in a random order."""
        many = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
        self.rng.shuffle(many)
        return many

    def _stir(self) -> None:
        """An event begins or, where two run, is amended or ended; a car comes or goes."""
        if len(self.running) < 2:
            self._declare()
        elif self.rng.random() < 0.5:
            event_id = self.rng.choice(self.running)
            limit = self.rng.choice(LIMITS)
            insist(lambda: self.gateway.amend(event_id, limit=limit))
        else:
            event_id = self.running.pop(0)
            insist(lambda: self.gateway.end(event_id))
        if self.rng.random() < 0.5:
            self.edrv.plug_in(station_kind="physical")
        if self.rng.random() < 0.3:
            self.edrv.unplug(self.rng.choice(sorted(self.edrv.limits())))

    def _declare(self) -> None:
        everywhere = [{"type": "all"}]
        somewhere = [{"type": "site", "value": site} for site in self.rng.sample(self.sites, 2)]
        order = {
            "external_id": f"campaign-{self.rng.getrandbits(64):x}",
            "limit": self.rng.choice(LIMITS),
            "targets": everywhere if self.rng.random() < 0.3 else somewhere,
        }
        self.running.append(insist(lambda: self.gateway.declare(**order))["id"])

    def _kill(self, victim: str) -> None:
        killed_at, began_s = datetime.now(UTC), time.monotonic()
        if victim.startswith("pool child of "):
            self.gateway.kill_pool_child(victim.removeprefix("pool child of "))
        else:
            self.gateway.kill(victim)
        wait_until(lambda: self._works_since(killed_at), within_s=240, every_s=0.2)
        self.seconds.setdefault(victim, []).append(time.monotonic() - began_s)

    def _works_since(self, moment: datetime) -> bool:
        try:
            [row] = self.gateway.rows(_WORKING, {"since": moment})
            alive = requests.get(f"{self.gateway.url}/health/live/", timeout=2).ok
        except (psycopg.OperationalError, requests.RequestException):
            return False
        return bool(row["working"]) and alive

    def finish_and_compare(self) -> None:
        """Nobody missed while the events run; nobody limited after they are over; the books say
        the same."""
        wait_until(self._nobody_is_missing, within_s=180, every_s=0.5)
        for event_id in self.running:
            self.touched |= self.gateway.participations(event_id).keys()
        end_and_compare(self.gateway, self.edrv, *self.running)
        self.running.clear()

    @returning_false_for_errors
    def _nobody_is_missing(self) -> bool:
        parts = [self.gateway.participations(event_id) for event_id in self.running]
        everybody = any(self._aims_at_all(event_id) for event_id in self.running)
        is_answered = all(part["state"] == "confirmed" for found in parts for part in found.values()
                          if part["state"] != "ended")  # fmt: skip
        charging = {key for key, row in self.edrv.limits().items() if row["status"] == "Started"}
        taking_part = set().union(*parts) if parts else set()
        return is_answered and (not everybody or charging <= taking_part)

    def _aims_at_all(self, event_id: str) -> bool:
        return self.gateway.event(event_id)["targets"] == [{"type": "all", "value": ""}]

    def told(self) -> dict[str, dict[str, float]]:
        """What is reported of a campaign: by victim how often, and the longest wait."""
        return {
            victim: {"kills": len(found), "longest_s": round(max(found), 1)}
            for victim, found in sorted(self.seconds.items())
        }
