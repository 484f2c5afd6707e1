"""Which event decides for a session, and what exactly it asks of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.electricity import BelowMinimum, Limit, Unit
from tests.dr_events.plans import (
    DC,
    ONE_PHASE,
    THREE_PHASES,
    circuits,
    ids,
    order,
    planned,
)


def test_without_an_event_there_is_no_limit():
    assert planned().limit is None
    assert planned().binding is None


def test_one_event_decides_alone():
    decided = planned(order("A", 4200))

    assert (decided.limit, decided.binding) == (Limit(Unit.POWER, 4200), ids["A"])
    assert decided.expected_relief_w == 6800
    assert decided.cause == "A"
    assert decided.runners_up == ()


@pytest.mark.parametrize(
    ("orders", "binding"),
    [
        # higher priority first, 0 is the highest, none the lowest …
        ([order("A", 4200, priority=5), order("B", 6000, priority=0)], "B"),
        ([order("A", 4200, priority=None), order("B", 6000, priority=32767)], "B"),
        ([order("A", 4200, priority=0), order("B", 4300, priority=0)], "A"),
        # … among equals the lowest limit …
        ([order("A", 6000), order("B", 5000), order("C", 7000)], "B"),
        ([order("A", 6000), order("B", 8, unit=Unit.CURRENT)], "B"),  # 5,520 W
        ([order("A", 6000), order("B", 9, unit=Unit.CURRENT)], "A"),  # 6,210 W
        ([order("A", 4200), order("B", 3000)], "B"),  # cannot be signalled: a pause
        ([order("A", 4200), order("B", 3000, below=BelowMinimum.MINIMUM)], "B"),  # 6 A: 4,140 W
        # … among those the one declared first.
        ([order("A", 6000, minute=1), order("B", 6000, minute=0)], "B"),
    ],
)
def test_of_several_events_one_decides(orders, binding):
    assert planned(*orders).binding == ids[binding]
    assert planned(*reversed(orders)).binding == ids[binding]


def test_overlap_lower_priority_is_a_runner_up():
    decided = planned(order("A", 4200, priority=5), order("B", 6000, priority=0), order("C", 9000))

    assert decided.limit == Limit(Unit.POWER, 6000)
    assert [ruling.event_id for ruling in decided.runners_up] == [ids["A"], ids["C"]]


def test_when_the_binding_event_is_gone_the_next_one_decides():
    a, b = order("A", 4200, priority=5), order("B", 6000, priority=0)

    assert planned(a, b).limit == Limit(Unit.POWER, 6000)
    assert planned(a, names="AB").limit == Limit(Unit.POWER, 4200)


@pytest.mark.parametrize(
    ("circuit", "watts", "below", "limit"),
    [
        (THREE_PHASES, 4139, BelowMinimum.PAUSE, 0),
        (THREE_PHASES, 4139, BelowMinimum.MINIMUM, 4140),
        (THREE_PHASES, 4140, BelowMinimum.PAUSE, 4140),
        (ONE_PHASE, 1380, BelowMinimum.PAUSE, 1380),
        (ONE_PHASE, 1379, BelowMinimum.PAUSE, 0),
        (DC, 1000, BelowMinimum.PAUSE, 1000),
        (THREE_PHASES, 0, BelowMinimum.MINIMUM, 0),
    ],
)
def test_no_limit_is_wanted_that_cannot_be_signalled(circuit, watts, below, limit):
    decided = planned(order("A", watts, below=below), circuit=circuit)

    assert decided.limit == Limit(Unit.POWER, limit)


def test_an_exempt_session_is_limited_by_nobody():
    assert planned(order("A", 4200), exempt="exempt_site").limit is None


@pytest.mark.parametrize(
    ("power_w", "relief_w"), [(11_000.0, 6_800), (4_200.0, 0), (0.0, 0), (None, 0)]
)
def test_the_expected_relief_is_what_the_limit_takes_off_the_present_draw(power_w, relief_w):
    assert planned(order("A", 4200), power_w=power_w).expected_relief_w == relief_w


orders_ = st.lists(
    st.builds(
        order,
        st.sampled_from(list(ids)),
        st.floats(0, 25_000),
        priority=st.none() | st.integers(0, 3),
        minute=st.integers(0, 5),
        below=st.sampled_from(BelowMinimum),
    ),
    max_size=8,
    unique_by=lambda one: one.event_id,
)


@given(orders_, circuits)
def test_the_strictest_of_the_highest_priority_always_decides(orders, circuit):
    decided = planned(*orders, circuit=circuit)

    if not orders:
        assert decided.limit is None
        return
    highest = min(_rank(one) for one in orders)
    equals = [one for one in orders if _rank(one) == highest]
    strictest = min(circuit.watts(circuit.signalled(o.ask.limit, o.below_minimum)) for o in equals)
    assert circuit.watts(decided.limit) == strictest
    assert len(decided.runners_up) == len(orders) - 1


@given(orders_, circuits)
def test_what_is_wanted_can_always_be_signalled(orders, circuit):
    limit = planned(*orders, circuit=circuit).limit

    if limit is not None and not circuit.is_dc:
        assert limit.is_pause or circuit.amperes(limit) >= 6 - 1e-6


@given(st.permutations(list("ABCD")))
def test_the_order_in_which_events_come_means_nothing(names):
    orders = {"A": order("A", 5000), "B": order("B", 5000), "C": order("C", 4500, priority=1),
              "D": order("D", 9000, priority=1)}  # fmt: skip

    assert planned(*(orders[name] for name in names)).binding == ids["C"]


def _rank(one):
    return (one.priority is None, one.priority or 0)
