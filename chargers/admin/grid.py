"""The grid as the control room shows it: zones, substations, feeders, each with what it draws now
and a sparkline of the last half hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chargers import load
from chargers.admin.parts import list_url, moment
from chargers.load import Place
from chargers.models import Site
from chargers.wording import kilowatts_text

WIDTH, HEIGHT = 120, 24
LEVELS = ("grid_zone", "substation", "feeder")
# More rows than this and only zones and substations are drawn: feeders are found in the list.
MOST_ROWS = 120


def grid_rows(*, now: datetime) -> dict[str, Any]:
    """For the template: `rows`, the zones with what is under them, and what is in no place."""
    found = load.now_and_before(now=now)
    placed = [place for place in found.places if any(place.path)]
    unplaced = [place for place in found.places if place.path == ("", "", "") and place.cars]
    depth = 3 if len(placed) <= MOST_ROWS else 2
    return {
        "sampled_at": moment(found.at),
        "rows": [_row(place) for place in placed if len(place.path) <= depth and place.path[-1]],
        "unplaced": _row(unplaced[0]) if unplaced else None,
        "are_feeders_hidden": depth < 3,
    }


def _row(place: Place) -> dict[str, Any]:
    depth = len(place.path)
    level = LEVELS[depth - 1] if depth else ""
    return {
        "key": "-".join(str(ord(c)) if not c.isalnum() else c for c in "/".join(place.path)),
        "depth": depth,
        "level": level.replace("_", " "),
        "name": place.path[-1] if depth else "",
        "power": kilowatts_text(place.power_w),
        "cars": place.cars,
        "limited": place.limited,
        "unmetered": place.cars - place.metered,
        "path": sparkline(place.history_w),
        "told": history_text(place.history_w),
        "sites_url": list_url(Site, q=place.path[-1]) if depth else list_url(Site),
    }


def sparkline(values: Sequence[float | None]) -> str:
    """The path of an SVG of WIDTH × HEIGHT. From zero up: half the draw is half the height. After a
    gap the pen is set down anew."""
    known = [value for value in values if value is not None]
    top = max(known, default=0.0) or 1.0
    step = WIDTH / max(1, len(values) - 1)
    drawn, is_down = [], False
    for number, value in enumerate(values):
        if value is None:
            is_down = False
            continue
        y = HEIGHT - 1 - value / top * (HEIGHT - 2)
        drawn.append(f"{'L' if is_down else 'M'}{number * step:.1f} {y:.1f}")
        if not is_down:
            drawn.append("h0.5")
        is_down = True
    return "".join(drawn)


def history_text(values: Sequence[float | None]) -> str:
    """The sparkline for who cannot see it."""
    known = [value for value in values if value is not None]
    if not known:
        return "no readings in the last half hour"
    low, high = kilowatts_text(min(known)), kilowatts_text(max(known))
    return f"in the last half hour between {low} and {high}"
