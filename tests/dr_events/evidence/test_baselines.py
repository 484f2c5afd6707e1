"""Each method by an example worked by hand from its source's definition."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dr_events.evidence.baselines import METHODS, maximum_base_load, meter_before
from dr_events.evidence.instants import seconds_of
from dr_events.evidence.intervals import Reading, curve_of
from dr_events.evidence.ordered import Wanted
from dr_events.evidence.site_baselines import (
    QUARTER_S,
    SITE_METHODS,
    Occasion,
    Quarter,
    caiso_10_in_10,
    days_before,
    pjm_high_4_of_5,
    pjm_same_day_3_2,
    seen_on,
)

UTC_ZONE = ZoneInfo("UTC")
WEDNESDAY = date(2026, 7, 15)
SATURDAY = date(2026, 7, 18)


def clock(day, hour):
    return seconds_of(datetime(day.year, day.month, day.day, tzinfo=UTC)) + hour * 3600


def occasion(day=WEDNESDAY, start=17.0, end=19.0, zone=UTC_ZONE, holidays=()):
    return Occasion(clock(day, start), clock(day, end), zone, frozenset(holidays))


def flat(history, day, watts, *, hours=(0, 24), held=False):
    for index in range(int(hours[0] * 4), int(hours[1] * 4)):
        history[clock(day, 0) + index * QUARTER_S] = Quarter(watts, held)


def weekdays_before(day):
    back = 0
    while True:
        back += 1
        earlier = day - timedelta(days=back)
        if earlier.weekday() < 5:
            yield earlier


def working_days(*watts, day=WEDNESDAY):
    """A history of weekdays before `day`, the latest first, each with one load all day."""
    history = {}
    for load_w, earlier in zip(watts, weekdays_before(day), strict=False):
        flat(history, earlier, load_w)
    return history


# --- meter before / meter after ------------------------------------------------------------


def test_meter_before_is_the_mean_of_the_ten_minutes_before():
    # 11 kW for five minutes, then 9 kW: by hand (11 × 270 + (11 + 9) / 2 × 30 + 9 × 300) / 600.
    readings = [Reading(30.0 * n, 11_000.0 if n < 10 else 9_000.0) for n in range(21)]

    found = meter_before(curve_of(readings), [], joined_s=600.0)

    assert found.power_w == pytest.approx((11_000 * 270 + 10_000 * 30 + 9_000 * 300) / 600)
    assert (found.problem, found.caution) == ("", "")


def test_who_was_not_metered_before_has_no_baseline():
    readings = [Reading(30.0 * n, 11_000.0) for n in range(10, 21)]

    found = meter_before(curve_of(readings), [], joined_s=600.0)

    assert (found.power_w, found.problem) == (None, "not_metered_before")


@pytest.mark.parametrize(
    ("wanted", "caution"),
    [
        ([Wanted(-50.0, 4200.0)], "limited_before"),
        # In some of the ten minutes is enough, though not at their end.
        ([Wanted(100.0, 4200.0), Wanted(200.0, None)], "limited_before"),
        ([Wanted(-50.0, 4200.0), Wanted(-10.0, None), Wanted(600.0, 4200.0)], ""),
    ],
)
def test_a_baseline_under_another_events_limit_carries_a_caution(wanted, caution):
    readings = [Reading(30.0 * n, 4_200.0) for n in range(21)]

    found = meter_before(curve_of(readings), wanted, joined_s=600.0)

    assert (found.power_w, found.caution) == (4200.0, caution)


# --- maximum base load ----------------------------------------------------------------------


def test_maximum_base_load_is_what_was_ordered():
    # 4.2 kW for ten minutes, then 6 kW for twenty: 5.4 kW.
    found = maximum_base_load([Wanted(0, 4200.0), Wanted(600, 6000.0)], 0, 1800)

    assert found.power_w == pytest.approx(5400)
    assert maximum_base_load([], 0, 1800).problem == "nothing_ordered"
    assert maximum_base_load([], 5, 5).problem == "not_in_the_event"


# --- CAISO 10 in 10 -------------------------------------------------------------------------


def test_caiso_is_the_mean_of_ten_days_times_the_ratio_of_the_hours_before():
    # Ten weekdays of 10, 11, … 19 kW: mean 14.5. The event day draws 16 kW from 13:00 to 16:00:
    # ratio 16 / 14.5 = 1.1034, within 20 %. Baseline 14.5 × 1.1034 = 16 kW.
    history = working_days(*[10_000.0 + 1000 * n for n in range(10)], 99_000.0)
    flat(history, WEDNESDAY, 16_000.0, hours=(13, 16))
    flat(history, WEDNESDAY, 50_000.0, hours=(16, 17))  # the hour before does not count

    found = caiso_10_in_10(history, occasion())

    assert found.adjustment == pytest.approx(16 / 14.5)
    assert found.load_w == pytest.approx((16_000.0,) * 8)
    assert (len(found.used), found.days_short, found.problem) == (10, 0, "")
    assert found.used[0] == date(2026, 7, 14)


@pytest.mark.parametrize(("before_w", "ratio"), [(5_000.0, 0.8), (11_000.0, 1.1), (30_000.0, 1.2)])
def test_caisos_adjustment_stays_within_20_percent(before_w, ratio):
    history = working_days(*[10_000.0] * 10)
    flat(history, WEDNESDAY, before_w, hours=(13, 16))

    found = caiso_10_in_10(history, occasion())

    assert found.adjustment == pytest.approx(ratio)
    assert found.load_w == pytest.approx((10_000.0 * ratio,) * 8)


def test_days_of_events_and_outages_are_left_out_by_name_and_older_ones_step_in():
    history = working_days(*[10_000.0] * 12)
    flat(history, date(2026, 7, 14), 2_000.0, hours=(17, 18), held=True)
    history[clock(date(2026, 7, 10), 17)] = Quarter(None)
    flat(history, WEDNESDAY, 10_000.0, hours=(13, 16))

    found = caiso_10_in_10(history, occasion())

    assert found.excluded == ((date(2026, 7, 14), "event"), (date(2026, 7, 10), "outage"))
    assert (len(found.used), found.days_short) == (10, 0)
    assert found.load_w == pytest.approx((10_000.0,) * 8)


def test_a_day_short_is_said_and_not_filled():
    history = working_days(*[10_000.0] * 7)
    flat(history, WEDNESDAY, 10_000.0, hours=(13, 16))

    short = caiso_10_in_10(history, occasion())
    far_short = caiso_10_in_10(working_days(*[10_000.0] * 4), occasion())

    assert (short.days_short, len(short.used), short.problem) == (3, 7, "")
    assert (far_short.load_w, far_short.problem, far_short.days_short) == (None, "too_few_days", 6)


def test_caiso_takes_four_weekend_days_on_a_weekend():
    history = {}
    for days, watts in ((6, 8_000.0), (7, 4_000.0), (13, 8_000.0), (14, 4_000.0), (20, 90_000.0)):
        flat(history, SATURDAY - timedelta(days=days), watts)
    flat(history, SATURDAY, 6_000.0, hours=(13, 16))

    found = caiso_10_in_10(history, occasion(SATURDAY))

    assert found.load_w == pytest.approx((6_000.0,) * 8)
    assert len(found.used) == 4


def test_an_event_day_that_was_not_metered_before_has_no_adjusted_baseline():
    history = working_days(*[10_000.0] * 10)

    assert caiso_10_in_10(history, occasion()).problem == "not_metered_before"
    assert pjm_high_4_of_5(history, occasion()).problem == "not_metered_before"
    dark = working_days(*[0.0] * 10)
    flat(dark, WEDNESDAY, 1_000.0, hours=(13, 16))
    assert caiso_10_in_10(dark, occasion()).problem == "no_load_to_adjust_by"


@pytest.mark.parametrize("method", [caiso_10_in_10, pjm_high_4_of_5])
def test_hours_before_that_another_event_held_adjust_nothing(method):
    # From 15:45 to 16:00 another event was on; from 16:00 on it would not matter.
    before, beside = working_days(*[10_000.0] * 12), working_days(*[10_000.0] * 12)
    for history in (before, beside):
        flat(history, WEDNESDAY, 10_000.0, hours=(13, 16))
    flat(before, WEDNESDAY, 2_000.0, hours=(15.75, 16), held=True)
    flat(beside, WEDNESDAY, 2_000.0, hours=(16, 19), held=True)

    held = method(before, occasion())

    assert (held.load_w, held.adjustment, held.problem) == (None, None, "event_before_it")
    assert len(held.used) >= 4
    assert method(beside, occasion()).load_w == pytest.approx((10_000.0,) * 8)


# --- PJM high 4 of 5 ------------------------------------------------------------------------


def test_pjm_takes_the_four_highest_of_five_and_adds_the_difference_of_the_hours_before():
    # 20, 24, 22, 18, 26 kW: without the lowest (18) the mean is 23. The event day draws 21 kW
    # before the event: 2 kW less. Baseline 23 − 2 = 21 kW.
    history = working_days(20_000.0, 24_000.0, 22_000.0, 18_000.0, 26_000.0, 99_000.0)
    flat(history, WEDNESDAY, 21_000.0, hours=(13, 16))

    found = pjm_high_4_of_5(history, occasion())

    assert found.adjustment == pytest.approx(-2_000)
    assert found.load_w == pytest.approx((21_000.0,) * 8)
    assert date(2026, 7, 9) not in found.used  # the 18 kW
    assert len(found.used) == 4


def test_pjm_leaves_out_days_below_a_quarter_of_the_mean():
    # 20, 20, 1, 20, 20 kW: mean 16.2, a quarter of it 4.05. The next older day, 24 kW, steps in.
    history = working_days(20_000.0, 20_000.0, 1_000.0, 20_000.0, 20_000.0, 24_000.0)
    flat(history, WEDNESDAY, 21_000.0, hours=(13, 16))

    found = pjm_high_4_of_5(history, occasion())

    assert found.excluded == ((date(2026, 7, 10), "low_usage"),)
    assert found.load_w == pytest.approx((21_000.0,) * 8)  # 24, 20, 20, 20: 21, and nothing added


def test_pjm_takes_two_of_three_on_a_weekend_and_a_load_is_never_below_zero():
    history = {}
    for days, watts in ((6, 2_000.0), (7, 4_000.0), (13, 6_000.0)):
        flat(history, SATURDAY - timedelta(days=days), watts)
    flat(history, SATURDAY, 0.0, hours=(13, 16))

    found = pjm_high_4_of_5(history, occasion(SATURDAY))

    assert found.adjustment == pytest.approx(-5_000)  # the mean of 4 and 6
    assert found.load_w == (0.0,) * 8


# --- holidays -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [caiso_10_in_10, pjm_high_4_of_5])
def test_a_holiday_is_no_like_day_of_a_working_day_and_is_named(method):
    # Friday and Monday would be like days; on the holiday, a Friday, hardly anybody charged.
    holiday, older = date(2026, 7, 10), date(2026, 6, 5)
    history = working_days(*[10_000.0] * 12)
    flat(history, holiday, 5_000.0)
    flat(history, WEDNESDAY, 10_000.0, hours=(13, 16))

    found = method(history, occasion(holidays=[holiday, older, date(2026, 7, 11)]))

    assert found.excluded == ((holiday, "holiday"),)  # not the Saturday, nor what is not needed
    assert found.load_w == pytest.approx((10_000.0,) * 8)
    assert (found.days_short, found.problem) == (0, "")


def test_an_event_on_a_holiday_is_held_against_weekends_and_holidays():
    history = working_days(*[50_000.0] * 12)
    for days, watts in ((3, 8_000.0), (4, 4_000.0), (5, 9_000.0), (10, 3_000.0)):
        flat(history, WEDNESDAY - timedelta(days=days), watts)
    flat(history, WEDNESDAY, 6_000.0, hours=(13, 16))
    friday = WEDNESDAY - timedelta(days=5)

    found = caiso_10_in_10(history, occasion(holidays=[WEDNESDAY, friday]))

    assert found.load_w == pytest.approx((6_000.0,) * 8)
    assert [(WEDNESDAY - day).days for day in found.used] == [3, 4, 5, 10]
    assert found.excluded == ()


# --- PJM same day 3 + 2 -----------------------------------------------------------------------


def test_same_day_averages_hours_ending_9_to_11_and_19_to_20_for_an_event_in_13_to_17():
    history = {}
    for hour, watts in {8: 10, 9: 12, 10: 14, 11: 90, 17: 90, 18: 6, 19: 8}.items():
        flat(history, WEDNESDAY, watts * 1000.0, hours=(hour, hour + 1))

    found = pjm_same_day_3_2(history, occasion(start=12.0, end=17.0))

    assert found.load_w == pytest.approx((10_000.0,) * 20)  # (10 + 12 + 14 + 6 + 8) / 5


def test_same_day_counts_the_hours_of_a_clock_that_is_half_an_hour_off():
    # The same by the clock of Kolkata, 5 h 30 min ahead, once to the minute and once within hours.
    history = {}
    for hour, watts in {8: 10, 9: 12, 10: 14, 11: 90, 17: 90, 18: 6, 19: 8}.items():
        flat(history, WEDNESDAY, watts * 1000.0, hours=(hour - 5.5, hour - 4.5))
    kolkata = ZoneInfo("Asia/Kolkata")

    whole = pjm_same_day_3_2(history, occasion(start=6.5, end=11.5, zone=kolkata))
    part = pjm_same_day_3_2(history, occasion(start=7.0, end=11.0, zone=kolkata))

    assert whole.load_w == pytest.approx((10_000.0,) * 20)
    assert part.load_w == pytest.approx((10_000.0,) * 16)


def test_same_day_is_not_found_beside_a_gap_or_another_event():
    gap, held = {}, {}
    flat(gap, WEDNESDAY, 5_000.0, hours=(8, 19))
    flat(held, WEDNESDAY, 5_000.0, hours=(8, 20))
    flat(held, WEDNESDAY, 5_000.0, hours=(18, 19), held=True)
    event = occasion(start=12.0, end=17.0)

    assert pjm_same_day_3_2(gap, event).problem == "not_metered_around"
    assert pjm_same_day_3_2(held, event).problem == "event_around_it"


# --- midnight -------------------------------------------------------------------------------


def test_of_an_event_past_midnight_each_night_is_held_against_one_whole_night():
    # 23:00 to 01:00. Until midnight 10 kW on every day, after it 20 kW, and 30 kW in the night that
    # Tuesday's evening became: by hand (9 × 20 + 30) / 10 = 21 kW. 10 kW before: nothing to adjust.
    history = {}
    for back in range(16):
        day = WEDNESDAY - timedelta(days=back)
        flat(history, day, 30_000.0 if back == 0 else 20_000.0, hours=(0, 1))
        flat(history, day, 10_000.0, hours=(19, 24))

    found = caiso_10_in_10(history, occasion(start=23.0, end=25.0))

    assert found.load_w == pytest.approx((10_000.0,) * 4 + (21_000.0,) * 4)
    assert (len(found.used), found.excluded) == (10, ())


def test_an_event_at_midnight_is_adjusted_by_the_evening_before_each_day():
    # 00:00 to 01:00: 5.1 kW on Tuesday and 5 kW on all other days, so the four highest have 5.025.
    # 10 kW in every evening but the last one, which had 20: 10 kW more.
    history = {}
    for back in range(10):
        day = WEDNESDAY - timedelta(days=back)
        flat(history, day, 5_100.0 if back == 1 else 5_000.0, hours=(0, 1))
        flat(history, day, 20_000.0 if back == 1 else 10_000.0, hours=(20, 23))

    found = pjm_high_4_of_5(history, occasion(start=0.0, end=1.0))

    assert found.adjustment == pytest.approx(10_000)
    assert found.load_w == pytest.approx((15_025.0,) * 4)


def test_a_day_whose_night_runs_into_the_event_itself_is_left_out():
    # 30 hours from Wednesday 12:00: those from Tuesday 12:00 would end within the event.
    history = working_days(*[10_000.0] * 12)
    for day in (WEDNESDAY, *(WEDNESDAY - timedelta(days=back) for back in (3, 4, 10, 11))):
        flat(history, day, 10_000.0)

    found = caiso_10_in_10(history, occasion(start=12.0, end=42.0))

    assert found.excluded == ((date(2026, 7, 14), "event"),)
    assert found.load_w == pytest.approx((10_000.0,) * 120)


def looked_at(event, load_w):
    """A history of one load, as far as the event's day and earlier ones are looked at."""
    windows = [seen_on(day, event) for day in (event.day, *days_before(event))]
    return {
        float(at_s): Quarter(load_w)
        for first_s, end_s in windows
        for at_s in range(int(first_s), int(end_s), int(QUARTER_S))
    }


