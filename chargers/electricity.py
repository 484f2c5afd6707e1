"""Limits and the arithmetic between watts and amperes. Pure; knows no models.

Amperes are per phase, so W = A × V × phases of the connector (OCPP 1.6, 7.12
ChargingSchedulePeriod: "the current is given per phase").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

# IEC 61851-1: the control pilot cannot signal an AC current between 0 and 6 A.
MINIMUM_AC_CURRENT_A = 6.0
DEFAULT_VOLTAGE_V = 230.0
# Above the greatest current of any AC connector (IEC 62196-2 Type 2: 63 A, SAE J1772: 80 A) and of
# CCS (IEC 62196-3: 500 A): stands for "everything" where a connector's own maximum is unknown.
ANY_AC_CURRENT_A = 80.0
ANY_DC_CURRENT_A = 500.0
# Above what any DC connector is charged at (CCS, IEC 61851-23: up to 1,000 V).
ANY_DC_VOLTAGE_V = 1000.0
# Far below a tenth of an ampere or a watt, far above what floats lose.
ROUNDING = 1e-6


class Unit(StrEnum):
    """eDRV's own words: `power` is watts, `current` amperes per phase."""

    POWER = "power"
    CURRENT = "current"

    @property
    def other(self) -> Unit:
        return Unit.CURRENT if self is Unit.POWER else Unit.POWER


class BelowMinimum(StrEnum):
    """What becomes of a limit that the pilot cannot signal (above 0, below 6 A)."""

    PAUSE = "pause"
    MINIMUM = "minimum"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `value` watts (`power`) or amperes per phase (`current`). Zero is a pause."""

    unit: Unit
    value: float

    def __post_init__(self) -> None:
        # PostgreSQL's arrays take no int among floats.
        object.__setattr__(self, "value", float(self.value))

    @property
    def is_pause(self) -> bool:
        return self.value == 0

    def as_json(self) -> dict[str, str | float | int]:
        return {"unit": str(self.unit), "value": plain_number(self.value)}

    def __str__(self) -> str:
        if self.is_pause:
            return "pause (0)"
        return f"{plain_number(self.value):,} {'W' if self.unit is Unit.POWER else 'A'}"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a connector hangs on: volts per phase, phases in use, its greatest current if that is
    known. `one_phase_current_a`: its greatest current should it turn out to have one phase, where
    the phases are a guess."""

    voltage_v: float = DEFAULT_VOLTAGE_V
    phases: int = 3
    max_current_a: float | None = None
    is_dc: bool = False
    one_phase_current_a: float | None = None

    @property
    def everything(self) -> Limit:
        """A limit that holds nothing back, in amperes: the connector's maximum."""
        beyond_a = ANY_DC_CURRENT_A if self.is_dc else ANY_AC_CURRENT_A
        return Limit(Unit.CURRENT, self.max_current_a or beyond_a)

    def unlimited(self, unit: Unit) -> Limit:
        """What to set where a limit is to end and cannot be cleared: `everything`, erring upwards
        in all that is not known, since too little would be a limit that nobody wants."""
        amperes = max(self.everything.value, self.one_phase_current_a or 0)
        if unit is Unit.CURRENT:
            return Limit(unit, math.ceil(amperes * 10 - ROUNDING) / 10)
        volts = ANY_DC_VOLTAGE_V if self.is_dc else self.voltage_v * self.phases
        return Limit(unit, math.ceil(amperes * volts - ROUNDING))

    def watts(self, limit: Limit) -> float:
        """The limit in watts."""
        if limit.unit is Unit.POWER:
            return limit.value
        return limit.value * self.voltage_v * self.phases

    def amperes(self, limit: Limit) -> float:
        """The limit in amperes per phase."""
        if limit.unit is Unit.CURRENT:
            return limit.value
        return limit.value / (self.voltage_v * self.phases)

    def signalled(self, limit: Limit, below_minimum: BelowMinimum) -> Limit:
        """The limit as the pilot can signal it: an AC limit between 0 and 6 A becomes a pause
        or 6 A. DC has no such floor."""
        if self._can_signal(limit):
            return limit
        if below_minimum is BelowMinimum.PAUSE:
            return Limit(limit.unit, 0)
        floor = Limit(Unit.CURRENT, MINIMUM_AC_CURRENT_A)
        if limit.unit is Unit.CURRENT:
            return floor
        return Limit(Unit.POWER, math.ceil(self.watts(floor) - ROUNDING))

    def in_unit(self, limit: Limit, unit: Unit) -> Limit:
        """The limit as it is sent: whole watts, or tenths of an ampere (OCPP: one decimal)
        up to the connector's maximum. Rounded down: it never allows more than was meant, but
        for the watt that keeps 6 A at 6 A."""
        if unit is Unit.CURRENT:
            amperes = min(self.amperes(limit), self.everything.value)
            return Limit(unit, math.floor(amperes * 10 + ROUNDING) / 10)
        watts = math.floor(self.watts(limit) + ROUNDING)
        if self._can_signal(limit) and not self._can_signal(Limit(unit, watts)):
            watts += 1
        return Limit(unit, watts)

    def _can_signal(self, limit: Limit) -> bool:
        """Whether the pilot can: AC is nothing, or 6 A and more."""
        amperes = self.amperes(limit)
        return self.is_dc or limit.is_pause or amperes >= MINIMUM_AC_CURRENT_A - ROUNDING


def plain_number(value: float) -> float | int:
    """4200.0 → 4200: eDRV's examples and ours show whole numbers without a point."""
    return int(value) if value == int(value) else value
