"""The second factor, by the pages that people see."""

from __future__ import annotations

import re
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from chargers.models import AuditEntry
from gateway.login import second_factor
from tests.login.conftest import (
    ENROL,
    LOGIN,
    PASSWORD,
    VERIFY,
    codes_on,
    is_in,
    key_on,
    log,
    log_in,
    person,
    set_up,
    totp,
)

STEP_S = 30


@pytest.fixture
def enrolled(anna: User, clock: time_machine.Traveller) -> tuple[str, list[str]]:
    found = set_up(log_in())
    clock.shift(STEP_S)
    return found


def test_the_tests_own_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B: the last six digits of the values for SHA-1."""
    key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    assert [totp(key, at_s=at) for at in (59, 1111111109, 20000000000)] == [
        "287082",
        "081804",
        "353130",
    ]


# --- required by the setting --------------------------------------------------------------


def test_where_it_is_required_the_password_alone_leads_to_setting_it_up(
    anna: User, settings: Any
) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    client = log_in()

    for page in ("/admin/", "/admin/dr_events/event/", "/admin/password_change/"):
        answer = client.get(page)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(ENROL)
    set_up(client)
    assert is_in(client)


def test_where_it_is_not_required_the_password_is_enough(anna: User) -> None:
    client = log_in()

    assert is_in(client)
    assert f'href="{ENROL}"' in client.get("/admin/").content.decode()


def test_somebody_logged_in_before_it_was_required_is_asked_as_well(
    anna: User, settings: Any
) -> None:
    client = log_in()
    settings.SECOND_FACTOR_REQUIRED = True

    assert not is_in(client)


# --- setting it up ------------------------------------------------------------------------


def test_setting_up_shows_the_key_as_a_picture_without_scripts(anna: User) -> None:
    page = log_in().get(ENROL)

    text = page.content.decode().partition('id="page"')[2]
    svg = re.search(r"<svg.*?</svg>", text, re.S)
    assert svg is not None
    assert not re.search(r"<script|\son\w+=|style=", svg.group())
    assert len(key_on(page).replace(" ", "")) == 32
    assert "no-store" in page.headers["Cache-Control"]


def test_a_wrong_code_sets_nothing_up(anna: User, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    client = log_in()
    key = key_on(client.get(ENROL))

    page = client.post(ENROL, {"code": totp(key, at_s=0)})

    assert "not the code that the app shows" in page.content.decode()
    assert key_on(page) == key
    assert not second_factor.is_enrolled(anna)
    assert not is_in(client)


def test_recovery_codes_are_shown_once(anna: User) -> None:
    client = log_in()

    _, codes = set_up(client)

    assert len(set(codes)) == second_factor.RECOVERY_CODES
    page = client.get(ENROL).content.decode()
    assert not any(code in page for code in codes)
    assert AuditEntry.objects.filter(action="user.second_factor_enrolled").count() == 1


def test_a_key_is_in_no_record(anna: User) -> None:
    key, codes = set_up(log_in())

    kept = str(list(AuditEntry.objects.values()))
    assert not any(secret in kept for secret in (key, key.replace(" ", ""), *codes))


# --- showing it ---------------------------------------------------------------------------


def test_who_has_one_is_asked_for_it_whether_it_is_required_or_not(
    enrolled: tuple[str, list[str]],
) -> None:
    client = log_in()

    asked = client.get("/admin/dr_events/event/?status=active")
    assert asked.headers["Location"].startswith(VERIFY)
    shown = client.post(asked.headers["Location"], {"code": totp(enrolled[0])})

    assert shown.headers["Location"] == "/admin/dr_events/event/?status=active"
    assert is_in(client)
    assert log()[-2:] == [("anna", "succeeded"), ("anna", "code_accepted")]


def test_the_session_gets_another_key_with_the_code(enrolled: tuple[str, list[str]]) -> None:
    client = log_in()
    before = client.session.session_key

    client.post(VERIFY, {"code": totp(enrolled[0])})

    assert client.session.session_key != before


def test_a_wrong_code_lets_nobody_in(enrolled: tuple[str, list[str]]) -> None:
    client = log_in()

    page = client.post(VERIFY, {"code": "000000"})

    assert "This code is not right" in page.content.decode()
    assert not is_in(client)
    assert log()[-1] == ("anna", "code_refused")


def test_a_code_counts_once(enrolled: tuple[str, list[str]]) -> None:
    code = totp(enrolled[0])
    first, second = log_in(), log_in()

    first.post(VERIFY, {"code": code})
    second.post(VERIFY, {"code": code})

    assert (is_in(first), is_in(second)) == (True, False)


def test_guessing_is_slowed_down_for_everybody_who_knows_the_password(
    enrolled: tuple[str, list[str]], clock: time_machine.Traveller
) -> None:
    key, _ = enrolled
    for _ in range(3):
        log_in().post(VERIFY, {"code": "000000"})
        clock.shift(60)
    log_in().post(VERIFY, {"code": "000000"})

    client = log_in()
    page = client.post(VERIFY, {"code": totp(key)})
    assert "Wait 8 s" in page.content.decode()
    clock.shift(30)
    client.post(VERIFY, {"code": totp(key)})
    assert is_in(client)


def test_a_recovery_code_opens_once(enrolled: tuple[str, list[str]]) -> None:
    _, codes = enrolled
    first, second = log_in(), log_in()

    first.post(VERIFY, {"code": codes[0].upper()})
    second.post(VERIFY, {"code": codes[0]})

    assert (is_in(first), is_in(second)) == (True, False)
    assert StaticToken.objects.count() == len(codes) - 1
    assert ("anna", "recovery_code") in log()


def test_somebody_else_s_codes_open_nothing(enrolled: tuple[str, list[str]]) -> None:
    person("mallory")
    mallory = log_in("mallory")
    set_up(mallory)
    again = log_in("mallory")

    for code in (totp(enrolled[0]), enrolled[1][0]):
        again.post(VERIFY, {"code": code})

    assert not is_in(again)


def test_with_the_password_alone_nobody_sets_up_another_app(
    enrolled: tuple[str, list[str]],
) -> None:
    client = log_in()

    assert client.get(ENROL).headers["Location"] == VERIFY
    assert client.post(ENROL, {"code": "123456"}).headers["Location"] == VERIFY


def test_a_new_phone_takes_the_place_of_the_old_one(
    enrolled: tuple[str, list[str]], clock: time_machine.Traveller
) -> None:
    old_key, old_codes = enrolled
    client = log_in()
    client.post(VERIFY, {"code": totp(old_key)})

    new_key, new_codes = set_up(client)

    clock.shift(STEP_S)
    with_old, with_new = log_in(), log_in()
    with_old.post(VERIFY, {"code": old_codes[0]})
    assert not is_in(with_old)
    clock.shift(STEP_S)
    with_new.post(VERIFY, {"code": new_codes[0]})
    assert is_in(with_new)
    assert TOTPDevice.objects.count() == 1
    assert new_key != old_key


def test_nobody_is_led_elsewhere(enrolled: tuple[str, list[str]]) -> None:
    client = log_in()

    shown = client.post(f"{VERIFY}?next=https://evil.example.com/", {"code": totp(enrolled[0])})

    assert shown.headers["Location"] == "/admin/"


def test_a_stranger_gets_none_of_these_pages(db: None) -> None:
    for page in (VERIFY, ENROL):
        assert Client().get(page).headers["Location"].startswith(LOGIN)


def test_codes_are_tried_no_faster_than_passwords(anna: User, settings: Any) -> None:
    client = log_in()
    from gateway.throttling import TokenThrottle

    rates = {**TokenThrottle.THROTTLE_RATES, "token": "2/min"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenThrottle, "THROTTLE_RATES", rates)
        answers = [client.post(ENROL, {"code": "000000"}).status_code for _ in range(2)]
        refused = Client().post(LOGIN, {"username": "anna", "password": PASSWORD})

    assert 429 in (*answers, refused.status_code)
    assert log()[-1][1] == "throttled"


# --- lost ---------------------------------------------------------------------------------


def reset_url(user: User) -> str:
    return f"/admin/auth/user/{user.pk}/second-factor/"


@pytest.mark.parametrize(
    ("role", "may"), [("operator", False), ("auditor", False), ("administrator", True)]
)
def test_who_resets_somebody_s_second_factor(
    enrolled: tuple[str, list[str]], role: str, may: bool
) -> None:
    anna = User.objects.get(username="anna")
    person("boss", role)
    client = log_in("boss")

    asked, done = client.get(reset_url(anna)), client.post(reset_url(anna))

    assert (asked.status_code, done.status_code) == ((200, 302) if may else (403, 403))
    assert second_factor.is_enrolled(anna) is not may
    assert is_in(log_in()) is may
    entries = AuditEntry.objects.filter(action="user.second_factor_reset", actor="user:boss")
    assert entries.count() == int(may)


def test_an_administrator_resets_no_superuser(db: None) -> None:
    root = person("root", is_superuser=True)
    set_up(log_in("root"))
    person("boss", "administrator")

    assert log_in("boss").post(reset_url(root)).status_code == 403
    assert second_factor.is_enrolled(root)


def test_the_admin_shows_nobody_s_key(anna: User) -> None:
    person("root", is_superuser=True)
    client = log_in("root")

    assert client.get("/admin/otp_totp/totpdevice/").status_code == 404
    assert client.get("/admin/otp_static/staticdevice/").status_code == 404
    shown = client.get(f"/admin/auth/user/{anna.pk}/change/").content.decode()
    assert "none yet" in shown


def test_codes_on_reads_nothing_where_there_are_none(anna: User) -> None:
    assert codes_on(log_in().get(ENROL)) == []
