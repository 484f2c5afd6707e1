"""Which step of an event is in force, and when that changes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.electricity import Unit
from dr_events.amounts import Amount, Kind
from dr_events.timeline import Step, has_gap, next_change, step_at

WATTS = Amount(Kind.PER_SITE, Unit.POWER, 40_000)


def minutes(count):
    return timedelta(minutes=count)


def step(starts, ends, amount=WATTS):
    return Step(minutes(starts), None if ends is None else minutes(ends), amount)


# 0–15, a gap, 20–30, and from 30 to the end of the event
STEPS = [step(0, 15), step(20, 30), step(30, None)]


@pytest.mark.parametrize(
    ("elapsed", "number", "change"),
    [
        (0, 0, 15),
        (14.99, 0, 15),
        (15, None, 20),  # ends are exclusive
        (19.99, None, 20),
        (20, 1, 30),
        (29.99, 1, 30),
        (30, 2, None),
        (1_000_000, 2, None),
        (-10, 0, 15),  # a session that begins early begins with the first step
    ],
)
def test_one_step_is_in_force_until_the_next_change(elapsed, number, change):
    in_force = None if number is None else STEPS[number]

    assert step_at(STEPS, minutes(elapsed)) == in_force
    assert next_change(STEPS, minutes(elapsed)) == (change and minutes(change))


def test_without_steps_nothing_is_in_force_and_nothing_changes():
    assert step_at([], minutes(3)) is None
    assert next_change([], minutes(3)) is None


def test_a_first_step_that_starts_later_leaves_the_beginning_without():
    assert step_at([step(5, 10)], minutes(0)) is None
    assert next_change([step(5, 10)], minutes(0)) == minutes(5)
    assert next_change([step(5, 10)], minutes(10)) is None


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


@st.composite
def timelines(draw):
    """Steps that follow each other, some of them at once."""
    times = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=8)))
    pairs = list(zip(times[::2], times[1::2], strict=False))
    return [step(starts, ends) for starts, ends in pairs]


@given(timelines(), st.integers(-5, 70))
def test_between_two_changes_nothing_changes(steps, elapsed):
    change = next_change(steps, minutes(elapsed))
    until = minutes(70) if change is None else change

    before = {step_at(steps, at) for at in (minutes(elapsed), until - timedelta(seconds=1))}

    if until > minutes(max(elapsed, 0)):
        assert len(before) == 1
    if change is not None:
        assert step_at(steps, change) != step_at(steps, minutes(elapsed))
