"""Guessing passwords is slow, and seen; keeping somebody else out by it is not possible."""

from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

PASSWORD = "correct horse battery"
HERE, ELSEWHERE = "198.51.100.1", "198.51.100.2"


@pytest.fixture(autouse=True)
def anna(db):
    return User.objects.create_superuser("anna", password=PASSWORD)


def log_in(password=PASSWORD, name="anna", address=HERE):
    """A new browser each time: an attacker keeps no cookies."""
    form = {"username": name, "password": password}
    return Client().post("/admin/login/", form, REMOTE_ADDR=address)


def guess(times, **where):
    return [log_in(f"guess {number}", **where).status_code for number in range(times)]


def test_five_wrong_passwords_and_the_name_is_closed_to_that_address():
    assert guess(6) == [200, 200, 200, 200, 429, 429]

    refused = log_in()
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "600"


def test_the_right_password_is_not_told_from_a_wrong_one_while_locked_out():
    guess(5)

    right, wrong = log_in(), log_in("another guess")

    assert (right.status_code, right.content) == (wrong.status_code, wrong.content)


def test_a_stranger_s_guesses_do_not_keep_the_operator_out():
    guess(30, address=ELSEWHERE)

    assert log_in().status_code == 302


def test_one_name_s_lock_does_not_close_another():
    User.objects.create_user("ben", password=PASSWORD, is_staff=True)
    guess(5)

    assert log_in(name="ben").status_code == 302


def test_it_is_over_after_ten_minutes_however_much_was_tried_meanwhile():
    guess(5)
    with time_machine.travel(timezone.now() + timedelta(minutes=9)):
        assert log_in("yet another guess").status_code == 429
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1)):
        assert log_in().status_code == 302


def test_a_log_in_that_succeeds_forgives_what_went_before():
    for _ in range(3):
        assert guess(4) == [200] * 4
        assert log_in().status_code == 302


def test_it_holds_while_redis_is_away(redis_away):
    assert guess(6)[-2:] == [429, 429]


def test_nobody_gets_more_guesses_by_claiming_another_address():
    for number in range(5):
        Client().post(
            "/admin/login/",
            {"username": "anna", "password": "guess"},
            REMOTE_ADDR=HERE,
            headers={"X-Forwarded-For": f"203.0.113.{number}", "User-Agent": f"browser {number}"},
        )

    assert log_in().status_code == 429


def test_who_was_locked_out_is_in_the_log_of_log_ins_and_no_password_with_it(anna):
    guess(6, address=ELSEWHERE)
    browser = Client()
    browser.force_login(anna, "django.contrib.auth.backends.ModelBackend")

    page = browser.get("/admin/login/login/").content.decode()

    assert "refused: too many attempts" in page
    assert ELSEWHERE in page
    assert "guess" not in page


@pytest.mark.parametrize(
    "name", ["x" * 151, "x" * 256, "x" * 100_000, "\ufdfa" * 150], ids=lambda name: str(len(name))
)
def test_a_name_that_nobody_can_have_is_refused_before_it_is_written_down(name):
    """The last one is 18 characters for each once it is normalized."""
    answer = log_in(name=name)

    assert answer.status_code == 200
    assert "at most 150 characters" in answer.content.decode()
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:x"])
def test_nobody_is_sent_elsewhere_after_logging_in(target):
    form = {"username": "anna", "password": PASSWORD, "next": target}

    assert Client().post("/admin/login/", form).headers["Location"] == "/admin/"