@pytest.mark.parametrize("method", [caiso_10_in_10, pjm_high_4_of_5, pjm_same_day_3_2])
@pytest.mark.parametrize(
    ("day", "start", "end"),
    [(WEDNESDAY, 17, 19), (date(2026, 7, 13), 0, 1), (date(2026, 7, 17), 23, 25), (SATURDAY, 2, 3)],
)
def test_all_is_looked_at_that_is_needed(method, day, start, end):
    event = occasion(day, start=start, end=end)

    found = method(looked_at(event, 3_000.0), event)

    assert found.load_w == pytest.approx((3_000.0,) * 4 * (end - start))
    assert (found.excluded, found.days_short) == ((), 0)


# --- clocks ----------------------------------------------------------------------------------


def test_a_day_whose_clock_skips_the_events_hour_is_left_out():
    berlin = ZoneInfo("Europe/Berlin")
    event_day = date(2026, 4, 5)  # Sunday; 29 March skipped 02:00 to 03:00
    start_s = seconds_of(datetime(2026, 4, 5, 2, 0, tzinfo=berlin))
    event = Occasion(start_s, start_s + 1800, berlin)
    history = {}
    for back in (1, 7, 8, 14, 15, 21, 22):
        for at_s in (*event.adjusting, *event.quarters):
            found_s = event.on(event_day - timedelta(days=back), at_s)
            if found_s is not None:
                history[found_s] = Quarter(3_000.0)
    for at_s in event.adjusting:
        history[at_s] = Quarter(3_000.0)

    found = caiso_10_in_10(history, event)

    assert found.excluded == ((date(2026, 3, 29), "clock_skips_it"),)
    assert found.load_w == pytest.approx((3_000.0,) * 2)


