"""Caps that sessions share: what is fair, whom they bind, who counts under them, what a change is
worth, and in which order it is made."""

import pytest

from chargers.electricity import Unit
from dr_events.orders import Rules
from dr_events.planner import CapState
from tests.dr_events.planning import (
    DC,
    ONE_PHASE,
    T0,
    Cap,
    Percent,
    ago,
    amperes,
    bindings,
    car,
    each,
    held,
    ids,
    limits,
    only,
    order,
    part,
    planned,
    watts,
)

FLEET_CAP = (ids["A"], None)


def a_cap(watts_, name="A", *, a_site=False, priority=None):
    return order(name, Cap(watts_, a_site), priority=priority)


# --- whom a cap binds, and to what ----------------------------------------------------------


def test_a_cap_is_shared_evenly():
    plan = planned([a_cap(40_000)], [car(number, "A") for number in range(4)])

    assert limits(plan) == [10_000] * 4
    assert bindings(plan) == ["A"] * 4
    assert plan.caps == {FLEET_CAP: CapState(40_000, cars=4, allowed_w=40_000)}


def test_a_cap_a_site_is_shared_at_each_site():
    cars = [car(1, "A"), car(2, "A"), *(car(number, "A", site=2) for number in (3, 4, 5, 6))]

    plan = planned([a_cap(20_000, a_site=True)], cars)

    assert limits(plan) == [10_000] * 2 + [5_000] * 4
    assert set(plan.caps) == {(ids["A"], 1), (ids["A"], 2)}


def test_what_a_car_cannot_take_goes_to_the_others():
    cars = [car(1, "A", circuit=ONE_PHASE), car(2, "A"), car(3, "A", draws=3_000)]

    # 7,360 W is all of one phase at 32 A; 4,140 W is 6 A on three phases, for a draw of 3,000 W.
    assert limits(planned([a_cap(24_000)], cars)) == [7_360, 12_500, 4_140]


def test_what_would_be_left_over_is_given_to_those_who_come():
    assert limits(planned([a_cap(60_000)], [car(1, "A", draws=3_000)])) == [22_080]


@pytest.mark.parametrize(
    ("orders", "capacity", "limit", "binding", "cap"),
    [
        # A cap and a limit for each at once: the stricter …
        ([a_cap(8_000), order("B", each(5_000))], None, 5_000, "B", None),
        ([a_cap(8_000), order("B", each(9_000))], None, 8_000, "A", FLEET_CAP),
        ([a_cap(8_000), order("B", Percent(50))], None, 5_500, "B", None),
        ([a_cap(8_000), order("B", each(0))], None, 0, "B", None),
        # … of two caps, too …
        ([a_cap(8_000), a_cap(6_000, "B", a_site=True)], None, 6_000, "B", (ids["B"], 1)),
        ([a_cap(8_000), a_cap(9_000, "B", a_site=True)], None, 8_000, "A", FLEET_CAP),
        # … but of the highest priority that applies.
        ([a_cap(8_000, priority=0), order("B", each(5_000), priority=1)], None, 8_000, "A",
         FLEET_CAP),
        ([a_cap(5_000, priority=1), order("B", each(8_000), priority=0)], None, 8_000, "B", None),
        ([a_cap(5_000, priority=1), a_cap(8_000, "B", priority=0)], None, 8_000, "B",
         (ids["B"], None)),
        # A site's standing capacity holds beside any event.
        ([], 8_000, 8_000, None, (None, 1)),
        ([a_cap(9_000, priority=0)], 8_000, 8_000, None, (None, 1)),
        ([a_cap(7_000)], 8_000, 7_000, "A", FLEET_CAP),
        ([order("B", each(5_000))], 8_000, 5_000, "B", None),
        ([order("B", each(9_000), priority=0)], 8_000, 8_000, None, (None, 1)),
        # All at once: for each, a site cap, an event cap, another priority, a standing capacity.
        ([order("B", each(7_000), priority=1), a_cap(6_500, "C", a_site=True, priority=1),
          a_cap(6_000, "D", priority=1), order("E", each(4_200), priority=2)],
         6_800, 6_000, "D", (ids["D"], None)),
        # Between two steps a cap orders nothing.
        ([order("A", None, priority=0), order("B", each(5_000), priority=1)], None, 5_000, "B",
         None),
    ],
)  # fmt: skip
def test_the_strictest_of_the_highest_priority_that_applies_holds(
    orders, capacity, limit, binding, cap
):
    parts = [part(one.label, before=11_000) for one in orders]

    for given in (orders, orders[::-1]):
        plan = only(planned(given, [car(1, parts)], capacity=capacity))
        assert plan.limit == watts(limit)
        assert plan.binding == (binding and ids[binding])
        assert plan.cap == cap
        assert plan.cause == (binding or "site capacity")


