"""Cars that come and go by chance: those there at the start, and arrivals from then on."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from chargers.simulator.cars import Car, any_car
from chargers.simulator.clock import wall_ms
from chargers.simulator.model import Connector
from chargers.simulator.world import World

STAY_MEDIAN_S, STAY_SIGMA, STAY_LEAST_S, STAY_MOST_S = 9_000.0, 0.6, 600.0, 43_200.0
DC_STAY_MEDIAN_S = 2_100.0
STAY_MEAN_H = STAY_MEDIAN_S * math.exp(STAY_SIGMA**2 / 2) / 3600
TRIES = 20  # to find a free connector by chance before an arrival drives on


@dataclass(frozen=True, slots=True)
class Guest:
    """A car about to be plugged in, and how long it means to stay (simulated seconds)."""

    connector: Connector
    car: Car
    stored_wh: float
    stay_s: float


class Traffic:
    def __init__(self, world: World) -> None:
        self._world, self._options = world, world.options
        self._rng = random.Random(f"{world.options.seed}:traffic")

    def start(self) -> None:
        self._fill()
        if not self._options.static:
            self._expect_arrival()

    def _fill(self) -> None:
        """The cars already charging, the longest there first."""
        connectors = self._rng.sample(self._world.connector_list, self._options.sessions)
        guests = [self._guest(connector) for connector in connectors]
        stays = [(self._rng.uniform(0.02, 0.6) * guest.stay_s, guest) for guest in guests]
        for stayed_s, guest in sorted(stays, key=lambda stay: -stay[0]):
            self._resume(guest, stayed_s)

    def _resume(self, guest: Guest, stayed_s: float) -> None:
        created_ms = wall_ms() - round(self._world.clock.real_s(stayed_s) * 1000)
        session = self._world.open_session(
            guest.connector, guest.car, stored_wh=guest.stored_wh, created_ms=created_ms
        )
        # What it took before the simulator began: a share of what its battery holds now.
        energy_wh = min(guest.stored_wh * 0.6, guest.car.max_power_w * 0.8 * stayed_s / 3600)
        stay_s = None if self._options.static else guest.stay_s - stayed_s
        self._world.resume(session, energy_wh=energy_wh, stay_s=stay_s)

    def _expect_arrival(self) -> None:
        if per_hour := self._arrivals_per_hour():
            gap_s = self._rng.expovariate(per_hour / 3600)
            self._world.scheduler.after_sim(gap_s, self._arrive)

    def _arrivals_per_hour(self) -> float:
        """As many as leave, unless told otherwise."""
        if self._options.arrivals_per_hour is not None:
            return self._options.arrivals_per_hour
        return self._options.sessions / STAY_MEAN_H

    def _arrive(self) -> None:
        self._expect_arrival()
        if connector := self._free_connector():
            guest = self._guest(connector)
            shows_up = self._rng.random() >= self._options.share_no_shows
            self._world.plug_in(
                connector,
                guest.car,
                stored_wh=guest.stored_wh,
                start_after_s=self._rng.uniform(2.0, 20.0) if shows_up else None,
                stay_s=guest.stay_s,
            )

    def _free_connector(self) -> Connector | None:
        for _ in range(TRIES):
            connector = self._rng.choice(self._world.connector_list)
            if connector.session is None and connector.station.online:
                return connector
        return None

    def _guest(self, connector: Connector) -> Guest:
        car = any_car(self._rng, connector.outlet)
        stored_wh = car.battery_wh * self._rng.uniform(0.15, 0.75)
        median_s = DC_STAY_MEDIAN_S if connector.outlet.direct else STAY_MEDIAN_S
        stay_s = self._rng.lognormvariate(math.log(median_s), STAY_SIGMA)
        stay_s = min(max(stay_s, STAY_LEAST_S), STAY_MOST_S)
        return Guest(connector, car, stored_wh, stay_s)
