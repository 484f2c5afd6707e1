"""Baselines of a site from its earlier days, or from the hours around the event. Pure.

The sources speak of hours; here the load is in quarters of an hour, and every quarter of the
event gets the mean of the same quarter, by the site's clock, of the days that are used. What is
after midnight is held against the nights that follow these days. A day is used whole or not at
all: one with an event, a gap, or a quarter that its clock skips is left out and named, and when too
few are left there is no baseline. Days are of two kinds: working days, and weekends with the
holidays of the programme's calendar. A holiday that would else be a working day is named as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from dr_events.evidence.baselines import CAISO_10_IN_10, PJM_HIGH_4_OF_5, PJM_SAME_DAY_3_2
from dr_events.evidence.instants import (
    HOUR_S,
    around_clock,
    day_of,
    floor_to,
    hour_from,
    hour_to,
    same_clock,
)

QUARTER_S = 900.0
LOOK_BACK_DAYS = 45
ADJUSTED_FROM_S, ADJUSTED_TO_S = 4 * HOUR_S, HOUR_S
# From four hours before the event's first hour to three after its last.
SEEN_BEFORE_S, SEEN_AFTER_S = 4 * HOUR_S, 3 * HOUR_S
LOW_USAGE_SHARE = 0.25
LEAST_RATIO, MOST_RATIO = 0.8, 1.2


@dataclass(frozen=True, slots=True)
class Quarter:
    """A site's mean load in a quarter of an hour, W; None for a gap. `held`: an event was on."""

    load_w: float | None
    held: bool = False


History = Mapping[float, Quarter]


@dataclass(frozen=True, slots=True)
class Occasion:
    """An event at a site: its period, the site's clock, and the programme's holidays."""

    start_s: float
    end_s: float
    zone: ZoneInfo
    holidays: frozenset[date] = frozenset()

    @property
    def quarters(self) -> list[float]:
        """The starts of all quarters that the event touches."""
        return list(_steps(floor_to(self.start_s, QUARTER_S), self.end_s))

    @property
    def adjusting(self) -> list[float]:
        """Those from four hours to one hour before it."""
        begins_s = floor_to(self.start_s, QUARTER_S)
        return list(_steps(begins_s - ADJUSTED_FROM_S, begins_s - ADJUSTED_TO_S))

    @property
    def first_hour_s(self) -> float:
        return hour_from(self.start_s, self.zone)

    @property
    def after_last_hour_s(self) -> float:
        return hour_to(self.end_s, self.zone)

    @property
    def day(self) -> date:
        return day_of(self.start_s, self.zone)

    def on(self, day: date, at_s: float) -> float | None:
        """The instant that is to another day what `at_s` is to the event's: by the clock, and as
        many days after or before it. None where the clock skips it."""
        return same_clock(at_s, day + self._away(at_s), self.zone)

    def around(self, day: date, at_s: float) -> tuple[float, float]:
        """The same, but the first and the last instant that it can be taken for."""
        return around_clock(at_s, day + self._away(at_s), self.zone)

    def _away(self, at_s: float) -> timedelta:
        return day_of(at_s, self.zone) - self.day

    def is_off(self, day: date) -> bool:
        """Whether it is no working day."""
        return _is_weekend(day) or day in self.holidays


@dataclass(frozen=True, slots=True)
class SiteBaseline:
    """The baseline of each quarter of the event, W, or why there is none. `adjustment` is a
    factor (CAISO) or so many watts (PJM). `days_short`: how many days the method is short of."""

    load_w: tuple[float, ...] | None
    problem: str = ""
    adjustment: float | None = None
    used: tuple[date, ...] = ()
    excluded: tuple[tuple[date, str], ...] = ()
    days_short: int = 0


@dataclass(frozen=True, slots=True)
class _Day:
    """A day that may be used: its loads in the event's quarters and in those before it, W."""

    day: date
    event_w: tuple[float, ...]
    before_w: tuple[float, ...]

    @property
    def mean_w(self) -> float:
        return _mean(self.event_w)


