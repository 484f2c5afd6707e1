"""Sessions end; what happens at the door is on record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from gateway.login.models import LogIn
from tests.login.conftest import LOGIN, PASSWORD, is_in, log, log_in, person

POLL = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _limits(settings: Any) -> None:
    settings.SESSION_IDLE_S, settings.SESSION_COOKIE_AGE = 3600, 4 * 3600


def test_a_session_that_is_left_alone_ends(anna: User, clock: time_machine.Traveller) -> None:
    client = log_in()

    clock.shift(3599)
    assert is_in(client)
    clock.shift(3600)
    answer = client.get("/admin/")

    assert answer.headers["Location"].startswith(LOGIN)
    assert log()[-1] == ("anna", "expired")


def test_a_session_in_use_ends_all_the_same(anna: User, clock: time_machine.Traveller) -> None:
    client = log_in()

    stayed = 0
    while is_in(client):
        stayed += 30
        clock.shift(timedelta(minutes=30))

    assert stayed == 240


def test_a_page_that_fetches_itself_anew_keeps_no_session_alive(
    anna: User, clock: time_machine.Traveller
) -> None:
    client = log_in()

    for _ in range(60):
        clock.shift(60)
        answer = client.get("/admin/", headers=POLL)

    assert answer.status_code == 302


def test_a_form_that_is_left_open_keeps_no_session_alive(
    anna: User, clock: time_machine.Traveller
) -> None:
    client = log_in()
    preview = "/admin/dr_events/event/preview/"

    for _ in range(60):
        clock.shift(60)
        answer = client.post(preview, headers={**POLL, "X-Polled": "true"})

    assert answer.status_code == 302


def test_one_who_is_there_all_the_time_costs_a_write_a_minute(
    anna: User, clock: time_machine.Traveller
) -> None:
    client = log_in()
    is_in(client)
    first = client.session["login_seen_at"]

    clock.shift(59)
    is_in(client)
    assert client.session["login_seen_at"] == first
    clock.shift(1)
    is_in(client)
    assert client.session["login_seen_at"] == first + 60


def test_a_session_that_does_not_say_when_it_began_is_over(anna: User) -> None:
    client = log_in()
    session = client.session
    del session["login_begun_at"]
    session.save()

    assert not is_in(client)


def test_for_machines_the_database_is_not_asked(client: Client) -> None:
    """pytest-django would fail this test if it were."""
    assert client.get("/health/live/").status_code == 200


# --- the log ------------------------------------------------------------------------------


def test_what_happens_at_the_door_is_on_record(anna: User) -> None:
    client = Client(REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "Firefox"})

    log_in(password="wrong", client=client)
    log_in(client=client)
    client.post("/admin/logout/")

    assert log() == [("anna", "failed"), ("anna", "succeeded"), ("anna", "logged_out")]
    one = LogIn.objects.earliest("id")
    assert (one.address, one.browser, one.method) == ("192.0.2.7", "Firefox", "password")


def test_what_a_stranger_types_as_a_name_is_not_kept(db: None) -> None:
    """It may be a password, typed in the wrong field."""
    log_in(PASSWORD, "anna")

    assert log() == [("", "failed")]
    assert PASSWORD not in str(list(LogIn.objects.values()))


@pytest.mark.parametrize(
    ("role", "may"), [("operator", False), ("auditor", True), ("administrator", True)]
)
def test_who_reads_the_log(db: None, role: str, may: bool) -> None:
    person("reader", role)
    client = log_in("reader")
    entry = LogIn.objects.get()

    shown = client.get("/admin/login/login/")
    assert shown.status_code == (200 if may else 403)
    assert client.get(f"/admin/login/login/{entry.pk}/change/").status_code == (200 if may else 403)
    assert client.get("/admin/login/login/add/").status_code == 403
    assert client.post(f"/admin/login/login/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert LogIn.objects.count() == 1
