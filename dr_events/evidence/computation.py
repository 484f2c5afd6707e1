"""From raw rows to every figure of the evidence. Pure.

The gateway and the verifier run this same code, one on rows of the database, the other on those
of a package. Participations pass by one at a time, so memory does not grow with their number.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from dr_events.evidence import performance
from dr_events.evidence.baselines import MAXIMUM_BASE_LOAD, METER_BEFORE, METHODS
from dr_events.evidence.instants import floor_to, seconds_of, time_of, zone_of
from dr_events.evidence.intervals import MINIMUM_COMPLETENESS_PERCENT
from dr_events.evidence.outcomes import EXCEPTIONS, LEFT_ALONE, Outcome
from dr_events.evidence.performance import EDITION, EVENT, Cut, Figures, Part, kwh, percent
from dr_events.evidence.site_baselines import (
    QUARTER_S,
    SITE_METHODS,
    Occasion,
    Quarter,
    SiteBaseline,
)
from dr_events.evidence.tables import (
    BASELINES,
    INTERVALS,
    LOAD,
    PERFORMANCE,
    SITES,
    SUMMARY,
    Row,
    Table,
)

Sums = defaultdict[str, float]
# The sweep ends an event at most so long after its time, unless the gateway was down.
SWEPT_WITHIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a computation is made by: the program's interval, methods and holidays, when it was
    made, and the edition of its figures. `started_at` and `ended_at` are the event's, `ends_at` is
    when it was to end. `versions` of methods are said where they may not be today's."""

    interval_minutes: int
    methods: tuple[str, ...]
    settlement_grade: tuple[str, ...]
    as_of: datetime
    started_at: datetime | None
    ended_at: datetime | None
    holidays: tuple[date, ...] = ()
    ends_at: datetime | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    edition: int = EDITION

    @property
    def step_s(self) -> float:
        return self.interval_minutes * 60.0

    def occasion(self, timezone: str) -> Occasion | None:
        """The event at a site with this clock; None before it has started."""
        over_at = self._over_at()
        if self.started_at is None or over_at <= self.started_at:
            return None
        return Occasion(
            seconds_of(self.started_at),
            seconds_of(over_at),
            zone_of(timezone),
            frozenset(self.holidays),
        )

    def _over_at(self) -> datetime:
        """When the event ended, or how far it has come. Of one that ends by itself the moment
        until the sweep is no part: it would begin another quarter, and another hour."""
        ended_at = self.ended_at or self.as_of
        if self.ends_at and self.ends_at <= ended_at <= self.ends_at + SWEPT_WITHIN:
            return self.ends_at
        return ended_at

    def version_of(self, method: str) -> str:
        return self.versions.get(method, METHODS[method].version)

    def grade(self, method: str) -> str:
        good = method in self.settlement_grade
        return "settlement grade" if good else "not settlement grade"


@dataclass(slots=True)
class SiteTotals:
    """Sums over the rows of one site."""

    name: str
    feeder: str
    timezone: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    sums: Sums = field(default_factory=lambda: defaultdict(float))
    missing: int = 0


@dataclass(slots=True)
class LoadTotals:
    """Sums over all participations in one interval, kWh."""

    sessions: int = 0
    missing: int = 0
    sums: Sums = field(default_factory=lambda: defaultdict(float))


SUMMED = (
    "baseline_kwh", "ordered_kwh", "metered_kwh", "delivered_kwh", "deficiency_kwh",
    "over_limit_kwh", "rebound_kwh",
)  # fmt: skip
OF_LOAD = ("baseline_kwh", "ordered_kwh", "delivered_kwh", "deficiency_kwh")


def computed(
    terms: Terms,
    parts: Iterable[Part],
    history_at: Callable[[str, str], Iterable[Any]],
    *,
    intervals: bool = True,
) -> Iterator[tuple[Table, Row]]:
    """Every row of every computed table, with its table. `history_at` gives the rows of
    `site_history` of a site with its time zone; sites are asked for in the order of their ids.
    Without `intervals`, which are most of all rows, their table is left out."""
    computation = Computation(terms)
    for part in parts:
        found = computation.add(part)
        yield PERFORMANCE, found.row
        if intervals:
            yield from _of(INTERVALS, performance.interval_rows(found))
        yield from _of(BASELINES, computation.session_baselines(found))
    for site, timezone in computation.places():
        if not SITE_METHODS.keys().isdisjoint(terms.methods):
            rows = list(history_at(site, timezone))
            yield from _of(BASELINES, computation.site_baselines(site, rows))
    yield from _of(SITES, computation.sites())
    yield from _of(LOAD, computation.load())
    yield from _of(SUMMARY, computation.summary())