def caiso_10_in_10(history: History, occasion: Occasion) -> SiteBaseline:
    """CAISO's ten-in-ten (Tariff 4.13.4): the mean of the 10 most recent days of the same kind
    (business days; 4 on weekends and holidays) within 45 days, without event days and outages; at
    least 5 (4). Multiplied by the load of the event day over the baseline's in the hours from the
    fourth to the second before the event, no less than 0.8 and no more than 1.2."""
    is_off = occasion.is_off(occasion.day)
    wanted, least = (4, 4) if is_off else (10, 5)
    days, excluded = _days(history, occasion, wanted)
    short = wanted - len(days)
    found = SiteBaseline(None, "too_few_days", None, _dates(days), excluded, short)
    if len(days) < least:
        return found
    actual_w, mean_before_w = _adjusting(history, occasion), _mean(_over(days, _before))
    if isinstance(actual_w, str):
        return _without(found, actual_w)
    if not mean_before_w:
        return _without(found, "no_load_to_adjust_by")
    ratio = min(MOST_RATIO, max(LEAST_RATIO, _mean(actual_w) / mean_before_w))
    load_w = tuple(watts * ratio for watts in _over(days, _event))
    return SiteBaseline(load_w, "", ratio, _dates(days), excluded, short)


def pjm_high_4_of_5(history: History, occasion: Occasion) -> SiteBaseline:
    """PJM's high 4 of 5 (Manual 11, 10.4.2): of the 5 most recent days of the same kind within 45
    days (3 on weekends and holidays), without event days and without days whose load in the
    event's hours is below a quarter of the mean, the 4 (2) with the highest load in these hours.
    The symmetric additive adjustment adds the difference of the event day to it from 4 hours to 1
    hour before the event, up or down. A load is never below zero."""
    is_off = occasion.is_off(occasion.day)
    wanted, kept = (3, 2) if is_off else (5, 4)
    candidates, excluded = _days(history, occasion, LOOK_BACK_DAYS)
    days, low = _without_low_usage(candidates, wanted)
    low_days = [(one.day, "low_usage") for one in low]
    excluded = tuple(sorted([*_on_the_way(excluded, days, wanted), *low_days], reverse=True))
    high = sorted(days, key=lambda one: (-one.mean_w, one.day))[:kept]
    short = wanted - len(days)
    found = SiteBaseline(None, "too_few_days", None, _dates(high), excluded, short)
    if len(high) < kept:
        return found
    actual_w = _adjusting(history, occasion)
    if isinstance(actual_w, str):
        return _without(found, actual_w)
    added_w = _mean(actual_w) - _mean(_over(high, _before))
    load_w = tuple(max(0.0, watts + added_w) for watts in _over(high, _event))
    return SiteBaseline(load_w, "", added_w, _dates(high), excluded, short)


def pjm_same_day_3_2(history: History, occasion: Occasion) -> SiteBaseline:
    """PJM's same day 3 + 2 (Manual 11, 10.4.2): the mean of three hours before the event and two
    after, skipping one hour on either side. For an event in hours ending 13 to 17 these are the
    hours ending 9 to 11 and 19 to 20."""
    first_s, after_s = occasion.first_hour_s, occasion.after_last_hour_s
    around = [
        *_steps(first_s - 4 * HOUR_S, first_s - HOUR_S),
        *_steps(after_s + HOUR_S, after_s + 3 * HOUR_S),
    ]
    if _is_held(history, around):
        return SiteBaseline(None, "event_around_it")
    load_w = _loads(history, around)
    if load_w is None:
        return SiteBaseline(None, "not_metered_around")
    return SiteBaseline((_mean(load_w),) * len(occasion.quarters), used=(occasion.day,))


SITE_METHODS: dict[str, Callable[[History, Occasion], SiteBaseline]] = {
    CAISO_10_IN_10.id: caiso_10_in_10,
    PJM_HIGH_4_OF_5.id: pjm_high_4_of_5,
    PJM_SAME_DAY_3_2.id: pjm_same_day_3_2,
}


def days_before(occasion: Occasion) -> Iterator[date]:
    """The days that may serve, the latest first: of the same kind, within 45 days."""
    return (day for day, why_not in _back_from(occasion) if not why_not)


def _back_from(occasion: Occasion) -> Iterator[tuple[date, str]]:
    """Days of the same kind, and the holidays among what else would be working days."""
    is_off = occasion.is_off(occasion.day)
    for back in range(1, LOOK_BACK_DAYS + 1):
        earlier = occasion.day - timedelta(days=back)
        if occasion.is_off(earlier) == is_off:
            yield earlier, ""
        elif not is_off and not _is_weekend(earlier):
            yield earlier, "holiday"


