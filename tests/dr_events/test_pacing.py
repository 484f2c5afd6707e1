"""Giving power back as a slope, by itself and where the planner steps upwards."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_events import pacing
from dr_events.pacing import LONGEST_RISE, SLACK, Pace, Step, paced, ramped_w
from tests.dr_events.planning import (
    T0,
    Cap,
    ago,
    amperes,
    car,
    each,
    held,
    ids,
    limits,
    order,
    part,
    planned,
    watts,
)
from tests.dr_events.street import later

PACE = Pace(6_000, reached_at=T0)


def steps(*watts_, chance=0.0):
    return [Step(key, one, chance) for key, one in enumerate(watts_, 1)]


@pytest.mark.parametrize(
    ("after_s", "due", "next_s"),
    [
        # 6 kW a minute: steps of 3, 1 and 2 kW are due after 30, 40 and 60 s.
        (0, [], 30),
        (29, [], 30),
        (30, [1], 40),
        (39, [1], 40),
        (40, [1, 2], 60),
        (60, [1, 2, 3], None),
    ],
)
def test_each_step_waits_until_the_slope_has_grown_by_it(after_s, due, next_s):
    """Asked every second, as the loop does."""
    reached_at, done, left = T0, [], steps(3_000, 1_000, 2_000)
    for second in range(after_s + 1):
        found = paced(left, Pace(6_000, reached_at=reached_at), now=later(T0, second))
        reached_at, done = found.reached_at, done + found.due
        left = [one for one in left if one.key not in done]

    assert done == due
    assert found.next_at == (next_s and later(T0, next_s))


def test_a_slope_begins_when_it_is_first_asked_for():
    found = paced(steps(3_000), Pace(6_000), now=T0)

    assert (found.due, found.reached_at, found.next_at) == ([], T0, later(T0, 30))


def test_nothing_to_add_is_due_at_once():
    assert paced(steps(0, 0), PACE, now=T0).due == [1, 2]
    assert paced([], PACE, now=T0).next_at is None


def test_what_an_outage_left_unused_is_not_made_up_for():
    found = paced(steps(3_000, 3_000, 3_000), PACE, now=later(T0, 3600))

    assert found.due == [1]
    assert found.next_at == later(T0, 3600 - SLACK.total_seconds() + 30)


def test_a_step_is_made_longer_by_its_share_of_chance():
    pace = Pace(6_000, random_share=0.5, reached_at=T0)

    assert paced(steps(3_000), pace, now=T0).next_at == later(T0, 30)
    assert paced(steps(3_000, chance=1.0), pace, now=T0).next_at == later(T0, 45)


@given(
    st.lists(st.floats(0, 22_000), max_size=12),
    st.floats(100, 50_000),
    st.floats(0, 1),
    st.lists(st.floats(0.1, 300), min_size=1, max_size=40),
)
def test_no_slope_is_ever_steeper_than_its_bound(watts_, rate, share, pauses):
    """Whenever it is asked, and however long nobody asks: between any two moments no more is
    added than the slope allows in that time and the slack, but for the step that ends it."""
    left = steps(*watts_, chance=0.3)
    now, reached_at, added = T0, T0, []
    for pause in pauses:
        now = later(now, pause)
        found = paced(left, Pace(rate, share, reached_at), now=now)
        reached_at = found.reached_at
        added += [(now, one.watts) for one in left if one.key in found.due]
        left = [one for one in left if one.key not in found.due]

    for first, (began, _) in enumerate(added):
        for last in range(first, len(added)):
            ended = added[last][0]
            allowed = rate * (ended - began + SLACK).total_seconds() / 60
            assert sum(one for _, one in added[first + 1 : last + 1]) <= allowed + 1e-3


@pytest.mark.parametrize(
    ("cap_w", "from_w", "reached_s", "ramped"),
    [
        # up by 100 W a second …
        (20_000, 10_000, 2, 10_200),
        (10_100, 10_000, 2, 10_100),
        # … for longer than 5 s it has not been rising …
        (20_000, 10_000, 3600, 10_500),
        # … down at once, and at once where there is no slope yet.
        (8_000, 10_000, 2, 8_000),
        (10_000, 10_000, 2, 10_000),
        (20_000, 10_000, None, 20_000),
    ],
)
def test_a_cap_comes_up_as_a_slope_and_down_at_once(cap_w, from_w, reached_s, ramped):
    pace = Pace(6_000, reached_at=None if reached_s is None else ago(reached_s))

    assert ramped_w(cap_w, pace, from_w=from_w, now=T0) == ramped
    assert timedelta(seconds=5) == LONGEST_RISE


def test_chance_is_the_same_whenever_it_is_drawn_and_another_in_every_event():
    drawn = [pacing.chance(ids[name], number) for name in "AB" for number in range(200)]

    assert drawn[:200] == [pacing.chance(ids["A"], number) for number in range(200)]
    assert len(set(drawn)) == 400
    assert all(0 <= one < 1 for one in drawn)
    assert 0.4 < sum(drawn) / 400 < 0.6


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_random_start_is_within_its_window_on_its_side_of_the_events(minutes):
    window = timedelta(minutes=minutes)
    starts = [pacing.random_start(window, ids["A"], number) for number in range(100)]

    first, last = sorted((timedelta(0), window))
    assert first <= min(starts) < max(starts) <= last
    assert len(set(starts)) == 100


# --- in the planner -------------------------------------------------------------------------


def slow(ask, *, name="A", rate=3_000, reached_at=T0, priority=None):
    return order(name, ask, priority=priority, pace=Pace(rate, reached_at=reached_at))


def climbing(count, grip=None):
    return [car(number, "A", grip=grip or held(5_000)) for number in range(count)]


def test_a_step_upwards_is_made_one_by_one():
    cars = climbing(3)

    plan = planned([slow(each(8_000))], cars, now=T0)
    assert limits(plan) == [5_000] * 3
    assert [one.waits for one in plan.plans] == ["pace"] * 3
    assert (plan.again_at, plan.reached) == (later(T0, 60), {ids["A"]: T0})

    plan = planned([slow(each(8_000))], cars, now=later(T0, 60))
    assert sorted(limits(plan)) == [5_000, 5_000, 8_000]
    assert (plan.again_at, plan.reached) == (later(T0, 120), {ids["A"]: later(T0, 60)})


def test_a_step_downwards_or_a_first_limit_waits_for_nothing():
    assert limits(planned([slow(each(4_500))], climbing(2))) == [4_500, 4_500]
    assert limits(planned([slow(each(4_500))], [car(1, "A")])) == [4_500]


def test_a_step_in_amperes_is_a_step():
    assert limits(planned([slow(each(8_000))], climbing(1, held(amperes(8))))) == [8]


def test_what_the_connector_does_not_give_adds_nothing():
    full = held(22_080)

    assert limits(planned([slow(each(50_000))], climbing(1, full))) == [50_000]


def test_each_event_has_its_own_slope():
    orders = [slow(each(8_000)), slow(each(8_000), name="B")]
    cars = [car(1, "A", grip=held(5_000)), car(2, "B", grip=held(5_000))]

    plan = planned(orders, cars, now=later(T0, 60))

    assert limits(plan) == [8_000, 8_000]
    assert plan.reached == {ids["A"]: later(T0, 60), ids["B"]: later(T0, 60)}


def test_who_waits_for_his_step_leaves_the_cap_that_he_counts_under_as_it_is():
    orders = [slow(each(9_000), priority=0), order("B", Cap(20_000), priority=1)]
    cars = [car(1, [part("A"), part("B")], grip=held(5_000)), car(2, "B", grip=held(11_000))]

    plan = planned(orders, cars)

    assert limits(plan) == [5_000, 11_000]


def test_planned_twice_at_the_same_moment_no_step_is_made_twice():
    now = later(T0, 60)
    cars = climbing(3)
    first = planned([slow(each(8_000))], cars, now=now)
    up = [
        car(number, "A", grip=held(one.limit or watts(0), since_s=-60))
        for number, one in enumerate(first.plans)
    ]

    again = planned([slow(each(8_000), reached_at=first.reached[ids["A"]])], up, now=now)

    assert limits(again) == limits(first)
