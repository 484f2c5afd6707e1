"""What a car can really take, from what its meter shows under the limit it has. Pure.

A car that draws all it may could take more, nobody knows how much; one that draws clearly less
than it may (a small on-board charger, a battery nearly full) cannot use the rest. While a new
limit has not had the time to show in a reading, a car that draws less counts as wanting just
what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# Below this share of its limit, and by so many watts, a car does not use it.
USES_ALL = 0.85
USES_ALL_WITHIN_W = 500.0
# What it is left with above its draw, so that it can show that it would take more.
HEADROOM = 1.25
HEADROOM_W = 700.0
# A draw below this is a car that does not charge.
IDLE_W = 100.0


@dataclass(frozen=True, slots=True)
class Metering:
    """The latest reading, and the limit that was in force then: `limit_w` since `limit_at`, or
    None since the session began."""

    power_w: float | None = None
    metered_at: datetime | None = None
    limit_w: float | None = None
    since: datetime | None = None


def ceiling_w(
    metering: Metering,
    *,
    has_w: float,
    least_w: float,
    most_w: float,
    settling: timedelta,
    now: datetime,
) -> float:
    """The most it makes sense to allow, from `least_w` to `most_w`, to a car that `has_w`."""
    if metering.power_w is None or _is_old(metering, settling, now):
        return most_w
    limit_w = metering.limit_w
    if limit_w is not None and _uses_all(metering.power_w, limit_w):
        return most_w
    if not _has_settled(metering, settling):
        return most_w if limit_w is None else min(most_w, max(limit_w, has_w, least_w))
    enough_w = max(metering.power_w * HEADROOM, metering.power_w + HEADROOM_W)
    return min(most_w, max(least_w, enough_w))


def _is_old(metering: Metering, settling: timedelta, now: datetime) -> bool:
    return metering.metered_at is None or now - metering.metered_at > settling * 5


def _has_settled(metering: Metering, settling: timedelta) -> bool:
    assert metering.metered_at is not None
    return metering.since is None or metering.metered_at >= metering.since + settling


def _uses_all(power_w: float, limit_w: float) -> bool:
    return power_w >= limit_w * USES_ALL or limit_w - power_w <= USES_ALL_WITHIN_W