def seen_on(day: date, occasion: Occasion) -> tuple[float, float]:
    """What of a day's load is looked at: between two times of its clock, however many hours there
    are between them on that day."""
    first_s, _ = occasion.around(day, occasion.first_hour_s - SEEN_BEFORE_S)
    _, end_s = occasion.around(day, occasion.after_last_hour_s + SEEN_AFTER_S)
    return first_s, end_s


def _days(
    history: History, occasion: Occasion, most: int
) -> tuple[list[_Day], tuple[tuple[date, str], ...]]:
    """Up to `most` days that can be used, the latest first, and those left out on the way."""
    used: list[_Day] = []
    excluded: list[tuple[date, str]] = []
    for day, why_not in _back_from(occasion):
        if len(used) == most:
            break
        found = why_not or _day(history, occasion, day)
        if isinstance(found, _Day):
            used.append(found)
        else:
            excluded.append((day, found))
    return used, tuple(excluded)


def _day(history: History, occasion: Occasion, day: date) -> _Day | str:
    """The day's loads, or why it cannot be used. The day before a long event runs into it."""
    quarters = (*occasion.adjusting, *occasion.quarters)
    found_at = [at_s for one in quarters if (at_s := occasion.on(day, one)) is not None]
    if len(found_at) < len(quarters):
        return "clock_skips_it"
    found = [history.get(at_s) for at_s in found_at]
    if max(found_at) >= occasion.quarters[0] or any(one and one.held for one in found):
        return "event"
    loads_w = [quarter.load_w for quarter in found if quarter and quarter.load_w is not None]
    if len(loads_w) < len(quarters):
        return "outage"
    before = len(occasion.adjusting)
    return _Day(day, tuple(loads_w[before:]), tuple(loads_w[:before]))


def _without_low_usage(candidates: Sequence[_Day], wanted: int) -> tuple[list[_Day], list[_Day]]:
    """The latest `wanted` of which none is below a quarter of their mean; and those that were."""
    rest, low = list(candidates), list[_Day]()
    while True:
        days = rest[:wanted]
        floor_w = LOW_USAGE_SHARE * _mean([one.mean_w for one in days]) if days else 0.0
        below = [one for one in days if one.mean_w < floor_w]
        if not below:
            return days, low
        low += below
        rest = [one for one in rest if one not in below]


def _on_the_way(
    excluded: tuple[tuple[date, str], ...], days: Sequence[_Day], wanted: int
) -> list[tuple[date, str]]:
    """Those left out before there were enough."""
    enough = len(days) == wanted
    return [(day, why) for day, why in excluded if not enough or day > days[-1].day]


def _without(found: SiteBaseline, problem: str) -> SiteBaseline:
    return SiteBaseline(None, problem, None, found.used, found.excluded, found.days_short)


def _event(day: _Day) -> tuple[float, ...]:
    return day.event_w


def _before(day: _Day) -> tuple[float, ...]:
    return day.before_w


def _over(days: Sequence[_Day], part: Callable[[_Day], tuple[float, ...]]) -> list[float]:
    """The mean over the days of each quarter."""
    return [_mean(values) for values in zip(*(part(day) for day in days), strict=True)]


def _adjusting(history: History, occasion: Occasion) -> list[float] | str:
    """The loads that a baseline is adjusted by, or why it cannot be: what another event held says
    nothing of what would have been drawn."""
    if _is_held(history, occasion.adjusting):
        return "event_before_it"
    return _loads(history, occasion.adjusting) or "not_metered_before"


def _is_held(history: History, quarters: Sequence[float]) -> bool:
    return any(found.held for at_s in quarters if (found := history.get(at_s)))


def _loads(history: History, quarters: Sequence[float]) -> list[float] | None:
    """The loads of these quarters; None where one is a gap."""
    found = [quarter.load_w for at_s in quarters if (quarter := history.get(at_s))]
    loads_w = [load_w for load_w in found if load_w is not None]
    return loads_w if len(loads_w) == len(quarters) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _dates(days: Sequence[_Day]) -> tuple[date, ...]:
    return tuple(one.day for one in days)


def _is_weekend(day: date) -> bool:
    return day.weekday() >= 5


def _steps(from_s: float, to_s: float) -> Iterator[float]:
    while from_s < to_s:
        yield from_s
        from_s += QUARTER_S
