"""The physics of a car, as tables. A three-phase outlet of 32 A at 230 V unless a row differs."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.simulator.cars import (
    Car,
    Draw,
    Limit,
    Outlet,
    any_car,
    battery_power_w,
    constant_car,
    steady_power_w,
)

THREE = Outlet(3, 230, 32)
SINGLE = Outlet(1, 230, 32)
FAST = Outlet(1, 400, 375, direct=True)
BIG_WH = 1e9


def ac_car(phases: int = 3, current_a: float = 16, **settings: float) -> Car:
    battery_wh = settings.pop("battery_wh", BIG_WH)
    return Car(phases, current_a, phases * current_a * 230, battery_wh, **settings)


def draw(outlet: Outlet, car: Car, *, stored_wh: float = 0.0) -> Draw:
    """A car at its full power since second 0."""
    made = Draw(outlet, car, stored_wh=stored_wh, at_s=0.0)
    made.follow(None, now_s=0.0, at_once=True)
    return made


@pytest.mark.parametrize(
    ("outlet", "phases", "current_a", "limit", "power_w"),
    [
        # 3.7, 7.4, 11 and 22 kW cars, unlimited
        (THREE, 1, 16, None, 3680),
        (THREE, 1, 32, None, 7360),
        (THREE, 3, 16, None, 11040),
        (THREE, 3, 32, None, 22080),
        # the outlet is the narrower one
        (SINGLE, 3, 16, None, 3680),
        (Outlet(3, 230, 16), 3, 32, None, 11040),
        # amperes are per phase
        (THREE, 3, 16, Limit("current", 10), 6900),
        (SINGLE, 1, 32, Limit("current", 10), 2300),
        # watts are of the whole connector: a single-phase car gets its phase's third
        (THREE, 3, 16, Limit("power", 6900), 6900),
        (THREE, 1, 16, Limit("power", 6900), 2300),
        # a limit above the car's own maximum changes nothing
        (THREE, 3, 16, Limit("current", 32), 11040),
        # IEC 61851: 6 A is the least, below it the car stops
        (THREE, 3, 16, Limit("current", 6), 4140),
        (THREE, 3, 16, Limit("power", 4140), 4140),
        (THREE, 3, 16, Limit("current", 5.9), 0),
        (THREE, 3, 16, Limit("power", 4139), 0),
        (THREE, 3, 16, Limit("power", 0), 0),
        # other voltages
        (Outlet(1, 208, 32), 1, 32, None, 6656),
        (Outlet(1, 208, 32), 1, 32, Limit("current", 6), 1248),
    ],
)
def test_an_ac_car_settles_at_the_narrowest_of_outlet_car_and_limit(
    outlet: Outlet, phases: int, current_a: float, limit: Limit | None, power_w: float
) -> None:
    car = Car(phases, current_a, phases * current_a * outlet.voltage_v, BIG_WH)

    assert steady_power_w(outlet, car, limit) == pytest.approx(power_w)


@pytest.mark.parametrize(
    ("limit", "power_w"),
    [
        (None, 100_000),
        (Limit("power", 75_000), 75_000),
        (Limit("power", 500), 500),  # no 6 A floor
        (Limit("current", 50), 20_000),
        (Limit("current", 0), 0),
    ],
)
def test_a_dc_car_follows_any_limit(limit: Limit | None, power_w: float) -> None:
    car = Car(1, 250, 100_000, BIG_WH)

    assert steady_power_w(FAST, car, limit) == pytest.approx(power_w)


@pytest.mark.parametrize(
    ("charge", "share"), [(0.0, 1.0), (0.8, 1.0), (0.9, 0.55), (0.99, 0.145), (1.0, 0.0)]
)
def test_power_tapers_above_eighty_percent(charge: float, share: float) -> None:
    car = Car(1, 250, 100_000, 50_000)

    assert battery_power_w(FAST, car, charge * 50_000) == pytest.approx(share * 100_000)


def test_an_ac_car_tapers_no_lower_than_six_amperes_and_then_stops() -> None:
    car = ac_car(battery_wh=50_000)

    assert battery_power_w(THREE, car, 49_999) == pytest.approx(4140)
    assert battery_power_w(THREE, car, 50_000) == 0


@pytest.mark.parametrize(
    ("at_s", "power_w"),
    [
        (100.0, 11_040),  # the limit is set at 100 s
        (105.9, 11_040),  # lag of 6 s
        (106.0, 11_040),
        (108.0, 8_970),  # half of a ramp of 4 s
        (110.0, 6_900),
        (500.0, 6_900),
    ],
)
def test_a_car_follows_a_limit_after_its_lag_over_its_ramp(at_s: float, power_w: float) -> None:
    charging = draw(THREE, ac_car(lag_s=6, ramp_s=4))
    charging.follow(Limit("current", 10), now_s=100.0)

    charging.advance(at_s)

    assert charging.power_w(at_s) == pytest.approx(power_w)


def test_a_second_limit_does_not_make_a_waiting_car_wait_anew() -> None:
    charging = draw(THREE, ac_car(lag_s=10, ramp_s=0))
    charging.follow(Limit("current", 10), now_s=100.0)
    charging.follow(Limit("current", 8), now_s=109.0)

    charging.advance(111.0)

    assert charging.power_w(111.0) == pytest.approx(8 * 690)


def test_a_cleared_limit_brings_the_full_power_back() -> None:
    charging = draw(THREE, ac_car(lag_s=3, ramp_s=2))
    charging.follow(Limit("power", 0), now_s=10.0)
    charging.follow(None, now_s=60.0)

    charging.advance(62.0)
    paused_w = charging.power_w(62.0)
    charging.advance(66.0)

    assert paused_w == 0
    assert charging.power_w(66.0) == pytest.approx(11_040)


def test_an_ac_car_is_never_seen_between_zero_and_six_amperes() -> None:
    charging = draw(THREE, ac_car(lag_s=0, ramp_s=5))
    charging.follow(Limit("power", 0), now_s=0.0)

    powers_w = [charging.power_w(tenth / 10) for tenth in range(60)]

    assert max(powers_w) > 4140
    assert powers_w[-1] == 0
    assert not [power_w for power_w in powers_w if 0 < power_w < 4140 - 1e-6]


@pytest.mark.parametrize(
    ("until_s", "energy_wh"),
    [
        (0.0, 0.0),
        (3600.0, 11_040.0),  # an hour at full power
        (3606.0, 11_040.0 + 11_040 * 6 / 3600),  # the lag
        (3610.0, 11_040.0 + (11_040 * 6 + 8_970 * 4) / 3600),  # the ramp, at its mean
        (7210.0, 11_040.0 + (11_040 * 6 + 8_970 * 4) / 3600 + 6_900),
    ],
)
def test_energy_is_power_over_time(until_s: float, energy_wh: float) -> None:
    charging = draw(THREE, ac_car(lag_s=6, ramp_s=4))
    charging.advance(min(until_s, 3600.0))
    if until_s >= 3600:
        charging.follow(Limit("current", 10), now_s=3600.0)

    charging.advance(until_s)

    assert charging.energy_wh == pytest.approx(energy_wh)
    assert charging.drawing_s == pytest.approx(until_s)


@given(st.lists(st.floats(0.01, 500), min_size=1, max_size=30))
def test_energy_does_not_depend_on_how_often_it_is_added_up(steps_s: list[float]) -> None:
    car = constant_car(THREE, power_w=9000, battery_wh=BIG_WH)
    often, once = draw(THREE, car), draw(THREE, car)
    now_s = 0.0
    for step_s in steps_s:
        now_s += step_s
        often.advance(now_s)

    once.advance(now_s)

    assert often.energy_wh == pytest.approx(once.energy_wh)
    assert often.energy_wh == pytest.approx(9000 * now_s / 3600)


def test_a_battery_takes_what_it_has_room_for_and_no_more() -> None:
    charging = draw(THREE, ac_car(battery_wh=40_000), stored_wh=39_000)

    charging.advance(3600.0)

    assert charging.energy_wh == pytest.approx(1_000)
    assert charging.full
    assert charging.power_w(3600.0) == 0
    assert charging.drawing_s < 3600


def test_a_paused_car_counts_no_time_of_drawing() -> None:
    charging = draw(THREE, ac_car())
    charging.follow(Limit("power", 0), now_s=600.0)

    charging.advance(1200.0)

    assert charging.drawing_s == pytest.approx(600, abs=1)


def test_a_car_of_constant_power_delivers_its_energy_on_the_second() -> None:
    car = constant_car(SINGLE, power_w=5_000, battery_wh=10_000)
    charging = draw(SINGLE, car)

    charging.advance(7_199.0)
    before = charging.full
    charging.advance(7_200.0)

    assert not before
    assert charging.full
    assert charging.energy_wh == pytest.approx(10_000)


def test_cars_lag_by_about_six_seconds_and_never_more_than_twenty_five() -> None:
    rng = random.Random(1)
    lags_s = [any_car(rng, THREE).lag_s for _ in range(4000)]

    assert statistics.median(lags_s) == pytest.approx(6, rel=0.05)
    assert max(lags_s) == 25
    assert min(lags_s) < 2


def test_cars_on_the_road_are_of_four_ac_sizes_and_any_dc_size() -> None:
    rng = random.Random(1)
    ac_kw = {round(any_car(rng, THREE).max_power_w / 1000, 1) for _ in range(500)}
    dc_kw = [any_car(rng, FAST).max_power_w / 1000 for _ in range(500)]

    assert ac_kw == {3.7, 7.4, 11.0, 22.1}
    assert 50 <= min(dc_kw) < 60
    assert 140 < max(dc_kw) <= 150
