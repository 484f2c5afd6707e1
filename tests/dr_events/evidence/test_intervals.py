"""From readings to intervals: what was metered is all counted, and nothing else is."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_events.evidence import instants
from dr_events.evidence.intervals import (
    MAX_GAP_S,
    Curve,
    Quality,
    Reading,
    ReadingType,
    curve_of,
    cuts_between,
    energy_wh,
    intervals_of,
)
from dr_events.evidence.ordered import Wanted, ordered_in

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def every(seconds, *powers_w, from_s=0.0):
    return [Reading(from_s + index * seconds, watts) for index, watts in enumerate(powers_w)]


def cut(readings, *edges):
    return list(intervals_of(curve_of(readings), edges))


def test_a_constant_power_gives_its_energy_and_itself():
    (interval,) = cut(every(30, *[6000.0] * 11), 0, 300)

    assert interval.energy_wh == pytest.approx(500)
    assert interval.power_w == pytest.approx(6000)
    assert interval.completeness_percent == 100
    assert (interval.quality, interval.reading_type) == (Quality.OK, ReadingType.DIRECT)


def test_between_two_readings_the_power_runs_in_a_straight_line():
    first, second = cut([Reading(0, 0.0), Reading(100, 3600.0)], 0, 50, 100)

    assert (first.energy_wh, second.energy_wh) == pytest.approx((12.5, 37.5))


def test_a_silence_longer_than_the_longest_gap_is_neither_energy_nor_zero():
    readings = [*every(30, *[6000.0] * 11), *every(30, *[6000.0] * 11, from_s=600)]

    before, gap, after = cut(readings, 0, 300, 600, 900)

    assert (gap.energy_wh, gap.power_w, gap.quality) == (None, None, Quality.MISSING)
    assert gap.completeness_percent == 0
    assert before.energy_wh == after.energy_wh == pytest.approx(500)


def test_an_interval_that_is_half_metered_says_so_and_counts_what_there_is():
    (interval,) = cut(every(30, *[6000.0] * 6), 0, 300)

    assert interval.completeness_percent == 50
    assert interval.quality is Quality.MISSING
    assert (interval.energy_wh, interval.power_w) == pytest.approx((250, 6000))


def test_watts_worked_out_from_amperes_are_estimated():
    amperes = [Reading(at_s, None, 16.0, 690.0) for at_s in (0, 100)]

    (interval,) = cut(amperes, 0, 100)

    assert interval.power_w == pytest.approx(11_040)
    assert interval.reading_type is ReadingType.ESTIMATED


def test_a_reading_that_tells_neither_power_nor_current_is_as_if_it_had_not_come():
    assert curve_of([Reading(0, 5.0), Reading(60, None), Reading(120, 5.0)]) == curve_of(
        [Reading(0, 5.0), Reading(120, 5.0)]
    )


@pytest.mark.parametrize("power_w", [-1.0, float("nan"), float("inf")])
def test_a_reading_no_meter_can_mean_makes_its_interval_bad(power_w):
    readings = [Reading(0, 5.0), Reading(60, power_w), Reading(120, 5.0)]

    bad, ok = cut(readings, 0, 100, 120)

    assert (bad.quality, ok.quality) == (Quality.BAD, Quality.OK)
    assert bad.power_w == 5.0


readings_in_order = st.lists(
    st.tuples(st.floats(0.5, 400), st.one_of(st.none(), st.floats(0, 22_000))), max_size=40
).map(
    lambda steps: [
        Reading(sum(step for step, _ in steps[: index + 1]), watts)
        for index, (_, watts) in enumerate(steps)
    ]
)


@given(readings_in_order, st.sampled_from([60.0, 300.0, 900.0]))
def test_the_energy_of_the_intervals_is_that_of_the_curve_however_it_is_cut(readings, step_s):
    curve, end_s = curve_of(readings), 20_000.0
    intervals = list(intervals_of(curve, cuts_between(0, end_s, step_s=step_s)))

    metered = [interval.energy_wh for interval in intervals if interval.energy_wh is not None]

    integral = sum((p.from_w + p.to_w) / 2 * (p.to_s - p.from_s) / 3600 for p in curve.pieces)
    assert sum(metered) == pytest.approx(integral)
    assert sum(metered) == pytest.approx(energy_wh(curve, 0, end_s) or 0.0)


@given(readings_in_order)
def test_a_gap_never_becomes_a_zero(readings):
    curve = curve_of(readings)
    told = [reading for reading in readings if reading.power_w is not None]
    close = [(a, b) for a, b in pairwise(told) if b.at_s - a.at_s <= MAX_GAP_S]

    for interval in intervals_of(curve, cuts_between(0, 20_000, step_s=300)):
        overlaps = any(a.at_s < interval.end_s and b.at_s > interval.start_s for a, b in close)
        assert (interval.energy_wh is not None) == overlaps
        assert (interval.power_w is None) == (interval.covered_s == 0)


def test_edges_lie_on_the_grid_and_where_the_event_began_and_ended():
    assert cuts_between(1000, 1700, step_s=300, also=(1250, 99)) == [
        1000, 1200, 1250, 1500, 1700,
    ]  # fmt: skip
    assert cuts_between(1000, 1000, step_s=300) == []
    assert list(intervals_of(Curve(()), [])) == []


@pytest.mark.parametrize(
    ("day", "zone", "count", "at_the_change"),
    [
        (date(2026, 3, 28), BERLIN, 24, ["01", "02", "03"]),
        (date(2026, 3, 29), BERLIN, 23, ["01", "03", "04"]),  # 02 is missing
        (date(2026, 10, 25), BERLIN, 25, ["01", "02", "02X"]),  # 02 comes twice
        (date(2026, 3, 8), NEW_YORK, 23, ["01", "03", "04"]),
        (date(2026, 11, 1), NEW_YORK, 25, ["01", "01X", "02"]),
    ],
)
def test_a_local_day_has_the_hours_its_clock_shows(day, zone, count, at_the_change):
    start_s, end_s = (instants.start_of_day(each, zone) for each in (day, day + instants.DAY))
    labels = [instants.hour_label(at_s, zone) for at_s in range(int(start_s), int(end_s), 3600)]

    assert len(labels) == count
    assert labels[1:4] == at_the_change


@pytest.mark.parametrize(
    ("clock", "day", "found"),
    [
        ("2026-07-01T18:00", date(2026, 6, 30), "2026-06-30T18:00+02:00"),
        ("2026-04-10T18:00", date(2026, 3, 20), "2026-03-20T18:00+01:00"),  # winter's 18:00
        ("2026-04-10T02:30", date(2026, 3, 29), None),  # skipped
        ("2026-11-10T02:30", date(2026, 10, 25), "2026-10-25T02:30+02:00"),  # the first of two
    ],
)
def test_the_same_time_by_the_clock_of_another_day(clock, day, found):
    at_s = instants.seconds_of(datetime.fromisoformat(clock).replace(tzinfo=BERLIN))

    same_s = instants.same_clock(at_s, day, BERLIN)

    wanted = found and instants.seconds_of(datetime.fromisoformat(found))
    assert same_s == wanted


@pytest.mark.parametrize(
    ("clock", "day", "first", "last"),
    [
        ("2026-04-10T18:00", "2026-03-20", "18:00+01:00", "18:00+01:00"),
        ("2026-04-10T02:30", "2026-03-29", "01:30+01:00", "03:30+02:00"),  # skipped
        ("2026-11-10T02:30", "2026-10-25", "02:30+02:00", "02:30+01:00"),  # there are two
    ],
)
def test_the_first_and_the_last_instant_that_a_time_of_another_day_can_be(clock, day, first, last):
    at_s = instants.seconds_of(datetime.fromisoformat(clock).replace(tzinfo=BERLIN))

    found = instants.around_clock(at_s, date.fromisoformat(day), BERLIN)

    assert found == tuple(
        datetime.fromisoformat(f"{day}T{shown}").timestamp() for shown in (first, last)
    )


def test_intervals_of_the_doubled_hour_are_all_there_and_told_apart():
    start = instants.start_of_day(date(2026, 10, 25), BERLIN)
    edges = cuts_between(start, start + 4 * 3600, step_s=900)

    labels = [instants.hour_label(at_s, BERLIN) for at_s in edges[:-1]]

    assert labels == ["00"] * 4 + ["01"] * 4 + ["02"] * 4 + ["02X"] * 4


def test_what_was_ordered_is_the_mean_over_the_interval():
    wanted = [Wanted(100, 4000.0), Wanted(200, 2000.0), Wanted(250, None)]

    ordered = ordered_in(wanted, 0, 400, baseline_w=10_000)

    assert (ordered.limited_s, ordered.limit_w) == pytest.approx((150, 10_000 / 3))
    assert ordered.reduction_w == pytest.approx((100 * 6000 + 50 * 8000) / 400)
    assert ordered_in(wanted, 260, 300, baseline_w=5.0).reduction_w == 0
    assert ordered_in(wanted, 0, 50, baseline_w=None).limit_w is None


def test_time_and_seconds_are_each_others_inverse_to_the_microsecond():
    at = datetime(2026, 7, 1, 18, 0, 0, 123457, tzinfo=ZoneInfo("UTC"))

    assert instants.time_of(instants.seconds_of(at)) == at
    assert instants.zone_of("Nowhere/Land").key == "UTC"
    assert instants.floor_to(instants.seconds_of(at), 300) == instants.seconds_of(
        at - timedelta(microseconds=123457)
    )
