"""What follows an attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dr_events.notices.retries import Outcome, hold, of_status, wait_s


@pytest.mark.parametrize(
    ("status", "word", "permanent"),
    [
        (200, "delivered", False),
        (204, "delivered", False),
        (301, "redirected", False),
        (307, "redirected", False),
        (400, "refused", False),
        (404, "refused", False),
        (410, "gone", True),
        (429, "refused", False),
        (500, "failed", False),
        (503, "failed", False),
    ],
)
def test_what_an_http_answer_means(status: int, word: str, permanent: bool) -> None:
    outcome = of_status(status, "", None)

    assert (outcome.word, outcome.permanent) == (word, permanent)


@pytest.mark.parametrize(
    # attempts so far, seconds until the next one, at most
    ("attempts", "most_s"),
    [(1, 5), (2, 15), (3, 45), (4, 135), (5, 405), (6, 1215), (7, 3600), (400, 3600)],
)
def test_attempts_come_ever_more_seldom(attempts: int, most_s: float) -> None:
    failed = Outcome("failed", 500)

    assert wait_s(failed, attempts=attempts, jitter=1) == most_s
    assert wait_s(failed, attempts=attempts, jitter=0) == most_s / 2


def test_a_receiver_s_own_wish_counts_within_reason() -> None:
    busy = Outcome("refused", 429, retry_after_s=120)

    assert wait_s(busy, attempts=1, jitter=1) == 120
    assert wait_s(Outcome("refused", 429, retry_after_s=999_999), attempts=1, jitter=1) == 3600


def test_what_would_go_the_same_way_again_is_not_tried_again() -> None:
    assert wait_s(Outcome("address_refused", permanent=True), attempts=1, jitter=1) is None


@pytest.mark.parametrize(
    ("failing_for_s", "held_for_s"), [(0, 4), (60, 60), (300, 300), (86_400, 600)]
)
def test_an_address_is_left_alone_for_as_long_again_as_it_has_failed(
    failing_for_s: int, held_for_s: int
) -> None:
    assert hold(timedelta(seconds=failing_for_s), 4) == timedelta(seconds=held_for_s)