def test_what_others_ask_of_each_session_are_runners_up():
    orders = [
        a_cap(8_000, priority=1),
        order("B", each(9_000), priority=1),
        order("C", each(5_000), priority=2),
    ]

    plan = only(planned(orders, [car(1, "ABC")]))

    assert [ruling.event_id for ruling in plan.runners_up] == [ids["B"], ids["C"]]


def test_a_limit_above_all_that_the_connector_gives_leaves_room_to_others():
    orders = [order("A", each(50_000), priority=0), a_cap(30_000, "B", priority=1)]
    cars = [car(1, "AB", grip=held(50_000)), car(2, "B", grip=held(5_000), draws=5_000)]

    plan = planned(orders, cars)

    # 22,080 W are all that the connector gives.
    assert limits(plan) == [50_000, 7_920]
    assert plan.plans[1].waits == ""


def test_under_a_cap_nobody_is_told_more_than_his_connector_gives():
    orders = [a_cap(22_100), order("B", each(50_000))]

    assert limits(planned(orders, [car(1, "AB", grip=held(50_000))])) == [22_080]


def test_a_limit_in_amperes_stays_one_where_it_is_the_share():
    orders = [a_cap(60_000), order("B", each(10, Unit.CURRENT))]

    assert only(planned(orders, [car(1, "AB")])).limit == amperes(10)


def test_a_cap_of_nothing_pauses_everybody():
    plan = planned([a_cap(0)], [car(1, "A"), car(2, "A", circuit=DC)])

    assert limits(plan) == [0, 0]
    assert plan.caps == {FLEET_CAP: CapState(0, cars=2, paused=2)}


# --- who counts without being bound ---------------------------------------------------------


@pytest.mark.parametrize(
    ("uncontrolled", "others", "free_w"),
    [
        # what it draws …
        (car(1, "A", exempt="exempt_site", draws=8_000), 6_000, 8_000),
        (car(1, [part("A", excused="opted_out")], draws=8_000), 6_000, 8_000),
        # … or may draw, where that is not metered.
        (car(1, "A", exempt="exempt_site", draws=None, circuit=ONE_PHASE), 6_320, 7_360),
    ],
)
def test_who_cannot_be_held_counts_at_what_it_draws(uncontrolled, others, free_w):
    plan = planned([a_cap(20_000)], [uncontrolled, car(2, "A"), car(3, "A")])

    assert limits(plan) == [None, others, others]
    assert plan.caps[FLEET_CAP].free_w == free_w


def test_a_cap_that_those_who_cannot_be_held_exceed_says_by_how_much():
    exempt = car(1, "A", exempt="exempt_site", draws=8_000)

    plan = planned([a_cap(5_000)], [exempt, car(2, "A")])

    assert limits(plan) == [None, 0]
    assert plan.caps[FLEET_CAP].over_w == 3_000


def test_who_is_exempt_counts_under_a_standing_capacity_too():
    exempt = car(1, exempt="exempt_site", draws=8_000)

    assert limits(planned([], [exempt, car(2)], capacity=15_000)) == [None, 7_000]


def test_an_opt_out_is_still_held_to_its_sites_standing_capacity():
    out = car(1, [part("A", excused="opted_out")])

    plan = planned([a_cap(3_000)], [out, car(2)], capacity=16_000)

    assert limits(plan) == [8_000, 8_000]
    assert bindings(plan) == [None, None]


def test_whom_a_higher_priority_holds_counts_at_what_that_allows():
    orders = [order("A", each(6_000), priority=0), a_cap(20_000, "B", priority=1)]

    plan = planned(orders, [car(1, "AB"), car(2, "B"), car(3, "B")])

    assert limits(plan) == [6_000, 7_000, 7_000]


def test_who_is_excused_counts_at_what_a_lower_priority_allows():
    orders = [a_cap(20_000, priority=0), order("B", each(8_000), priority=5)]
    out = [part("A", excused="opted_out"), part("B")]

    for grips in ([None] * 3, [held(8_000), held(10_000), held(10_000)]):
        cars = [car(1, out, grip=grips[0]), car(2, "A", grip=grips[1]), car(3, "A", grip=grips[2])]
        assert limits(planned(orders, cars)) == [8_000, 6_000, 6_000]


def test_two_who_are_each_excused_from_the_others_cap_exceed_neither():
    orders = [a_cap(20_000), a_cap(20_000, "B")]
    one = [part("A"), part("B", excused="opted_out")]
    other = [part("A", excused="opted_out"), part("B")]
    cars = [car(1, one), car(2, other), car(3, "A"), car(4, "B")]

    plan = planned(orders, cars)

    for state in plan.caps.values():
        assert state.allowed_w <= 20_000
    assert min(limits(plan)) >= 4_140


