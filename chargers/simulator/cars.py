"""What a car takes from its outlet: pure physics, no clock and no network.

Sources: IEC 61851-1 (6 A is the lowest current the pilot can signal, so an AC car takes 0 or at
least 6 A per phase); watts = amperes x volts x phases. The taper is a plain model of a battery
above 80 %: full power falls in a straight line to a tenth at 100 %.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

FLOOR_A = 6.0
STEP_S = 30.0  # the taper is taken as constant within a step
TAPER_FROM, TAPER_LEAST = 0.8, 0.1
LAG_MEDIAN_S, LAG_SIGMA, LAG_MAX_S = 6.0, 0.6, 25.0
KEPT_DIGITS = 6  # of a sum of energies: below a millionth of a watt-hour is rounding


@dataclass(frozen=True, slots=True)
class Limit:
    """`unit` is "power" (`value` in W) or "current" (`value` in A per phase)."""

    unit: str
    value: float


@dataclass(frozen=True, slots=True)
class Outlet:
    """The electrical side of a connector. Direct current counts as one phase."""

    phases: int
    voltage_v: float
    max_current_a: float
    direct: bool = False

    @property
    def max_power_w(self) -> float:
        return self.phases * self.voltage_v * self.max_current_a


@dataclass(frozen=True, slots=True)
class Car:
    """`lag_s`: how long it takes to notice a new limit; `ramp_s`: how long to follow it."""

    phases: int
    max_current_a: float
    max_power_w: float
    battery_wh: float
    lag_s: float = 0.0
    ramp_s: float = 0.0
    tapers: bool = True


def offered_current_a(outlet: Outlet, limit: Limit | None) -> float:
    """Amperes per phase the outlet offers under a limit."""
    if limit is None:
        return outlet.max_current_a
    limit_a = limit.value
    if limit.unit == "power":
        limit_a /= outlet.voltage_v * outlet.phases
    return min(outlet.max_current_a, limit_a)


def floor_power_w(outlet: Outlet, car: Car) -> float:
    """The least an AC car can take without stopping; 0 for direct current."""
    if outlet.direct:
        return 0.0
    return FLOOR_A * outlet.voltage_v * min(car.phases, outlet.phases)


def steady_power_w(outlet: Outlet, car: Car, limit: Limit | None) -> float:
    """What the car settles at under a limit, its battery aside."""
    current_a = min(offered_current_a(outlet, limit), car.max_current_a)
    power_w = current_a * outlet.voltage_v * min(car.phases, outlet.phases)
    power_w = min(power_w, car.max_power_w)
    # A hair of tolerance: 4140 W over three phases must be read back as 6 A, not 5.9999 A.
    return power_w if power_w >= floor_power_w(outlet, car) - 1e-6 else 0.0


def battery_power_w(outlet: Outlet, car: Car, stored_wh: float) -> float:
    """The most the battery accepts at its state of charge; AC cars stop from 6 A, not below."""
    if stored_wh >= car.battery_wh:
        return 0.0
    if not car.tapers:
        return car.max_power_w
    share_above = max(stored_wh / car.battery_wh - TAPER_FROM, 0.0) / (1 - TAPER_FROM)
    accepted_w = car.max_power_w * (1 - share_above * (1 - TAPER_LEAST))
    return max(accepted_w, floor_power_w(outlet, car))


class Draw:
    """One car charging: its power over time, and the energy that adds up to.

    Times are simulated seconds. The power is constant, then after a lag runs straight to what the
    limit in force allows; the battery may take less.
    """

    __slots__ = (
        "_from_w",
        "_ramp_ends_s",
        "_ramp_starts_s",
        "_to_w",
        "at_s",
        "car",
        "drawing_s",
        "energy_wh",
        "outlet",
        "stored_wh",
    )

    def __init__(self, outlet: Outlet, car: Car, *, stored_wh: float, at_s: float) -> None:
        self.outlet, self.car = outlet, car
        self.stored_wh, self.energy_wh, self.drawing_s = stored_wh, 0.0, 0.0
        self.at_s = self._ramp_starts_s = self._ramp_ends_s = at_s
        self._from_w = self._to_w = 0.0

    @property
    def state_of_charge(self) -> float:
        return min(self.stored_wh / self.car.battery_wh, 1.0) if self.car.battery_wh else 1.0

    @property
    def target_w(self) -> float:
        """What the car heads for or has settled at, its battery aside."""
        return self._to_w

    @property
    def full(self) -> bool:
        return self.stored_wh >= self.car.battery_wh

    def follow(self, limit: Limit | None, *, now_s: float, at_once: bool = False) -> None:
        """Head for what `limit` allows: after the car's lag, over its ramp, or at once."""
        self.advance(now_s)
        target_w = steady_power_w(self.outlet, self.car, limit)
        if target_w == self._to_w:
            return
        present_w = self._ramped_w(now_s)
        # A car already about to move does not start waiting anew with every further limit.
        waiting = now_s < self._ramp_starts_s
        starts_s = self._ramp_starts_s if waiting else now_s + self.car.lag_s
        self._from_w, self._to_w = present_w, target_w
        self._ramp_starts_s = now_s if at_once else starts_s
        self._ramp_ends_s = now_s if at_once else starts_s + self.car.ramp_s

    def stop(self, *, now_s: float) -> None:
        """The car is gone."""
        self.advance(now_s)
        self._from_w = self._to_w = 0.0
        self._ramp_starts_s = self._ramp_ends_s = now_s

    def power_w(self, at_s: float) -> float:
        """True power at a moment not before the last `advance`."""
        battery_w = battery_power_w(self.outlet, self.car, self.stored_wh)
        power_w = min(self._ramped_w(at_s), battery_w)
        return power_w if power_w >= floor_power_w(self.outlet, self.car) - 1e-6 else 0.0

    def advance(self, now_s: float) -> None:
        """Add up energy until `now_s`; a moment in the past changes nothing."""
        while self.at_s < now_s:
            edges = (self._ramp_starts_s, self._ramp_ends_s, self.at_s + STEP_S, now_s)
            self._take_until(min(edge for edge in edges if edge > self.at_s))

    def _take_until(self, until_s: float) -> None:
        mean_w = (self.power_w(self.at_s) + self.power_w(until_s)) / 2
        taken_s = until_s - self.at_s
        room_wh = self.car.battery_wh - self.stored_wh
        energy_wh = min(mean_w * taken_s / 3600, room_wh)
        if mean_w > 0:
            self.drawing_s += taken_s
        self.energy_wh += energy_wh
        full = round(room_wh - energy_wh, KEPT_DIGITS) <= 0
        self.stored_wh = self.car.battery_wh if full else self.stored_wh + energy_wh
        self.at_s = until_s

    def _ramped_w(self, at_s: float) -> float:
        if at_s >= self._ramp_ends_s:
            return self._to_w
        if at_s <= self._ramp_starts_s:
            return self._from_w
        share = (at_s - self._ramp_starts_s) / (self._ramp_ends_s - self._ramp_starts_s)
        return self._from_w + (self._to_w - self._from_w) * share


