"""Where a cap cannot give everyone 6 A: who is paused, and how turns rotate."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.electricity import Circuit
from dr_events.orders import Rules
from tests.dr_events.planning import (
    DC,
    ONE_PHASE,
    T0,
    THREE_PHASES,
    Cap,
    ago,
    car,
    each,
    held,
    limits,
    order,
    planned,
    watts,
)
from tests.dr_events.stations import Charging
from tests.dr_events.street import Street, later


def a_cap(value, name="A", *, a_site=False, priority=None):
    return order(name, Cap(value, a_site), priority=priority)


def waits(plan):
    return [one.waits for one in plan.plans]


@pytest.mark.parametrize(
    ("cap_w", "circuits", "shares"),
    [
        # 4,140 W are 6 A on three phases, 1,380 W on one.
        (9_000, [THREE_PHASES] * 3, [4_500, 4_500, 0]),
        (12_419, [THREE_PHASES] * 3, [6_209, 6_209, 0]),
        (12_420, [THREE_PHASES] * 3, [4_140, 4_140, 4_140]),
        (4_500, [ONE_PHASE] * 4, [1_500, 1_500, 1_500, 0]),
        (5_600, [THREE_PHASES, ONE_PHASE, ONE_PHASE], [4_140, 1_460, 0]),
        (2_000, [ONE_PHASE, THREE_PHASES], [2_000, 0]),
        # Volts are the site's: 6 A at 120 V are 720 W.
        (1_500, [Circuit(120, 1, 16)] * 3, [750, 750, 0]),
        # DC has no floor, and makes do with what the floors leave …
        (5_000, [THREE_PHASES, DC], [4_140, 860]),
        # … yet where it comes first, 6 A of a phase are kept for it.
        (5_000, [DC, THREE_PHASES], [5_000, 0]),
        (7_000, [DC, THREE_PHASES], [2_860, 4_140]),
    ],
)
def test_who_cannot_have_six_amperes_is_paused(cap_w, circuits, shares):
    cars = [car(number, "A", circuit=circuit) for number, circuit in enumerate(circuits)]

    plan = planned([a_cap(cap_w)], cars)

    assert limits(plan) == shares
    assert waits(plan) == ["" if share else "turn" for share in shares]
    assert plan.caps[a_cap(0).event_id, None].paused == shares.count(0)


def running(number, for_s, **changes):
    grip = held(4_500, since_s=min(for_s, 3600), switched_s=for_s)
    return car(number, "A", grip=grip, draws=4_500, **changes)


def paused(number, for_s, *, sent_anew_s=None, **changes):
    grip = held(0, since_s=sent_anew_s or for_s, switched_s=for_s)
    return car(number, "A", grip=grip, draws=0, **changes)


@pytest.mark.parametrize(
    ("one", "other", "goes_on"),
    [
        # A turn is not cut short …
        (running(1, 899), paused(2, 3000), 1),
        # … and once it is over whoever has waited longest is next.
        (running(1, 900), paused(2, 3000), 2),
        (running(1, 901), paused(2, 2), 2),
        # If nobody waited when it ended it began anew, and is not cut short.
        (running(1, 1000), paused(2, 99), 1),
        (running(1, 1799), paused(2, 600), 1),
        (running(1, 1800), paused(2, 600), 2),
        # Of two that run, the one whose turn ended first goes first.
        (running(1, 1000), running(2, 1700), 2),
        # Of two that wait, the one that has waited longest.
        (paused(1, 600), paused(2, 601), 2),
        (paused(1, 600), paused(2, 600), 1),
        # … also where it was told to pause once more meanwhile.
        (paused(1, 601, sent_anew_s=10), paused(2, 600), 1),
        # Whoever comes waits behind those who wait already.
        (car(1, "A"), paused(2, 1), 2),
    ],
)
def test_turns_rotate(one, other, goes_on):
    plan = planned([a_cap(5_000)], [one, other])

    stays = [number for number, wait in enumerate(waits(plan), 1) if wait != "turn"]
    assert stays == [goes_on]


def test_it_is_planned_again_when_a_turn_ends():
    plan = planned([a_cap(9_000)], [running(1, 100), running(2, 1700), paused(3, 50)])

    assert plan.again_at == later(T0, 100)


def test_nobody_is_let_in_before_his_time_by_a_lower_floor():
    cars = [running(1, 100), paused(2, 60), paused(3, 50, circuit=ONE_PHASE)]

    # 3's 1,380 W would fit beside 1, but 2 is next.
    plan = planned([a_cap(7_000)], cars)

    assert waits(plan) == ["", "turn", "turn"]
    assert limits(plan) == [7_000, 0, 0]


def test_a_floor_that_the_cap_can_never_hold_keeps_nobody_waiting():
    plan = planned([a_cap(4_000)], [paused(1, 99), paused(2, 50, circuit=ONE_PHASE)])

    assert limits(plan) == [0, 4_000]


def test_those_who_are_let_in_together_stay_in_together():
    """A DC car that was let in with what the floors left it does not ask for more before its
    turn is over: that would put out again who was let in with it."""
    cars = [
        car(1, "A", circuit=DC, grip=held(720, since_s=1), draws=700),
        car(2, "A", grip=held(4_140, since_s=1), draws=4_100),
        car(3, "A", grip=held(4_140, since_s=2), draws=4_100),
    ]

    assert limits(planned([a_cap(9_000)], cars)) == [720, 4_140, 4_140]


def test_who_is_paused_by_another_order_takes_no_turn():
    orders = [a_cap(5_000), order("B", each(0))]

    plan = planned(orders, [car(1, "AB"), car(2, "A")])

    assert limits(plan) == [0, 5_000]
    assert waits(plan) == ["", ""]


def test_a_site_with_room_runs_though_another_has_none():
    cars = [car(1, "A"), car(2, "A"), car(3, "A", site=2), car(4, "A", site=2)]

    plan = planned([a_cap(20_000)], cars, capacity=5_000)

    assert limits(plan) == [5_000, 0, 7_500, 7_500]


def test_a_turn_takes_as_long_as_the_operators_say():
    cars = [running(1, 61), paused(2, 5)]

    assert waits(planned([a_cap(5_000)], cars, rules=Rules(turn=T0 - ago(60)))) == ["turn", "room"]


# --- as time passes -------------------------------------------------------------------------


# In steps of three minutes: a turn takes five, and a hand-over up to one more.
STEP_S = 180
STEPS_A_TURN = 6


def had_power(street, steps):
    """Which cars had power in each step, on a street where every station answers."""
    seen = []
    for _ in range(steps):
        while street.want(street.planned()):
            for one in street.cars.values():
                one.converse(street.now)
        for one in street.cars.values():
            one.report(street.now)
        seen.append([key for key, one in street.cars.items() if one.most_in_force_w > 0])
        street.now = later(street.now, STEP_S)
    return seen


def longest_wait(key, seen):
    """The most steps in a row that a car had no power."""
    longest = current = 0
    for running_now in seen:
        current = 0 if key in running_now else current + 1
        longest = max(longest, current)
    return longest


def street_of(circuits, cap_w):
    street = Street()
    for key, circuit in enumerate(circuits, 1):
        street.plug_in(Charging(key, circuit, street.now))
    street.declare(Cap(cap_w))
    return street


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([THREE_PHASES, ONE_PHASE]))
def test_no_car_waits_longer_than_its_share(cars, floors, circuit):
    """Of n cars with room for k, each has its turn within ⌈n / k⌉ turns, one of them its own."""
    floor_w = 6 * circuit.voltage_v * circuit.phases
    street = street_of([circuit] * cars, floor_w * floors)
    turns = -(-cars // floors)

    seen = had_power(street, STEPS_A_TURN * 2 * turns)

    waited = [longest_wait(key, seen) for key in street.cars]
    assert max(waited) <= (turns - 1) * STEPS_A_TURN
    assert all(len(running_now) == min(cars, floors) for running_now in seen)


@given(
    st.lists(st.sampled_from([THREE_PHASES, ONE_PHASE, DC]), min_size=2, max_size=7),
    st.integers(4_140, 12_000),
)
def test_nobody_starves_whatever_its_floor(circuits, cap_w):
    """With floors of all sizes each still has its turn within as many as would do if only one ran
    at a time."""
    street = street_of(circuits, cap_w)

    seen = had_power(street, STEPS_A_TURN * (len(circuits) + 2))

    waited = [longest_wait(key, seen) for key in street.cars]
    assert max(waited) <= (len(circuits) - 1) * STEPS_A_TURN


def test_who_has_waited_is_not_overtaken_by_those_who_keep_coming():
    street = street_of([THREE_PHASES] * 3, 4_500)
    seen = []
    for number in (4, 5):
        seen += had_power(street, 3)
        street.plug_in(Charging(number, THREE_PHASES, street.now))
    seen += had_power(street, 30)

    turns = [running_now for running_now, _ in groupby(seen)]

    # 4 came after 9 minutes, 1 was paused after 15, 5 came after 18.
    assert turns[:7] == [[1], [2], [3], [4], [1], [5], [2]]


def test_what_is_paused_for_its_turn_is_told_so():
    plan = planned([a_cap(5_000)], [running(1, 100), paused(2, 5)])

    assert plan.plans[1].limit == watts(0)
    assert plan.plans[1].cap == (a_cap(0).event_id, None)