def test_who_is_let_go_by_an_order_between_two_steps_counts_at_what_it_draws():
    orders = [order("A", None, priority=0), a_cap(20_000, "B", priority=1)]
    cars = [car(1, [part("A"), part("B", excused="opted_out")], draws=9_000), car(2, "B")]

    assert limits(planned(orders, cars)) == [None, 11_000]


# --- who does not answer --------------------------------------------------------------------


def test_a_station_that_does_not_answer_counts_at_the_most_that_it_may_hold():
    silent = car(1, "A", grip=held(4_500, at_most=9_000, stuck=True), draws=4_000)
    cars = [silent, car(2, "A", grip=held(9_000)), car(3, "A", grip=held(9_000))]

    assert limits(planned([a_cap(20_000)], cars)) == [4_500, 5_500, 5_500]


def test_a_car_that_does_not_obey_counts_at_what_it_draws():
    deaf = car(1, "A", grip=held(5_000, stuck=True), draws=11_000)
    cars = [deaf, car(2, "A", grip=held(5_000)), car(3, "A", grip=held(5_000))]

    plan = planned([a_cap(20_000)], cars)

    assert limits(plan) == [5_000, 4_500, 4_500]


def test_a_station_that_never_took_a_limit_counts_at_what_it_draws():
    offline = car(1, "A", grip=held(6_666, loose=True, stuck=True), draws=9_000)
    cars = [offline, car(2, "A", grip=held(6_666)), car(3, "A", grip=held(6_666))]

    assert limits(planned([a_cap(20_000)], cars)) == [6_666, 5_500, 5_500]


def test_who_is_stuck_is_told_less_but_never_more():
    cars = [car(1, "A", grip=held(4_500, stuck=True), draws=4_500), car(2, "A", grip=held(4_500))]

    assert limits(planned([a_cap(40_000)], cars))[0] == 4_500
    assert limits(planned([a_cap(8_400)], cars))[0] == 4_200


def test_who_is_stuck_is_not_told_less_in_vain():
    # 4,140 W would do for it, but nobody needs the rest.
    cars = [car(1, "A", grip=held(9_000, stuck=True), draws=1_000), car(2, "A", grip=held(9_000))]

    assert limits(planned([a_cap(40_000)], cars)) == [9_000, 22_080]


# --- what a change is worth -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("now_w", "since_s", "limit"),
    [
        # up to 500 W more is not worth a command …
        (9_500, 3600, 9_500),
        (9_499, 3600, 10_000),
        # … nor is more within a minute of the last one.
        (6_000, 59, 6_000),
        (6_000, 60, 10_000),
        # Less is due at once, however little.
        (10_001, 1, 10_000),
    ],
)
def test_a_small_or_early_raise_is_not_worth_a_command(now_w, since_s, limit):
    cars = [car(number, "A", grip=held(now_w, since_s=since_s), draws=now_w) for number in (1, 2)]

    plan = planned([a_cap(20_000)], cars)

    assert limits(plan) == [limit] * 2
    is_early = limit == now_w and since_s < 60
    assert (plan.again_at == ago(since_s - 60)) if is_early else (plan.again_at is None)


def test_dead_band_and_interval_are_the_operators():
    cars = [car(1, "A", grip=held(9_900, since_s=1), draws=9_900)]
    eager = Rules(dead_band_w=50, minimum_interval=T0 - ago(1))

    assert limits(planned([a_cap(10_000)], cars)) == [9_900]
    assert limits(planned([a_cap(10_000)], cars, rules=eager)) == [10_000]


def test_what_nobody_needs_is_not_taken_away():
    tapering = [car(number, "A", grip=held(10_000), draws=1_000) for number in (1, 2)]

    assert limits(planned([a_cap(20_000)], tapering)) == [10_000, 10_000]


def test_what_somebody_needs_is_taken_from_those_who_have_most_above_their_share():
    cars = [
        car(1, "A", grip=held(8_000), draws=1_000),
        car(2, "A", grip=held(7_000), draws=1_000),
        car(3, "A", grip=held(5_000), draws=5_000),
    ]

    # 3's share is 11,720 W. What 1 gives up leaves it 8,860 W, so 2 comes down as well.
    assert limits(planned([a_cap(20_000)], cars)) == [4_140, 4_140, 5_000]
    # 3's share is 8,720 W, of which 2 leaves nothing: 1 alone has enough to give.
    small = [*cars[:2], car(3, "A", grip=held(5_000), draws=5_000, circuit=ONE_PHASE)]
    assert limits(planned([a_cap(20_000)], small)) == [4_140, 7_000, 5_000]


# --- in which order -------------------------------------------------------------------------


