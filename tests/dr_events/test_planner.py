"""Which event decides for a session, and what exactly it asks of it. Caps are in
test_planner_caps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from dr_events.orders import Percent
from tests.dr_events.planning import (
    DC,
    ONE_PHASE,
    T0,
    THREE_PHASES,
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


def decided(*orders, parts=None, **changes):
    """What is decided for a car that takes part in all of these."""
    parts = parts if parts is not None else [part(one.label) for one in orders]
    return only(planned(orders, [car(1, parts, **changes)]))


def test_without_an_event_there_is_no_limit():
    plan = decided()

    assert (plan.limit, plan.binding, plan.cap, plan.waits) == (None, None, None, "")


def test_an_event_that_does_not_run_counts_for_nothing():
    assert decided(parts=[part("A")]).limit is None


def test_one_event_decides_alone():
    plan = decided(order("A", each(4200)))

    assert (plan.limit, plan.binding) == (watts(4200), ids["A"])
    assert plan.expected_relief_w == 6800
    assert plan.cause == "A"
    assert plan.runners_up == ()


@pytest.mark.parametrize(
    ("orders", "binding"),
    [
        # higher priority first, 0 is the highest, none the lowest …
        ([order("A", each(4200), priority=5), order("B", each(6000), priority=0)], "B"),
        ([order("A", each(4200), priority=None), order("B", each(6000), priority=32767)], "B"),
        ([order("A", each(4200), priority=0), order("B", each(4300), priority=0)], "A"),
        # … among equals the lowest limit …
        ([order("A", each(6000)), order("B", each(5000)), order("C", each(7000))], "B"),
        ([order("A", each(6000)), order("B", each(8, Unit.CURRENT))], "B"),  # 5,520 W
        ([order("A", each(6000)), order("B", each(9, Unit.CURRENT))], "A"),  # 6,210 W
        ([order("A", each(4200)), order("B", each(3000))], "B"),  # cannot be signalled: a pause
        ([order("A", each(4200)), order("B", each(3000), below=BelowMinimum.MINIMUM)], "B"),  # 6 A
        ([order("A", each(6000)), order("B", Percent(50))], "B"),  # 5,500 W
        ([order("A", each(6000)), order("B", Percent(60))], "A"),  # 6,600 W
        # … among those the one declared first …
        ([order("A", each(6000), minute=1), order("B", each(6000), minute=0)], "B"),
        # … and what orders nothing right now does not count, whatever its priority.
        ([order("A", each(6000), priority=5), order("B", None, priority=0)], "A"),
    ],
)
def test_of_several_events_one_decides(orders, binding):
    parts = [part(one.label, before=11_000) for one in orders]

    assert decided(*orders, parts=parts).binding == ids[binding]
    assert decided(*reversed(orders), parts=parts).binding == ids[binding]


def test_overlap_lower_priority_is_a_runner_up():
    a, b = order("A", each(4200), priority=5), order("B", each(6000), priority=0)

    plan = decided(a, b, order("C", each(9000)))

    assert plan.limit == watts(6000)
    assert [ruling.event_id for ruling in plan.runners_up] == [ids["A"], ids["C"]]
    assert [ruling.limit_w for ruling in plan.runners_up] == [4200, 9000]


def test_when_the_binding_event_is_gone_the_next_one_decides():
    a, b = order("A", each(4200), priority=5), order("B", each(6000), priority=0)
    parts = [part("A"), part("B")]

    assert decided(a, b).limit == watts(6000)
    assert decided(a, parts=parts).limit == watts(4200)


@pytest.mark.parametrize(
    ("circuit", "ask", "below", "limit"),
    [
        (THREE_PHASES, each(4139), BelowMinimum.PAUSE, watts(0)),
        (THREE_PHASES, each(4139), BelowMinimum.MINIMUM, watts(4140)),
        (THREE_PHASES, each(4140), BelowMinimum.PAUSE, watts(4140)),
        (THREE_PHASES, each(0), BelowMinimum.MINIMUM, watts(0)),
        (THREE_PHASES, each(5.9, Unit.CURRENT), BelowMinimum.PAUSE, amperes(0)),
        (THREE_PHASES, each(5.9, Unit.CURRENT), BelowMinimum.MINIMUM, amperes(6)),
        (ONE_PHASE, each(1380), BelowMinimum.PAUSE, watts(1380)),
        (ONE_PHASE, each(1379), BelowMinimum.PAUSE, watts(0)),
        # Volts are the site's: 6 A are 1,662 W at 277 V, 720 W at 120 V.
        (Circuit(277, 1, 40), each(1661), BelowMinimum.PAUSE, watts(0)),
        (Circuit(120, 1, 16), each(720), BelowMinimum.PAUSE, watts(720)),
        (Circuit(231.3, 3, 20), each(4163), BelowMinimum.MINIMUM, watts(4164)),
        (DC, each(1000), BelowMinimum.PAUSE, watts(1000)),
        (DC, each(1, Unit.CURRENT), BelowMinimum.PAUSE, amperes(1)),
    ],
)
def test_no_limit_is_wanted_that_cannot_be_signalled(circuit, ask, below, limit):
    assert decided(order("A", ask, below=below), circuit=circuit).limit == limit


@pytest.mark.parametrize(
    ("circuit", "percent", "before_w", "limit"),
    [
        (THREE_PHASES, Percent(50), 10_000, watts(5_000)),
        (THREE_PHASES, Percent(100), 10_000, watts(10_000)),
        (THREE_PHASES, Percent(0), 10_000, watts(0)),
        (THREE_PHASES, Percent(50, Unit.CURRENT), 13_800, amperes(10)),
        # Below 6 A it is a pause, or by the event's own choice 6 A …
        (THREE_PHASES, Percent(30), 10_000, watts(0)),
        (ONE_PHASE, Percent(30), 7_000, watts(2_100)),
        # … yet an idle car, or one of which nothing is known, gets 6 A: it may want to begin.
        (THREE_PHASES, Percent(50), 99, watts(4140)),
        (THREE_PHASES, Percent(50), None, watts(4140)),
        (ONE_PHASE, Percent(50), 0, watts(1380)),
        (THREE_PHASES, Percent(50, Unit.CURRENT), None, amperes(6)),
        (DC, Percent(50), None, watts(2400)),
        (THREE_PHASES, Percent(0), None, watts(0)),
    ],
)
def test_a_percentage_is_of_the_draw_when_the_session_came_in(circuit, percent, before_w, limit):
    parts = [part("A", before=before_w)]

    assert decided(order("A", percent), parts=parts, circuit=circuit).limit == limit
    # What it draws by now makes no difference.
    later = decided(order("A", percent), parts=parts, circuit=circuit, draws=4_000)
    assert later.limit == limit


def test_an_exempt_session_is_limited_by_nobody():
    plan = decided(order("A", each(4200)), exempt="exempt_site")

    assert (plan.limit, plan.binding) == (None, None)


def test_an_opt_out_is_out_of_that_event_alone():
    orders = [order("A", each(4200), priority=0), order("B", each(6000), priority=5)]
    out_of_a = [part("A", excused="opted_out"), part("B")]

    plan = decided(*orders, parts=out_of_a)

    assert (plan.limit, plan.binding) == (watts(6000), ids["B"])
    assert plan.runners_up == ()
    assert decided(orders[0], parts=out_of_a[:1]).limit is None


@pytest.mark.parametrize(
    ("hold", "others", "limit", "binding"),
    [
        # It stays where the event that is restoring holds it, whatever that ordered at last …
        (watts(5_000), [], watts(5_000), "A"),
        (amperes(8), [], amperes(8), "A"),
        # … by its priority and, among equals, with the strictest.
        (watts(5_000), [order("B", each(9_000), priority=5)], watts(5_000), "A"),
        (watts(5_000), [order("B", each(9_000), priority=0)], watts(9_000), "B"),
        (watts(5_000), [order("B", each(4_500), priority=3)], watts(4_500), "B"),
    ],
)
def test_who_is_still_in_an_event_that_is_restoring_stays_as_it_is(hold, others, limit, binding):
    parts = [part("A", hold=hold), part("B")]

    plan = decided(order("A", each(7_000), priority=3), *others, parts=parts)

    assert (plan.limit, plan.binding) == (limit, ids[binding])


@pytest.mark.parametrize(
    ("power_w", "relief_w"), [(11_000.0, 6_800), (4_200.0, 0), (0.0, 0), (None, 0)]
)
def test_the_expected_relief_is_what_the_limit_takes_off_the_present_draw(power_w, relief_w):
    assert decided(order("A", each(4200)), draws=power_w).expected_relief_w == relief_w


def test_an_event_limits_those_who_take_part_in_it_and_nobody_else():
    cars = [car(1, "A"), car(2), car(3, "AB"), car(4, "B")]

    plans = planned([order("A", each(4200)), order("B", each(6000))], cars)

    assert limits(plans) == [4200, None, 4200, 6000]
    assert bindings(plans) == ["A", None, "A", "B"]


orders_ = st.lists(
    st.builds(
        order,
        st.sampled_from(list(ids)),
        st.builds(each, st.floats(0, 25_000)),
        priority=st.none() | st.integers(0, 3),
        minute=st.integers(0, 5),
        below=st.sampled_from(BelowMinimum),
    ),
    max_size=8,
    unique_by=lambda one: one.event_id,
)
circuits = st.builds(
    Circuit, st.sampled_from([208.0, 230.0, 240.0]), st.integers(1, 3), st.just(32.0), st.booleans()
)


@given(orders_, circuits)
def test_the_strictest_of_the_highest_priority_always_decides(orders, circuit):
    plan = decided(*orders, circuit=circuit)

    if not orders:
        assert plan.limit is None
        return
    highest = min(one.rank for one in orders)
    equals = [one for one in orders if one.rank == highest]
    strictest = min(circuit.watts(signalled(one, circuit)) for one in equals)
    assert circuit.watts(plan.limit) == strictest
    assert len(plan.runners_up) == len(orders) - 1


def signalled(one, circuit) -> Limit:
    return circuit.signalled(one.ask.limit, one.below_minimum)


@given(orders_, circuits)
def test_what_is_wanted_can_always_be_signalled(orders, circuit):
    limit = decided(*orders, circuit=circuit).limit

    if limit is not None and not circuit.is_dc:
        assert limit.is_pause or circuit.amperes(limit) >= 6 - 1e-6


@given(st.permutations(list("ABCD")))
def test_the_order_in_which_events_come_means_nothing(names):
    orders = {
        "A": order("A", each(5000)),
        "B": order("B", each(5000)),
        "C": order("C", each(4500), priority=1),
        "D": order("D", each(9000), priority=1),
    }

    assert decided(*(orders[name] for name in names)).binding == ids["C"]


def test_what_is_wanted_already_is_wanted_again():
    a = order("A", each(4200))
    before = car(1, "A", grip=held(4200))

    assert only(planned([a], [before], now=T0)).limit == before.grip.wanted