def _of(table: Table, rows: Iterable[Row]) -> Iterator[tuple[Table, Row]]:
    return ((table, row) for row in rows)


class Computation:
    """Takes participations one by one, then gives the tables that are sums over them. Sums are
    of the rounded figures of the rows, so that they add up to the last digit."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._as_of_s = seconds_of(terms.as_of)
        self._sites: dict[str, SiteTotals] = {}
        self._load: dict[float, LoadTotals] = {}
        self._outcomes: Counter[Outcome] = Counter()
        self._states: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._sums: Sums = defaultdict(float)
        self._seconds = {"accepted": array("d"), "complied": array("d"), "restored": array("d")}
        self._times = [0.0, 0.0]

    def add(self, part: Part) -> Figures:
        """The figures of one participation."""
        found = performance.figures_of(
            part,
            as_of_s=self._as_of_s,
            step_s=self.terms.step_s,
            edition=self.terms.edition,
        )
        self._count(found)
        self._add_to_site(found)
        for start_s, cuts in groupby(found.cuts, self._grid_start_s):
            self._add_to_load(start_s, list(cuts))
        return found

    def _grid_start_s(self, cut: Cut) -> float:
        """When the interval on the clock starts of which this is all, or a part."""
        return floor_to(cut.interval.start_s, self.terms.step_s)

    def _count(self, found: Figures) -> None:
        row = found.row
        self._outcomes[found.outcome] += 1
        self._states[found.part.row.state] += 1
        self._counts["joined_late"] += found.part.row.joined_late
        self._counts["restored"] += found.part.row.restored_at is not None
        self._counts["intervals"] += row.intervals
        self._counts["intervals_missing"] += row.intervals_missing
        self._counts["intervals_bad"] += row.intervals_bad
        self._counts["without_baseline"] += row.baseline_w is None
        self._times[0] += found.event.covered_s
        self._times[1] += found.event.length_s
        _add_up(self._sums, row, SUMMED)
        for name, seconds in self._seconds.items():
            if (took_s := getattr(row, f"seconds_to_{name}")) is not None:
                seconds.append(took_s)

    def _add_to_site(self, found: Figures) -> None:
        raw = found.part.row
        totals = self._sites.get(raw.site)
        if totals is None:
            totals = SiteTotals(raw.site_name, raw.feeder, raw.site_timezone)
            self._sites[raw.site] = totals
        totals.outcomes[found.outcome] += 1
        totals.missing += found.row.intervals_missing
        _add_up(totals.sums, found.row, SUMMED)

    def _add_to_load(self, start_s: float, cuts: Sequence[Cut]) -> None:
        """The parts of one interval, of one session."""
        totals = self._load.setdefault(start_s, LoadTotals())
        missing = sum(not cut.interval.is_ok for cut in cuts)
        is_first = self.terms.edition < 2
        totals.sessions += len(cuts) if is_first else 1
        totals.missing += missing if is_first else min(missing, 1)
        for cut in cuts:
            if cut.interval.energy_wh is not None:
                totals.sums["energy_wh"] += cut.interval.energy_wh
            if cut.phase == EVENT and cut.counts:
                totals.sums["baseline_kwh"] += cut.kwh(cut.baseline_w)
                totals.sums["ordered_kwh"] += cut.kwh(cut.ordered.reduction_w)
                totals.sums["metered_kwh"] += cut.kwh(cut.interval.power_w)
                totals.sums["delivered_kwh"] += cut.kwh(cut.delivered_w)
                totals.sums["deficiency_kwh"] += cut.kwh(cut.deficiency_w)

    # --- baselines ------------------------------------------------------------------------

    def session_baselines(self, found: Figures) -> Iterator[Row]:
        """Rows of the table `baselines` for one participation."""
        event, counted = found.event, found.counted
        if METER_BEFORE.id in self.terms.methods:
            yield self._baseline_row(
                METER_BEFORE.id,
                "session",
                found.part.row.session,
                baseline_kwh=found.row.baseline_kwh,
                metered_kwh=kwh(counted.baseline_kwh - counted.delivered_kwh) if counted else None,
                delivered_kwh=found.row.delivered_kwh,
                problem=found.row.baseline_problem,
            )
        if MAXIMUM_BASE_LOAD.id in self.terms.methods:
            limit_w = found.base_load.power_w
            allowed = None if limit_w is None else kwh(limit_w * event.covered_s / 3.6e6)
            yield self._baseline_row(
                MAXIMUM_BASE_LOAD.id,
                "session",
                found.part.row.session,
                baseline_kwh=allowed,
                metered_kwh=found.row.metered_kwh,
                delivered_kwh=None if allowed is None else _negative(found.row.over_limit_kwh),
                problem=found.base_load.problem,
            )

    def site_baselines(self, site: str, history_rows: Sequence[Any]) -> Iterator[Row]:
        """Rows of the table `baselines` for one site, from its rows of `site_history`."""
        occasion = self._occasion(site)
        if occasion is None:
            return
        history = history_of(history_rows)
        for method in self.terms.methods:
            if method in SITE_METHODS:
                found = SITE_METHODS[method](history, occasion)
                metered_kwh = _metered_kwh(history_rows, occasion)
                yield self._site_row(method, site, found, metered_kwh, occasion)

    def _occasion(self, site: str) -> Occasion | None:
        totals = self._sites.get(site)
        return self.terms.occasion(totals.timezone) if totals else None

    def _site_row(
        self,
        method: str,
        site: str,
        found: SiteBaseline,
        metered_kwh: float | None,
        occasion: Occasion,
    ) -> Row:
        baseline_kwh = _baseline_kwh(found, occasion)
        known = baseline_kwh is not None and metered_kwh is not None
        gap = "" if known or found.problem else "not_metered_in_the_event"
        return self._baseline_row(
            method,
            "site",
            site,
            baseline_kwh=baseline_kwh,
            metered_kwh=metered_kwh,
            delivered_kwh=kwh(baseline_kwh - metered_kwh) if known else None,  # type: ignore[operator]
            adjustment=None if found.adjustment is None else round(found.adjustment, 6),
            days_used=" ".join(str(day) for day in found.used),
            days_excluded=" ".join(f"{day}:{why}" for day, why in found.excluded),
            days_short=found.days_short,
            problem=found.problem or gap,
        )

    def _baseline_row(self, method: str, scope: str, id_: str, **values: Any) -> Row:
        blank = {"adjustment": None, "days_used": "", "days_excluded": "", "days_short": None}
        row: Row = BASELINES.row(
            scope=scope,
            id=id_,
            method=method,
            version=self.terms.version_of(method),
            grade=self.terms.grade(method),
            **{**blank, **values},
        )
        return row

    def places(self) -> list[tuple[str, str]]:
        """Every site with its time zone, in the order of their ids."""
        return [(site, totals.timezone) for site, totals in sorted(self._sites.items())]

    # --- sums -----------------------------------------------------------------------------

    def sites(self) -> Iterator[Row]:
        """Rows of the table `sites`."""
        for site, totals in sorted(self._sites.items()):
            sums, count = _rounded(totals.sums), totals.outcomes
            yield SITES.row(
                site=site,
                site_name=totals.name,
                feeder=totals.feeder,
                participations=count.total(),
                complied=count[Outcome.COMPLIED],
                exceptions=sum(count[one] for one in EXCEPTIONS),
                left_alone=sum(count[one] for one in LEFT_ALONE),
                ordered_kwh=sums["ordered_kwh"],
                metered_kwh=sums["metered_kwh"],
                delivered_kwh=sums["delivered_kwh"],
                deficiency_kwh=sums["deficiency_kwh"],
                performance_percent=percent(sums["delivered_kwh"], sums["ordered_kwh"]),
                rebound_kwh=sums["rebound_kwh"],
                intervals_missing=totals.missing,
            )

    def load(self) -> Iterator[Row]:
        """Rows of the table `load`."""
        for start_s, totals in sorted(self._load.items()):
            sums, energy_wh = totals.sums, totals.sums.get("energy_wh")
            yield LOAD.row(
                starts_at=time_of(start_s),
                sessions=totals.sessions,
                missing=totals.missing,
                metered_kw=None
                if energy_wh is None
                else round(energy_wh * 3.6 / self.terms.step_s, 3),
                **{name: kwh(sums.get(name)) for name in ("metered_kwh", *OF_LOAD)},
            )

    def summary(self) -> Iterator[Row]:
        """Rows of the table `summary`."""
        for name, value, unit in self._summary():
            yield SUMMARY.row(name, None if value is None else float(value), unit)

    def _summary(self) -> Iterator[tuple[str, float | None, str]]:
        sums, counts = _rounded(self._sums), self._counts
        yield "participations", self._outcomes.total(), ""
        for outcome in Outcome:
            yield str(outcome), self._outcomes[outcome], ""
        for state, count in sorted(self._states.items()):
            yield f"state_{state}", count, ""
        for name in ("joined_late", "restored", "without_baseline"):
            yield name, counts[name], ""
        yield "duration", self._duration_s(), "s"
        for name in SUMMED:
            yield name, sums[name], "kWh"
        yield "ordered_kw", self._mean_kw(sums["ordered_kwh"]), "kW"
        yield "delivered_kw", self._mean_kw(sums["delivered_kwh"]), "kW"
        yield "performance", percent(sums["delivered_kwh"], sums["ordered_kwh"]), "%"
        for name in ("intervals", "intervals_missing", "intervals_bad"):
            yield name, counts[name], ""
        yield "completeness", percent(self._times[0], self._times[1]), "%"
        for name, seconds in self._seconds.items():
            for share in (50, 95):
                yield f"seconds_to_{name}_p{share}", _percentile(seconds, share / 100), "s"

    def _duration_s(self) -> float | None:
        ended_at = self.terms.ended_at or self.terms.as_of
        started_at = self.terms.started_at
        return (ended_at - started_at).total_seconds() if started_at else None

    def _mean_kw(self, energy_kwh: float | None) -> float | None:
        duration_s = self._duration_s()
        if energy_kwh is None or not duration_s:
            return None
        return round(energy_kwh * 3600 / duration_s, 3)


def history_of(rows: Sequence[Any]) -> dict[float, Quarter]:
    """A site's load by quarter, from its rows of `site_history`."""
    return {seconds_of(row.starts_at): Quarter(_load_w(row), row.held) for row in rows}


