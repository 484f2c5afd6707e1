"""What the planner makes of caps, percentages, steps, standing capacities and slopes, alone and
together: who is held to how much, by which of them, and what he waits for."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargers.electricity import Limit, Unit
from dr_events.orders import Capacity, Percent, Rules
from dr_events.pacing import Pace
from tests.dr_events.plans import (
    DC,
    ONE_PHASE,
    THREE_PHASES,
    after,
    cap,
    car,
    held,
    ids,
    order,
    plan_all,
    uses,
    watts,
)

FULL_W = 32 * 3 * 230


def capped(total_w, **more):
    return order("A", ask=cap(total_w), **more)


# --- shares --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total_w", "circuits", "shares"),
    [
        (40_000, [THREE_PHASES] * 4, [10_000] * 4),
        # never more than the connector gives …
        (40_000, [ONE_PHASE, THREE_PHASES], [7_360, FULL_W]),
        # … nor less than 6 A of its own phases …
        (6_000, [ONE_PHASE, THREE_PHASES], [1_860, 4_140]),
        # … and DC has no such floor.
        (6_000, [THREE_PHASES, DC], [4_140, 1_860]),
        (0, [THREE_PHASES, DC], [0, 0]),
    ],
)
def test_a_cap_is_shared_within_what_each_circuit_can_take(total_w, circuits, shares):
    cars = [car(number, "A", circuit=circuit) for number, circuit in enumerate(circuits)]

    assert watts([capped(total_w)], cars) == shares


def test_a_cap_a_site_holds_at_each_site_by_itself():
    cars = [car(1, "A", site=1), car(2, "A", site=1), car(3, "A", site=2)]

    assert watts([order("A", ask=cap(16_000, a_site=True))], cars) == [8_000, 8_000, 16_000]


def test_who_cannot_use_his_share_leaves_it_to_those_who_can():
    cars = [
        car(1, "A", grip=held(8_000), metering=uses(3_000, limit_w=8_000)),
        car(2, "A", grip=held(8_000), metering=uses(8_000, limit_w=8_000)),
    ]

    lowered = plan_all([capped(16_000)], cars)

    assert [one.limit.value for one in lowered.plans] == [4_140, 8_000]
    assert lowered.plans[1].waits == "room"


@pytest.mark.parametrize(("gains_w", "is_raised"), [(499, False), (501, True)])
def test_a_gain_within_the_dead_band_is_not_worth_a_command(gains_w, is_raised):
    cars = [car(1, "A", grip=held(8_000), metering=uses(8_000, limit_w=8_000))]

    share = watts([capped(8_000 + gains_w)], cars, rules=Rules(dead_band_w=500))

    assert share == [8_000 + gains_w * is_raised]


def test_nobody_is_raised_again_at_once_and_the_time_of_it_is_told():
    cars = [car(1, "A", grip=held(8_000, since_s=-20), metering=uses(8_000, limit_w=8_000))]

    planned = plan_all([capped(12_000)], cars, rules=Rules(minimum_interval=timedelta(minutes=1)))

    assert planned.plans[0].limit.value == 8_000
    assert planned.again_at == after(40)


# --- safe at every moment ------------------------------------------------------------------


def test_a_newcomer_waits_for_room_that_others_have_not_yet_given_up():
    cars = [car(1, "A", grip=held(10_000)), car(2, "A", grip=held(10_000)), car(3, "A")]

    first = plan_all([capped(20_000)], cars)

    assert [one.limit.value for one in first.plans] == [6_666, 6_666, 0]
    assert first.plans[2].waits == "room"


def test_a_car_that_has_not_answered_counts_at_its_old_allowance():
    answered = held(5_000)
    silent = replace(answered, held_w=12_000.0)
    cars = [
        car(1, "A", grip=silent),
        car(2, "A", grip=answered, metering=uses(5_000, limit_w=5_000)),
    ]

    assert watts([capped(20_000)], cars)[1] == 8_000


@pytest.mark.parametrize(
    ("first", "left_w"),
    [
        ({"exempt": "exempt_site", "power_w": 7_000.0}, 13_000),
        ({"excused": "opted_out", "power_w": 7_000.0}, 13_000),
        # Never metered: it may draw all that its connector gives, more than the cap has.
        ({"exempt": "exempt_site"}, 0),
    ],
)
def test_who_cannot_be_held_counts_at_his_draw(first, left_w):
    assert watts([capped(20_000)], [car(1, "A", **first), car(2, "A")]) == [None, left_w]


def test_who_is_stuck_is_told_his_share_and_counts_at_what_he_may_draw():
    grip = held(11_000, is_stuck=True)
    cars = [car(1, "A", grip=grip, power_w=11_000.0), car(2, "A")]

    assert watts([capped(20_000)], cars) == [10_000, 9_000]


# --- turns ---------------------------------------------------------------------------------


def test_where_there_are_not_six_amperes_for_everyone_the_first_come_charge():
    cars = [car(number, "A") for number in range(3)]

    planned = plan_all([capped(9_000)], cars)

    assert sorted(one.limit.value for one in planned.plans) == [0, 4_500, 4_500]
    assert [one.waits for one in planned.plans if one.limit.is_pause] == ["turn"]
    assert planned.caps[ids["A"], None].paused == 1


def test_who_has_had_his_turn_makes_way_for_who_has_waited():
    had, has = held(4_500, since_s=-901), held(4_500, since_s=-600)
    waiting = held(0, since_s=-600)
    cars = [car(number, "A", grip=grip) for number, grip in enumerate((had, has, waiting))]

    assert watts([capped(9_000)], cars) == [0, 4_500, 0]
    made_way = replace(waiting, wanted_at=after(-600))
    cars[0] = car(0, "A", grip=held(0, since_s=0))
    cars[2] = car(2, "A", grip=made_way)
    assert watts([capped(9_000)], cars, at_s=1) == [0, 4_500, 4_500]


# --- several at once -----------------------------------------------------------------------


def test_the_strictest_of_a_limit_a_site_s_cap_and_an_event_s_cap_holds():
    orders = [
        order("A", 9_000, priority=1),
        order("B", ask=cap(16_000, a_site=True), priority=1),
        order("C", ask=cap(15_000), priority=1),
    ]
    cars = [car(1, "A", "B", "C", site=1), car(2, "B", "C", site=1), car(3, "C", site=2)]

    planned = plan_all(orders, cars)

    assert [one.limit.value for one in planned.plans] == [5_000] * 3
    assert {one.binding for one in planned.plans} == {ids["C"]}
    assert [one.event_id for one in planned.plans[0].runners_up] == [ids["A"]]


def test_a_higher_priority_overrides_a_stricter_cap_and_still_counts_in_it():
    orders = [order("A", 9_000, priority=0), capped(12_000, priority=5)]
    orders[1] = replace(orders[1], event_id=ids["B"], label="B")
    cars = [car(1, "A", "B"), car(2, "B")]

    planned = plan_all(orders, cars)

    assert [one.limit.value for one in planned.plans] == [9_000, 0]
    assert [one.binding for one in planned.plans] == [ids["A"], ids["B"]]


@pytest.mark.parametrize(("capacity_w", "limit_w"), [(5_000, 5_000), (50_000, 6_000)])
def test_the_stricter_of_a_site_s_capacity_and_the_events_holds(capacity_w, limit_w):
    orders = [order("A", 6_000, priority=0)]

    planned = plan_all(orders, [car(1, "A")], capacities={1: Capacity(capacity_w)})

    assert planned.plans[0].limit == Limit(Unit.POWER, limit_w)
    assert planned.plans[0].binding == (ids["A"] if limit_w == 6_000 else None)


def test_a_site_s_capacity_holds_without_any_event():
    cars = [car(1), car(2), car(3, site=2)]

    assert watts([], cars, capacities={1: Capacity(10_000)}) == [5_000, 5_000, None]


# --- percentages, gaps, restoring ----------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "before_w", "circuit", "limit_w"),
    [
        (50, 10_000.0, THREE_PHASES, 5_000),
        (100, 10_000.0, THREE_PHASES, 10_000),
        # less than 6 A: a pause
        (30, 10_000.0, THREE_PHASES, 0),
        (30, 10_000.0, DC, 3_000),
        # idle, or not metered: the floor, so that it can begin
        (50, 0.0, THREE_PHASES, 4_140),
        (50, None, ONE_PHASE, 1_380),
        (0, None, THREE_PHASES, 0),
    ],
)
def test_a_percentage_is_of_the_draw_when_the_car_came_in(percent, before_w, circuit, limit_w):
    one = car(1, "A", circuit=circuit, before_w=before_w, power_w=1_000.0)

    assert watts([order("A", ask=Percent(percent))], [one]) == [limit_w]


def test_between_two_steps_nothing_is_ordered():
    assert watts([order("A", ask=None)], [car(1, "A")]) == [None]


def test_who_is_still_held_while_power_comes_back_stays_as_he_was():
    one = car(1, "A", hold=Limit(Unit.POWER, 5_000), grip=held(5_000))

    assert watts([order("A", ask=cap(0))], [one]) == [5_000]


def test_a_step_upwards_is_a_slope():
    slope = Pace(rate_w_per_min=4_000, reached_at=after(-60))
    cars = [car(number, "A", grip=held(5_000), power_w=5_000.0) for number in range(2)]

    planned = plan_all([order("A", 9_000, pace=slope)], cars)

    assert sorted(one.limit.value for one in planned.plans) == [5_000, 9_000]
    assert sorted(one.waits for one in planned.plans) == ["", "pace"]
    assert planned.reached[ids["A"]] == after(0)


# --- whatever the fleet --------------------------------------------------------------------


grips = st.builds(
    lambda watts, since_s, loose, stuck, extra_w: held(
        watts, since_s=-since_s, is_loose=loose, is_stuck=stuck, held_w=float(watts + extra_w)
    ),
    st.sampled_from([0, 4_140, 6_000, 11_000]),
    st.integers(0, 2_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 0, 5_000]),
)
cars_ = st.lists(
    st.tuples(
        st.sampled_from([THREE_PHASES, ONE_PHASE, DC]),
        st.none() | st.floats(0, 22_000),
        st.none() | grips,
        st.integers(1, 2),
        st.sets(st.sampled_from("ABC"), min_size=1),
    ),
    min_size=1,
    max_size=8,
)


def fleet(said):
    return [
        car(number, *sorted(names), circuit=circuit, power_w=power_w, grip=grip, site=site)
        for number, (circuit, power_w, grip, site, names) in enumerate(said)
    ]


def orders_of(total_w, site_w, each_w):
    return [
        order("A", ask=cap(total_w)),
        order("B", ask=cap(site_w, a_site=True)),
        order("C", each_w),
    ]


budgets = st.floats(0, 60_000)


@settings(deadline=None)
@given(cars_, budgets, budgets, st.floats(0, 22_000))
def test_nobody_is_left_out_and_everyone_is_told_by_whom_he_is_held(said, total_w, site_w, each_w):
    cars = fleet(said)

    plans = plan_all(orders_of(total_w, site_w, each_w), cars).plans

    assert [one.session_id for one in plans] == [one.session_id for one in cars]
    for one, plan in zip(cars, plans, strict=True):
        assert plan.limit is not None
        assert plan.binding in {part.event_id for part in one.parts}
        amperes = one.circuit.amperes(plan.limit)
        assert one.circuit.is_dc or plan.limit.is_pause or amperes >= 6 - 1e-6


@settings(deadline=None)
@given(cars_, budgets, budgets, st.floats(0, 22_000))
def test_the_order_in_which_cars_stand_means_nothing(said, total_w, site_w, each_w):
    cars, orders = fleet(said), orders_of(total_w, site_w, each_w)

    forwards = plan_all(orders, cars).plans
    backwards = plan_all(orders, cars[::-1]).plans[::-1]

    assert forwards == backwards


@settings(deadline=None)
@given(st.integers(1, 12), budgets)
def test_caps_are_kept_from_the_first_plan_on(count, total_w):
    shares = watts([capped(total_w)], [car(number, "A") for number in range(count)])

    assert sum(shares) <= total_w + 1e-6
    assert sum(shares) >= min(total_w, count * FULL_W) - 4_140 - count
