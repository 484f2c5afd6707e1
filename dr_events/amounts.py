"""How much an event orders: so much for each session, a share of its draw, or a cap for several.
Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chargers.electricity import Limit, Unit, plain_number


class Kind(StrEnum):
    """What the value of an amount is of."""

    PER_SESSION = "per_session"
    PERCENT = "percent"
    PER_SITE = "per_site"
    PER_EVENT = "per_event"
    RELIEF = "relief"

    @property
    def is_shared(self) -> bool:
        """Whether it is a cap that sessions share."""
        return self in (Kind.PER_SITE, Kind.PER_EVENT, Kind.RELIEF)


@dataclass(frozen=True, slots=True)
class Amount:
    """`value` is watts (`power`), amperes per phase (`current`) or, of the kind percent, a
    percentage; `unit` then is that of the limits it turns into."""

    kind: Kind
    unit: Unit
    value: float

    @property
    def limit(self) -> Limit:
        """As a limit; of a percentage there is none before it is known of what."""
        return Limit(self.unit, self.value)

    @property
    def is_pause(self) -> bool:
        """Whether all charging stops. Giving up nothing stops nothing."""
        return self.value == 0 and self.kind is not Kind.RELIEF

    def as_json(self) -> dict[str, str | float | int]:
        return {
            "kind": str(self.kind),
            "unit": str(self.unit),
            "value": plain_number(self.value),
        }
