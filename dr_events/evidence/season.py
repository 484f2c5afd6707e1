"""A programme's season: what each site, each declaring client and the programme as a whole did over
many events. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dr_events.evidence.performance import kwh, percent
from dr_events.evidence.tables import SEASON, Row

# kWh ordered and delivered of one event; None: not known.
Energies = tuple[float | None, float | None]


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
    by_event: list[Energies] = field(default_factory=list)


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
    totals.hours += event.hours
    totals.participations += sum(site.participations for site in sites)
    totals.exceptions += sum(site.exceptions for site in sites)
    totals.opt_outs += opt_outs
    totals.by_event.append(_added((site.ordered_kwh, site.delivered_kwh) for site in sites))


def _row(scope: str, id_: str, found: _Totals) -> Row:
    ordered_kwh, delivered_kwh = map(kwh, _added(found.by_event))
    row: Row = SEASON.row(
        scope=scope,
        id=id_,
        name=found.name,
        events=len(found.by_event),
        events_unmeasured=sum(delivered is None for _, delivered in found.by_event),
        hours=round(found.hours, 4),
        participations=found.participations,
        exceptions=found.exceptions,
        opt_outs=found.opt_outs,
        ordered_kwh=ordered_kwh,
        delivered_kwh=delivered_kwh,
        performance_percent=percent(delivered_kwh, ordered_kwh),
        fatigue_points=_fatigue(found.by_event),
    )
    return row


def _added(energies: Iterable[Energies]) -> Energies:
    """Together, as far as they are known; a gap is no zero."""
    pairs = list(energies)
    return _sum(ordered for ordered, _ in pairs), _sum(delivered for _, delivered in pairs)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _fatigue(by_event: Sequence[Energies]) -> float | None:
    """By how many points performance was lower in the later half of the events than in the
    earlier one; the middle one of an odd number counts in neither."""
    half = len(by_event) // 2
    early, late = by_event[:half], by_event[len(by_event) - half :]
    before, after = _performance(early), _performance(late)
    return None if before is None or after is None else round(before - after, 2)


def _performance(by_event: Sequence[Energies]) -> float | None:
    ordered, delivered = _added(by_event)
    return percent(delivered, ordered)