@pytest.mark.parametrize(
    ("zone", "event_day", "start_hour"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 5),  # on the event's day the clock was set forward
        ("Europe/Berlin", date(2026, 10, 25), 5),  # or back
        ("Europe/Berlin", date(2026, 10, 25), 2),
        ("Europe/Berlin", date(2026, 4, 5), 5),  # or on an earlier day of its kind
        ("Europe/Berlin", date(2026, 10, 31), 5),
        ("Europe/Berlin", date(2026, 10, 31), 6),
        ("Australia/Lord_Howe", date(2026, 4, 11), 5),  # by half an hour
        ("Australia/Lord_Howe", date(2026, 4, 5), 5),
    ],
)
@pytest.mark.parametrize("method", [caiso_10_in_10, pjm_high_4_of_5, pjm_same_day_3_2])
def test_of_a_day_whose_clock_is_changed_all_is_looked_at_that_is_needed(
    zone, event_day, start_hour, method
):
    start_s = seconds_of(datetime(*event_day.timetuple()[:3], start_hour, tzinfo=ZoneInfo(zone)))
    event = Occasion(start_s, start_s + 3600, ZoneInfo(zone))

    found = method(looked_at(event, 3_000.0), event)

    assert found.load_w == pytest.approx((3_000.0,) * 4)
    assert {why for _, why in found.excluded} <= {"clock_skips_it"}


def test_every_method_has_a_source_a_version_and_a_rule_and_is_not_settlement_grade_by_itself():
    assert set(SITE_METHODS) < set(METHODS)
    for method in METHODS.values():
        said = method.as_json(is_settlement_grade=False)
        assert all(said[name] for name in ("source", "version", "rule", "title"))
        assert said["grade"] == "not settlement grade"
