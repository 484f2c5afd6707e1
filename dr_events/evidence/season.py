"""A programme's season: what each site, each declaring client and the programme as a whole did over
many events. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dr_events.evidence.performance import percent
from dr_events.evidence.tables import SEASON, Row


@dataclass(frozen=True, slots=True)
class Held:
    """One event of the season: who declared it, how long it was, and its rows of `sites`."""

    client: str
    hours: float
    sites: Sequence[Any]
    opt_outs: dict[str, int]


@dataclass(slots=True)
class _Totals:
    name: str = ""
    hours: float = 0.0
    participations: int = 0
    exceptions: int = 0
    opt_outs: int = 0
    ordered_kwh: float = 0.0
    delivered_kwh: float = 0.0
    by_event: list[tuple[float, float]] = field(default_factory=list)


def season_rows(events: Iterable[Held]) -> Iterator[Row]:
    """Rows of the table `season`, from events in the order they were held in."""
    totals: dict[tuple[str, str], _Totals] = defaultdict(_Totals)
    for event in events:
        for key in (("programme", ""), ("client", event.client)):
            _add(totals[key], event, event.sites, sum(event.opt_outs.values()))
        for site in event.sites:
            found = totals["site", site.site]
            found.name = site.site_name
            _add(found, event, [site], event.opt_outs.get(site.site, 0))
    for (scope, id_), found in sorted(totals.items()):
        yield _row(scope, id_, found)


def _add(totals: _Totals, event: Held, sites: Sequence[Any], opt_outs: int) -> None:
    ordered = sum(site.ordered_kwh or 0.0 for site in sites)
    delivered = sum(site.delivered_kwh or 0.0 for site in sites)
    totals.hours += event.hours
    totals.participations += sum(site.participations for site in sites)
    totals.exceptions += sum(site.exceptions for site in sites)
    totals.opt_outs += opt_outs
    totals.ordered_kwh += ordered
    totals.delivered_kwh += delivered
    totals.by_event.append((ordered, delivered))


def _row(scope: str, id_: str, found: _Totals) -> Row:
    row: Row = SEASON.row(
        scope=scope,
        id=id_,
        name=found.name,
        events=len(found.by_event),
        hours=round(found.hours, 4),
        participations=found.participations,
        exceptions=found.exceptions,
        opt_outs=found.opt_outs,
        ordered_kwh=round(found.ordered_kwh, 6),
        delivered_kwh=round(found.delivered_kwh, 6),
        performance_percent=percent(found.delivered_kwh, found.ordered_kwh),
        fatigue_points=_fatigue(found.by_event),
    )
    return row


def _fatigue(by_event: Sequence[tuple[float, float]]) -> float | None:
    """By how many points performance was lower in the later half of the events than in the
    earlier one; the middle one of an odd number counts in neither."""
    half = len(by_event) // 2
    early, late = by_event[:half], by_event[len(by_event) - half :]
    before, after = _performance(early), _performance(late)
    return None if before is None or after is None else round(before - after, 2)


def _performance(by_event: Sequence[tuple[float, float]]) -> float | None:
    return percent(sum(d for _, d in by_event), sum(o for o, _ in by_event))
