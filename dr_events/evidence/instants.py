"""Instants as seconds since 1970 (UTC, floats that hold microseconds), and the grid of intervals
on a local day."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOUR_S = 3600.0
DAY = timedelta(days=1)


def seconds_of(at: datetime) -> float:
    """The instant as seconds since 1970."""
    return at.timestamp()


def time_of(at_s: float) -> datetime:
    """The instant in UTC, to the microsecond."""
    return datetime.fromtimestamp(at_s, UTC)


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def floor_to(at_s: float, step_s: float) -> float:
    """The last edge of the grid at or before the instant. 5 and 15 minutes divide every UTC
    offset in use, so the grid in UTC is the grid of every site's clock."""
    return math.floor(at_s / step_s) * step_s


def hour_from(at_s: float, zone: ZoneInfo) -> float:
    """The full hour of the site's clock at or before the instant."""
    ahead_s = _ahead_s(at_s, zone)
    return floor_to(at_s + ahead_s, HOUR_S) - ahead_s


def hour_to(at_s: float, zone: ZoneInfo) -> float:
    """The full hour of the site's clock at or after the instant."""
    ahead_s = _ahead_s(at_s, zone)
    return math.ceil((at_s + ahead_s) / HOUR_S) * HOUR_S - ahead_s


def _ahead_s(at_s: float, zone: ZoneInfo) -> float:
    """How far the clock is ahead of UTC. It need not be whole hours: 5 h 30 min in India."""
    ahead = time_of(at_s).astimezone(zone).utcoffset()
    return ahead.total_seconds() if ahead else 0.0


def hour_label(at_s: float, zone: ZoneInfo) -> str:
    """The local hour of an instant, 00 to 23. The second of two equal hours, on the day the clock
    is set back, is marked X: `01`, `01X`, `02` (as in ISO New England's settlement reports)."""
    local = time_of(at_s).astimezone(zone)
    return f"{local:%H}{'X' if local.fold else ''}"


def day_of(at_s: float, zone: ZoneInfo) -> date:
    """The local day of an instant."""
    return time_of(at_s).astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> float:
    """Local midnight."""
    return seconds_of(datetime(day.year, day.month, day.day, tzinfo=zone))


def same_clock(at_s: float, day: date, zone: ZoneInfo) -> float | None:
    """The instant at which the clock on another day shows what it shows at `at_s`. None where
    that day's clock skips it; the first of the two where it shows it twice."""
    local = time_of(at_s).astimezone(zone)
    wanted = datetime.combine(day, local.time().replace(fold=0), zone)
    found_s = seconds_of(wanted)
    shown = time_of(found_s).astimezone(zone)
    return found_s if shown.replace(tzinfo=None) == wanted.replace(tzinfo=None) else None


def around_clock(at_s: float, day: date, zone: ZoneInfo) -> tuple[float, float]:
    """The first and the last instant at which the clock on another day shows what it shows at
    `at_s`: one and the same, unless the clock is changed then. Where that day's clock skips it, the
    one is before the change and the other is not."""
    shown = time_of(at_s).astimezone(zone).time()
    both = [seconds_of(datetime.combine(day, shown.replace(fold=fold), zone)) for fold in (0, 1)]
    return min(both), max(both)