def _load_w(row: Any) -> float | None:
    """Its mean load, W; None for a gap."""
    if row.completeness_percent < MINIMUM_COMPLETENESS_PERCENT:
        return None
    return float(row.energy_wh * 3600 / (row.ends_at - row.starts_at).total_seconds())


def _baseline_kwh(found: SiteBaseline, occasion: Occasion) -> float | None:
    """Over the event, from the loads of the quarters that it touches."""
    if found.load_w is None:
        return None
    energy_ws = 0.0
    for start_s, load_w in zip(occasion.quarters, found.load_w, strict=True):
        until_s = min(start_s + QUARTER_S, occasion.end_s)
        energy_ws += load_w * (until_s - max(start_s, occasion.start_s))
    return kwh(energy_ws / 3.6e6)


def _metered_kwh(rows: Sequence[Any], occasion: Occasion) -> float | None:
    """Over the event; None where a part of it is a gap."""
    inside = [
        row
        for row in rows
        if seconds_of(row.starts_at) >= occasion.start_s
        and seconds_of(row.ends_at) <= occasion.end_s
    ]
    covered_s = sum((row.ends_at - row.starts_at).total_seconds() for row in inside)
    lasts_s = occasion.end_s - occasion.start_s
    if abs(covered_s - lasts_s) > 1e-3 or any(_load_w(row) is None for row in inside):
        return None
    return kwh(sum(row.energy_wh for row in inside) / 1000)


def _add_up(sums: Sums, row: Any, names: Sequence[str]) -> None:
    for name in names:
        if (value := getattr(row, name)) is not None:
            sums[name] += value


def _rounded(sums: Sums) -> dict[str, float | None]:
    """What nobody had a figure of is missing, not zero."""
    return {name: round(sums[name], 6) if name in sums else None for name in SUMMED}


def _negative(value: float | None) -> float | None:
    return None if value is None else round(-value, 6) + 0.0


def _percentile(values: Sequence[float], share: float) -> float | None:
    """As SQL's percentile_cont: between two values, in proportion."""
    if not values:
        return None
    ordered, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 3)
