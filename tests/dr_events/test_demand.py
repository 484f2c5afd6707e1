"""What a car can really take, by what its meter shows."""

from datetime import timedelta

import pytest

from dr_events.demand import Metering, ceiling_w
from tests.dr_events.planning import T0, ago

MOST_W, LEAST_W = 22_080.0, 4_140.0
SETTLING = timedelta(seconds=60)


def ceiling(draws, limit=None, *, for_s=600, read_s=0, has_w=None, least_w=LEAST_W):
    """For a car under a limit since `for_s`, read `read_s` ago."""
    metered_at = None if draws is None else ago(read_s)
    return ceiling_w(
        Metering(draws, metered_at, limit, ago(for_s)),
        has_w=has_w if has_w is not None else limit or 0.0,
        least_w=least_w,
        most_w=MOST_W,
        settling=SETTLING,
        now=T0,
    )


@pytest.mark.parametrize(
    ("draws", "limit", "wants"),
    [
        # Who draws nearly all that he may could take more …
        (8_000, 8_000, MOST_W),
        (6_800, 8_000, MOST_W),  # from 85 %
        (8_400, 8_000, MOST_W),
        (4_500, 5_000, MOST_W),
        (1_000, 1_500, MOST_W),  # within 500 W
        (0, 0, MOST_W),  # a pause says nothing
        # … who draws clearly less cannot use the rest, but for some headroom: a quarter, or 700 W.
        (6_799, 8_000, 6_799 * 1.25),
        (4_000, 8_000, 5_000),
        (2_000, 8_000, LEAST_W),
        # Without a limit the draw is all that it wants.
        (8_000, None, 10_000),
        (20_000, None, MOST_W),
        (0, None, LEAST_W),
        # What is not metered may be anything.
        (None, 8_000, MOST_W),
        (None, None, MOST_W),
    ],
)
def test_a_car_wants_what_its_meter_shows_that_it_can_use(draws, limit, wants):
    assert ceiling(draws, limit) == pytest.approx(wants)


@pytest.mark.parametrize(("draws", "wants"), [(100, 800), (1_000, 1_700), (4_000, 5_000)])
def test_the_headroom_is_a_quarter_or_enough_to_be_seen(draws, wants):
    assert ceiling(draws, 20_000, least_w=0) == wants


@pytest.mark.parametrize(
    ("for_s", "read_s", "settled"),
    [
        (60, 0, True),
        (59, 0, False),
        (90, 30, True),
        (90, 31, False),  # metered 59 s after the limit came
        (30, 60, False),  # metered before it came
    ],
)
def test_a_reading_counts_once_the_limit_has_had_the_time_to_show_in_it(for_s, read_s, settled):
    wants = ceiling(1_000, 8_000, for_s=for_s, read_s=read_s)

    assert wants == (LEAST_W if settled else 8_000)


def test_until_then_a_car_wants_just_what_it_has():
    assert ceiling(1_000, 8_000, for_s=10) == 8_000
    # More is on its way to it; or less, which the reading says nothing of.
    assert ceiling(1_000, 8_000, for_s=10, has_w=9_000) == 9_000
    assert ceiling(1_000, 8_000, for_s=10, has_w=5_000) == 8_000
    assert ceiling(1_000, 1_600, for_s=10) == LEAST_W
    # It has just plugged in.
    assert ceiling(0, None, for_s=10) == MOST_W


@pytest.mark.parametrize("for_s", [1, 59, 60, 600])
def test_who_draws_all_that_he_may_wants_more_however_new_his_limit_is(for_s):
    """Else the others would be given what is left, and have it taken away again a minute later."""
    assert ceiling(7_900, 8_000, for_s=for_s) == MOST_W


def test_an_old_reading_says_nothing():
    assert ceiling(1_000, 8_000, read_s=300) == LEAST_W
    assert ceiling(1_000, 8_000, read_s=301, for_s=900) == MOST_W


@pytest.mark.parametrize("draws", [0, 500, 1_000, 3_000, 4_000, 6_000, 9_000, 20_000])
def test_a_car_that_is_brought_down_to_what_it_wants_goes_on_wanting_that(draws):
    """Or its share would swing to and fro with every reading."""
    wants = ceiling(draws, 22_000, least_w=1_380)
    again = ceiling(min(draws, wants), wants, least_w=1_380)

    assert again in (wants, MOST_W)
    assert again == wants or draws >= 0.85 * 22_000
