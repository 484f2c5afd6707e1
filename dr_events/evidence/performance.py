"""What one participation did: its intervals, its baselines, and the figures over them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from dr_events.evidence import baselines
from dr_events.evidence.baselines import Flat
from dr_events.evidence.instants import hour_label, seconds_of, time_of, zone_of
from dr_events.evidence.intervals import (
    Curve,
    Interval,
    Quality,
    Reading,
    curve_of,
    cuts_between,
    intervals_of,
)
from dr_events.evidence.ordered import Ordered, Wanted, ordered_in, stretches_in
from dr_events.evidence.outcomes import LEFT_ALONE, Outcome, outcome_of
from dr_events.evidence.tables import INTERVALS, PERFORMANCE, Row

# How figures that belong to no baseline's method are found. It moves when one of them would, and a
# package is computed anew by the one it was made by. In 1, which is still computed for packages of
# then, the mean power of a whole interval was held against a limit that held for a part of it, a
# session counted twice in the load of an interval in which it came or went, and of a meter's
# register the first reading was held against the last alone.
EDITION = 2
SHOWN_BEFORE_S = 1800.0
REBOUND_S = 3600.0
BEFORE, EVENT, AFTER = "before", "event", "after"


@dataclass(frozen=True, slots=True)
class Part:
    """A participation with all that is known of it: rows of the raw tables."""

    row: Any
    commands: Sequence[Any]
    attempts: Sequence[Any]
    readings: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Span:
    """When a participation is looked at: from before it, in the event, to after it."""

    from_s: float
    joined_s: float
    released_s: float
    to_s: float

    def phase(self, at_s: float) -> str:
        if at_s < self.joined_s:
            return BEFORE
        return EVENT if at_s < self.released_s else AFTER

    @property
    def event_s(self) -> float:
        return self.released_s - self.joined_s


def span_of(row: Any, *, as_of_s: float) -> Span:
    """In the event from when the session joined until it was released, ended, or `as_of_s`."""
    joined_s = seconds_of(row.joined_at)
    started_s = seconds_of(row.session_started_at) if row.session_started_at else joined_s
    ended_s = seconds_of(row.session_ended_at) if row.session_ended_at else as_of_s
    released_s = seconds_of(row.released_at) if row.released_at else as_of_s
    gone_s = max(joined_s, min(ended_s, as_of_s))
    released_s = max(joined_s, min(released_s, gone_s))
    return Span(
        min(joined_s, max(joined_s - SHOWN_BEFORE_S, started_s)),
        joined_s,
        released_s,
        max(released_s, min(released_s + REBOUND_S, gone_s)),
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """One interval with what was ordered in it, and what was metered above the limit, kWh."""

    interval: Interval
    ordered: Ordered
    phase: str
    baseline_w: float | None
    over_limit_kwh: float

    @property
    def counts(self) -> bool:
        """Whether it is compared with the baseline: enough was metered, and there is one."""
        return self.interval.is_ok and self.baseline_w is not None

    @property
    def delivered_w(self) -> float | None:
        if not self.counts or self.interval.power_w is None or self.baseline_w is None:
            return None
        return self.baseline_w - self.interval.power_w

    @property
    def deficiency_w(self) -> float | None:
        if self.delivered_w is None or self.phase != EVENT or self.ordered.reduction_w is None:
            return None
        return max(0.0, self.ordered.reduction_w - self.delivered_w)

    def kwh(self, power_w: float | None) -> float:
        """A power over the seconds of it that were metered."""
        return _kwh_in(self.interval, power_w)


@dataclass(slots=True)
class Sums:
    """Over the intervals of a phase. Energies in kWh, of intervals that count but for
    `metered_kwh`, which is all that was metered."""

    intervals: int = 0
    missing: int = 0
    bad: int = 0
    counted: int = 0
    length_s: float = 0.0
    covered_s: float = 0.0
    baseline_kwh: float = 0.0
    ordered_kwh: float = 0.0
    metered_kwh: float = 0.0
    delivered_kwh: float = 0.0
    deficiency_kwh: float = 0.0
    over_limit_kwh: float = 0.0

    def add(self, cut: Cut) -> None:
        interval = cut.interval
        self.intervals += 1
        self.missing += interval.quality is Quality.MISSING
        self.bad += interval.quality is Quality.BAD
        self.length_s += interval.length_s
        self.covered_s += interval.covered_s
        self.metered_kwh += (interval.energy_wh or 0.0) / 1000
        self.over_limit_kwh += cut.over_limit_kwh
        if cut.counts:
            self.counted += 1
            self.baseline_kwh += cut.kwh(cut.baseline_w)
            self.ordered_kwh += cut.kwh(cut.ordered.reduction_w)
            self.delivered_kwh += cut.kwh(cut.delivered_w)
            self.deficiency_kwh += cut.kwh(cut.deficiency_w)

    @property
    def completeness_percent(self) -> float | None:
        return round(100 * self.covered_s / self.length_s, 2) if self.length_s else None


def _kwh_in(interval: Interval, power_w: float | None) -> float:
    return (power_w or 0.0) * interval.covered_s / 3.6e6


@dataclass(frozen=True, slots=True)
class Figures:
    """A participation with its figures: rows of the computed tables."""

    part: Part
    outcome: Outcome
    baseline: Flat
    base_load: Flat
    event: Sums
    after: Sums
    cuts: Sequence[Cut]
    row: Any = field(default=None)

    @property
    def counted(self) -> Sums | None:
        """None where nothing can be compared with a baseline."""
        return self.event if self.event.counted else None


def figures_of(part: Part, *, as_of_s: float, step_s: float, edition: int = EDITION) -> Figures:
    """All figures of a participation, at intervals of `step_s`, as known at `as_of_s`."""
    row, span = part.row, span_of(part.row, as_of_s=as_of_s)
    outcome, wanted = outcome_of(row), wanted_of(part)
    curve = curve_of(_readings(part))
    if outcome in LEFT_ALONE:
        baseline = Flat(None, "left_alone")
    else:
        baseline = baselines.meter_before(curve, wanted, joined_s=span.joined_s)
    edges = cuts_between(
        span.from_s, span.to_s, step_s=step_s, also=(span.joined_s, span.released_s)
    )
    cuts = list(_cuts(curve, edges, span, wanted, baseline.power_w, edition))
    base_load = baselines.maximum_base_load(wanted, span.joined_s, span.released_s)
    event, after = _sums(cuts, EVENT), _sums(cuts, AFTER)
    found = Figures(part, outcome, baseline, base_load, event, after, cuts)
    return replace(found, row=_row(found, span, edition))


def wanted_of(part: Part) -> list[Wanted]:
    """What was wanted of the session over time, in W, from its commands."""
    wanted: list[Wanted] = []
    for command in part.commands:
        at_s = seconds_of(command.created_at)
        wanted.append(Wanted(at_s, _limit_w(part.row, command)))
        if command.state == "superseded" and command.settled_at:
            # Superseded by nothing: no limit was wanted, and none could be in force.
            wanted.append(Wanted(max(at_s, seconds_of(command.settled_at)), None))
    return wanted


def _limit_w(row: Any, command: Any) -> float | None:
    if command.kind != "set":
        return None
    if command.unit == "power":
        return float(command.value)
    return float(command.value * row.voltage_v * row.phases)


def _readings(part: Part) -> Iterator[Reading]:
    watts_per_ampere = part.row.voltage_v * part.row.phases
    for reading in part.readings:
        at_s = seconds_of(reading.metered_at)
        yield Reading(at_s, reading.power_w, reading.current_a, watts_per_ampere)


def _cuts(
    curve: Curve,
    edges: Sequence[float],
    span: Span,
    wanted: Sequence[Wanted],
    baseline_w: float | None,
    edition: int,
) -> Iterator[Cut]:
    for interval in intervals_of(curve, edges):
        ordered = ordered_in(wanted, interval.start_s, interval.end_s, baseline_w=baseline_w)
        if edition < 2:
            over_kwh = _kwh_above(interval, ordered.limit_w) * ordered.limited_s / interval.length_s
        else:
            over_kwh = _over_limit_kwh(curve, interval, wanted)
        yield Cut(interval, ordered, span.phase(interval.start_s), baseline_w, over_kwh)


def _over_limit_kwh(curve: Curve, interval: Interval, wanted: Sequence[Wanted]) -> float:
    """Metered above the limit while there was one; cut where it changes, so that what is drawn
    under one limit is not held against another."""
    limits_w: dict[float, float] = {}
    edges: set[float] = set()
    for one in stretches_in(wanted, interval.start_s, interval.end_s):
        limits_w[one.from_s] = one.limit_w
        edges |= {one.from_s, one.to_s}
    is_whole = edges == {interval.start_s, interval.end_s}
    pieces = [interval] if is_whole else intervals_of(curve, sorted(edges))
    return sum(_kwh_above(piece, limits_w.get(piece.start_s)) for piece in pieces)


def _kwh_above(interval: Interval, limit_w: float | None) -> float:
    if limit_w is None or interval.power_w is None:
        return 0.0
    return _kwh_in(interval, max(0.0, interval.power_w - limit_w))


def _sums(cuts: Iterable[Cut], phase: str) -> Sums:
    sums = Sums()
    for cut in cuts:
        if cut.phase == phase:
            sums.add(cut)
    return sums


def _row(found: Figures, span: Span, edition: int) -> Row:
    row, counted, zone = found.part.row, found.counted, zone_of(found.part.row.site_timezone)
    values: Row = PERFORMANCE.row(
        participation=row.participation,
        session=row.session,
        site=row.site,
        outcome=str(found.outcome),
        outcome_reason=row.reason,
        baseline_method=baselines.METER_BEFORE.id,
        baseline_w=watts(found.baseline.power_w),
        baseline_problem=found.baseline.problem or found.baseline.caution,
        event_s=round(span.event_s, 3),
        baseline_kwh=kwh(counted.baseline_kwh) if counted else None,
        ordered_kwh=kwh(counted.ordered_kwh) if counted else None,
        metered_kwh=kwh(found.event.metered_kwh) if found.event.covered_s else None,
        delivered_kwh=kwh(counted.delivered_kwh) if counted else None,
        deficiency_kwh=kwh(counted.deficiency_kwh) if counted else None,
        performance_percent=percent(kwh(counted.delivered_kwh), kwh(counted.ordered_kwh))
        if counted
        else None,
        register_kwh=_register_kwh(found.part, span, edition),
        over_limit_kwh=kwh(found.event.over_limit_kwh) if found.event.covered_s else None,
        completeness_percent=found.event.completeness_percent,
        intervals=found.event.intervals,
        intervals_missing=found.event.missing,
        intervals_bad=found.event.bad,
        rebound_kwh=kwh(-found.after.delivered_kwh) if found.after.counted else None,
        rebound_completeness_percent=found.after.completeness_percent,
        seconds_to_accepted=seconds_between(row.wanted_at, row.accepted_at),
        seconds_to_complied=seconds_between(row.wanted_at, row.complied_at),
        seconds_to_restored=seconds_between(row.released_at, row.restored_at),
        joined_at_local=local(row.joined_at, zone),
        released_at_local=local(row.released_at, zone),
        restored_at_local=local(row.restored_at, zone),
    )
    return values


def _register_kwh(part: Part, span: Span, edition: int) -> float | None:
    """What the meter's own register counted between the first and the last reading in the event.
    Nothing where it ran backwards, as another meter's would, or told nothing twice."""
    told = [
        reading.meter_wh
        for reading in part.readings
        if reading.meter_wh is not None
        and span.joined_s <= seconds_of(reading.metered_at) <= span.released_s
    ]
    steps = pairwise(told) if edition >= 2 else pairwise([*told[:1], *told[-1:]])
    if len(told) < 2 or any(later < earlier for earlier, later in steps):
        return None
    return kwh((told[-1] - told[0]) / 1000)


