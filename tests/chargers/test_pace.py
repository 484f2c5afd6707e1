"""One rate for all workers together, and a pause for all when eDRV is in trouble."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest

from chargers import counters, pace
from chargers.edrv.errors import ProviderFailed, RateLimited
from chargers.models import Heartbeat
from tests.fleet import NOW, later

RATE = 50.0


@pytest.fixture(autouse=True)
def unhurried():
    """No reservation is left from before."""
    counters.connection().delete("edrv:next-request-at")


def gaps(starts):
    return [after - before for before, after in pairwise(sorted(starts))]


def granted(worker, count):
    """Starting times, and how long it took to get them."""
    began = time.time()
    return worker.starts(count), time.time() - began


def assert_paced(grants):
    """Never faster than the rate. A delay counts from the moment Redis gave it, which lies
    anywhere within the time the call took."""
    starts = sorted(start for found, _ in grants for start in found)
    slack_s = max(took_s for _, took_s in grants)
    for number, start in enumerate(starts):
        assert start - starts[0] >= number / RATE - slack_s - 1e-3


# --- the rate -----------------------------------------------------------------------------


def test_the_first_may_go_at_once_and_the_others_at_the_rate():
    before = time.time()
    starts = pace.Pace(RATE).starts(10)

    assert before <= starts[0] <= time.time()
    assert gaps(starts) == pytest.approx([1 / RATE] * 9, abs=1e-4)


def test_who_comes_later_queues_up_behind():
    one, another = pace.Pace(RATE), pace.Pace(RATE)

    assert_paced([granted(one, 50), granted(another, 50), granted(one, 1)])


def test_many_workers_keep_to_the_rate_together():
    with ThreadPoolExecutor(4) as pool:
        grants = list(pool.map(lambda _: granted(pace.Pace(RATE), 5), range(40)))

    assert sum(len(starts) for starts, _ in grants) == 200
    assert_paced(grants)


def test_time_that_nobody_used_is_not_saved_up():
    worker = pace.Pace(RATE)
    worker.starts(1)
    time.sleep(0.5)

    before = time.time()
    starts = worker.starts(20)

    assert starts[0] >= before
    assert gaps(starts) == pytest.approx([1 / RATE] * 19, abs=1e-4)


def test_the_reservation_is_forgotten_when_it_is_over():
    pace.Pace(RATE).starts(50)

    left_ms = counters.connection().pttl("edrv:next-request-at")

    assert 0 < left_ms <= 2001


@pytest.mark.parametrize(
    ("rate", "wanted", "most"),
    [(0, 400, 400), (50, 400, 25), (50, 10, 10), (0.5, 400, 1), (2.9, 400, 1)],
)
def test_no_more_than_half_a_second_s_worth_is_taken_on(rate, wanted, most):
    assert pace.Pace(rate).most(wanted) == most


def test_without_a_rate_everything_goes_at_once_and_nobody_is_asked():
    def nobody(count, rate_per_s):
        raise AssertionError

    starts = pace.Pace(0, reserve=nobody).starts(3)

    assert len(set(starts)) == 1
    assert starts[0] <= time.time()


def test_without_redis_each_worker_keeps_to_the_rate_by_itself(redis_away):
    worker = pace.Pace(RATE)

    starts = worker.starts(20) + worker.starts(20)

    assert min(gaps(starts)) >= 1 / RATE - 1e-3


def test_a_worker_that_loses_redis_does_not_start_anew(request):
    worker = pace.Pace(RATE)
    before = granted(worker, 20)
    request.getfixturevalue("redis_away")

    assert_paced([before, granted(worker, 20)])


# --- the pause ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_all_is_well_until_something_is_said():
    assert pace.held_until(now=NOW) is None
    assert not pace.in_trouble()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("lasting_s", "jitter", "pause_s"),
    [
        # At least a second, then as long again as it has lasted, 30 s at most; jitter takes up to
        # half of it away.
        (0, 1, 1),
        (0, 0, 0.5),
        (10, 1, 10),
        (10, 0, 5),
        (600, 1, 30),
        (600, 0, 15),
    ],
)
def test_the_longer_the_trouble_the_longer_the_pause(lasting_s, jitter, pause_s):
    pace.note_trouble(ProviderFailed("no", 502), jitter=jitter, now=NOW)
    now = later(lasting_s)

    pace.note_trouble(ProviderFailed("no", 502), jitter=jitter, now=now)

    assert pace.held_until(now=now) == now + timedelta(seconds=pause_s)
    assert pace.held_until(now=now + timedelta(seconds=pause_s)) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("retry_after_s", "held_s"), [(120, 120), (0.1, 0.5), (0, 0.5), (None, 0.5)]
)
def test_edrv_s_own_wish_is_kept_where_it_is_longer(retry_after_s, held_s):
    pace.note_trouble(RateLimited("slow down", 429, retry_after_s), jitter=0, now=NOW)

    assert pace.held_until(now=NOW) == later(held_s)


@pytest.mark.django_db
def test_trouble_keeps_the_time_it_began_and_the_reason_it_began_with():
    pace.note_trouble(ProviderFailed("bad gateway", 502), jitter=0, now=NOW)
    pace.note_trouble(RateLimited("slow down", 429), jitter=0, now=later(60))

    trouble = Heartbeat.objects.get(name=pace.TROUBLE)
    assert (trouble.at, trouble.detail) == (NOW, "provider_failed: HTTP 502: bad gateway")
    assert pace.in_trouble()


@pytest.mark.django_db
@pytest.mark.parametrize(("first_s", "second_s"), [(120, None), (None, 120), (120, 5)])
def test_no_pause_is_shortened_by_a_later_one(first_s, second_s):
    pace.note_trouble(RateLimited("slow down", 429, first_s), jitter=1, now=NOW)
    pace.note_trouble(RateLimited("slow down", 429, second_s), jitter=0, now=NOW)

    assert pace.held_until(now=NOW) == later(120)


@pytest.mark.django_db
def test_the_first_answer_to_a_probe_ends_the_trouble_and_our_pause():
    pace.note_trouble(ProviderFailed("no", 503), jitter=0, now=NOW)
    # Another probe of the same five has failed before it.
    pace.note_trouble(ProviderFailed("no", 503), jitter=0, now=later(60))

    assert pace.note_success(sent_at=later(59), now=later(61)) is True

    assert not pace.in_trouble()
    assert pace.held_until(now=later(61)) is None
    assert pace.note_success(sent_at=later(61), now=later(62)) is False
    assert Heartbeat.objects.get(name=pace.OK).at == later(62)


@pytest.mark.django_db
def test_what_was_sent_before_the_trouble_ends_none_however_late_it_is_answered():
    pace.note_trouble(ProviderFailed("no", 503), jitter=0, now=NOW)

    assert pace.note_success(sent_at=later(-0.1), now=later(9)) is False

    assert pace.in_trouble()


@pytest.mark.django_db
@pytest.mark.parametrize(("sent_s", "ends"), [(1, False), (119, False), (121, True)])
def test_the_pause_that_edrv_asks_for_is_kept_whatever_it_answers_meanwhile(sent_s, ends):
    pace.note_trouble(RateLimited("slow down", 429, 120), jitter=0, now=NOW)

    assert pace.note_success(sent_at=later(sent_s), now=later(sent_s)) is ends

    assert pace.in_trouble() is not ends
    assert (pace.held_until(now=later(sent_s)) is None) is ends
