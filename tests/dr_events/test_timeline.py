"""Which step of an event is in force."""

from datetime import timedelta

import pytest

from chargers.electricity import Unit
from dr_events.amounts import Amount, Kind
from dr_events.timeline import Step, has_gap, step_at

WATTS = Amount(Kind.PER_SITE, Unit.POWER, 40_000)


def minutes(count):
    return timedelta(minutes=count)


def step(starts, ends, amount=WATTS):
    return Step(minutes(starts), None if ends is None else minutes(ends), amount)


# 0–15, a gap, 20–30, and from 30 to the end of the event
STEPS = [step(0, 15), step(20, 30), step(30, None)]


@pytest.mark.parametrize(
    ("elapsed", "number"),
    [
        (0, 0),
        (14.99, 0),
        (15, None),  # ends are exclusive
        (19.99, None),
        (20, 1),
        (29.99, 1),
        (30, 2),
        (1_000_000, 2),
        (-10, 0),  # a session that begins early begins with the first step
    ],
)
def test_one_step_at_the_most_is_in_force(elapsed, number):
    in_force = None if number is None else STEPS[number]

    assert step_at(STEPS, minutes(elapsed)) == in_force


def test_without_steps_nothing_is_in_force():
    assert step_at([], minutes(3)) is None


def test_a_first_step_that_starts_later_leaves_the_beginning_without():
    assert step_at([step(5, 10)], minutes(0)) is None


@pytest.mark.parametrize(
    ("steps", "gap"),
    [
        ([], False),
        ([step(0, 15)], False),
        ([step(0, 15), step(15, None)], False),
        ([step(0, 15), step(15, 30), step(31, None)], True),
        # What nobody orders before the first or after the last is no gap between two.
        ([step(5, 15), step(15, 30)], False),
    ],
)
def test_a_gap_is_time_between_two_steps_in_which_nothing_is_ordered(steps, gap):
    assert has_gap(steps) is gap