AC_CARS = (  # phases, amperes per phase, how common: 3.7, 7.4, 11 and 22 kW at 230 V
    (1, 16.0, 10),
    (1, 32.0, 25),
    (3, 16.0, 50),
    (3, 32.0, 15),
)


def any_car(rng: random.Random, outlet: Outlet) -> Car:
    """A car that may stand at this outlet, as varied as those on the road."""
    battery_wh = rng.uniform(38_000, 92_000)
    lag_s = min(rng.lognormvariate(math.log(LAG_MEDIAN_S), LAG_SIGMA), LAG_MAX_S)
    ramp_s = rng.uniform(2.0, 5.0)
    if outlet.direct:
        power_w = rng.uniform(50_000, 150_000)
        return Car(1, power_w / outlet.voltage_v, power_w, battery_wh, lag_s, ramp_s)
    weights = [weight for _, _, weight in AC_CARS]
    phases, current_a, _ = rng.choices(AC_CARS, weights)[0]
    power_w = phases * current_a * outlet.voltage_v
    return Car(phases, current_a, power_w, battery_wh, lag_s, ramp_s)


def constant_car(outlet: Outlet, *, power_w: float, battery_wh: float) -> Car:
    """A car that takes a given power from the first second until its battery is full."""
    current_a = power_w / (outlet.phases * outlet.voltage_v)
    return Car(outlet.phases, current_a, power_w, battery_wh, tapers=False)