def interval_rows(found: Figures) -> Iterator[Row]:
    """Rows of the table `intervals`."""
    timezone = found.part.row.site_timezone
    for cut in found.cuts:
        interval = cut.interval
        starts_at, starts_at_local, hour = _clock(interval.start_s, timezone)
        is_event = cut.phase == EVENT
        yield INTERVALS.row(
            participation=found.part.row.participation,
            starts_at=starts_at,
            ends_at=time_of(interval.end_s),
            starts_at_local=starts_at_local,
            hour=hour,
            phase=cut.phase,
            baseline_w=watts(cut.baseline_w),
            limit_w=watts(cut.ordered.limit_w),
            ordered_w=watts(cut.ordered.reduction_w) if is_event else None,
            metered_w=watts(interval.power_w) if interval.is_ok else None,
            delivered_w=watts(cut.delivered_w),
            deficiency_w=watts(cut.deficiency_w),
            energy_wh=None if interval.energy_wh is None else round(interval.energy_wh, 3),
            completeness_percent=round(interval.completeness_percent, 2),
            reading_type=str(interval.reading_type or ""),
            quality=str(interval.quality),
        )


@lru_cache(maxsize=1024)
def _clock(at_s: float, timezone: str) -> tuple[datetime, str, str]:
    """An instant, the same by the site's clock, and its hour. All participations have most edges of
    their intervals in common."""
    at, zone = time_of(at_s), zone_of(timezone)
    return at, local(at, zone), hour_label(at_s, zone)


def local(at: datetime | None, zone: ZoneInfo) -> str:
    """The time by the site's clock, with its offset: 2026-07-01T20:00:00.000+02:00."""
    return at.astimezone(zone).isoformat(timespec="milliseconds") if at else ""


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """None unless both are known, in this order."""
    return round((end - start).total_seconds(), 3) if start and end and end >= start else None


def watts(value: float | None) -> float | None:
    """To the milliwatt."""
    return None if value is None else round(value, 3)


def kwh(value: float | None) -> float | None:
    """To the milliwatt-hour."""
    return None if value is None else round(value, 6)


def percent(part: float | None, whole: float | None) -> float | None:
    """None where there is nothing to take a share of."""
    return None if part is None or not whole else round(100 * part / whole, 2)