def test_who_is_raised_waits_until_the_others_are_confirmed_to_have_less():
    cars = [car(1, "A", grip=held(15_000)), car(2, "A", grip=held(5_000), draws=5_000)]
    told = planned([a_cap(20_000)], cars)
    assert limits(told) == [10_000, 5_000]
    assert [one.waits for one in told.plans] == ["", "room"]

    not_yet = car(1, "A", grip=held(10_000, since_s=1, at_most=15_000))
    assert limits(planned([a_cap(20_000)], [not_yet, cars[1]])) == [10_000, 5_000]

    confirmed = car(1, "A", grip=held(10_000, since_s=2))
    assert limits(planned([a_cap(20_000)], [confirmed, cars[1]])) == [10_000, 10_000]


def test_who_comes_gets_what_the_others_are_confirmed_to_leave():
    there = [car(number, "A", grip=held(10_000)) for number in (1, 2)]

    full = planned([a_cap(20_000)], [*there, car(3, "A")])
    assert limits(full) == [6_666, 6_666, 0]
    assert full.plans[2].waits == "room"

    assert limits(planned([a_cap(24_500)], [*there, car(3, "A")]))[2] == 4_500


def test_nobody_is_raised_beside_one_who_may_be_drawing_all_there_is():
    cars = [car(1, "A", grip=held(5_000), draws=5_000), car(2, "A", grip=held(5_000, loose=True))]

    plan = planned([a_cap(26_000)], cars)

    assert limits(plan) == [5_000, 5_000]
    # 2 has no room before its own first limit is confirmed, 1 as long as 2 may draw 22,080 W.
    assert [one.waits for one in plan.plans] == ["room", "room"]


def test_part_of_a_raise_is_made_if_it_is_no_small_part():
    def beside(at_most):
        other = car(1, "A", grip=held(10_000, at_most=at_most))
        return limits(planned([a_cap(20_000)], [other, car(2, "A", grip=held(5_000), draws=5_000)]))

    assert beside(14_600) == [10_000, 5_000]
    assert beside(14_000) == [10_000, 6_000]


def test_who_cannot_rise_keeps_his_room_under_his_other_caps():
    orders = [a_cap(30_000), a_cap(9_000, "B")]
    cars = [
        car(1, "AB", grip=held(4_200), draws=4_200),
        car(2, "B", grip=held(4_200, at_most=9_000)),
        car(3, "A", grip=held(10_000), draws=10_000),
    ]

    plan = planned(orders, cars)

    # B has no room for 1 yet; its 4,200 W are still A's.
    assert limits(plan) == [4_200, 4_200, 22_080]
    tight = planned([a_cap(20_000), orders[1]], cars)
    assert limits(tight) == [4_200, 4_200, 15_500]


def test_nobody_is_raised_under_a_cap_that_is_overdrawn():
    cars = [
        car(1, "A", grip=held(6_000, at_most=30_000)),
        car(2, "A", grip=held(12_000, at_most=12_000)),
        car(3, "A", grip=held(4_200), draws=4_200),
    ]

    assert limits(planned([a_cap(24_000)], cars))[2] == 4_200


def test_what_no_cap_binds_waits_for_nobody():
    orders = [order("A", each(9_000), priority=0), a_cap(20_000, "B", priority=1)]
    cars = [
        car(1, "AB", grip=held(5_000)),
        car(2, "B", grip=held(7_500)),
        car(3, "B", grip=held(7_500)),
    ]

    assert limits(planned(orders, cars)) == [9_000, 5_500, 5_500]


@pytest.mark.parametrize(
    ("cap_w", "circuit", "wanted", "limit"),
    [
        # What is sent is whole watts, and never more than the share …
        (10_000.9, ONE_PHASE, None, watts(5_000)),
        # … and what is the same to a watt stays as it was said.
        (13_800, ONE_PHASE, amperes(30), amperes(30)),
        (13_801.8, ONE_PHASE, amperes(30), amperes(30)),
        (11_040, DC, amperes(13.8), amperes(13.8)),
    ],
)
def test_a_share_is_said_in_whole_watts_or_as_it_was(cap_w, circuit, wanted, limit):
    grip = None if wanted is None else held(wanted, circuit=circuit)
    draws = None if wanted is None else circuit.watts(wanted)
    cars = [car(number, "A", circuit=circuit, grip=grip, draws=draws) for number in (1, 2)]

    assert planned([a_cap(cap_w)], cars).plans[0].limit == limit


def test_the_order_in_which_cars_come_means_nothing():
    orders = [a_cap(30_000), a_cap(9_000, "B", a_site=True)]
    cars = [car(number, "AB" if number % 2 else "A", site=number % 3) for number in range(7)]

    forwards, backwards = planned(orders, cars), planned(orders, cars[::-1])

    assert limits(forwards) == limits(backwards)[::-1]
