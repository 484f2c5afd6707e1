"""The second factor as a person with a phone goes through it: set up, asked for, and refused where
the code is wrong or was used."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from playwright.sync_api import Page, expect

from gateway.login.models import LogIn
from tests.browser.world import PASSWORD
from tests.login.conftest import totp

pytestmark = pytest.mark.django_db(transaction=True)
STEP_S = 30
# After each refusal django-otp looks at no code for 1 s, 2 s, 4 s …
REFUSALS_PASS_S = (1.1, 2.1)


@pytest.fixture
def anna(settings: Any) -> User:
    cache.clear()
    settings.SECOND_FACTOR_REQUIRED = True
    user = User.objects.create_user("anna", password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    return user


def give_password(page: Page, url: str) -> None:
    page.goto(f"{url}/admin/")
    page.fill("[name=username]", "anna")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")


def give_code(page: Page, code: str) -> None:
    page.fill("[name=code]", code)
    page.click("form:has([name=code]) [type=submit]")


def set_up(page: Page) -> tuple[str, str]:
    """From the page that shows the key to the control room; the key, and the code that was used."""
    page.wait_for_url("**/login/second-factor/enrol/**")
    key = page.inner_text("#totp-key")
    code = totp(key)
    give_code(page, code)
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    page.click("text=I have kept them")
    page.wait_for_url("**/admin/")
    return key, code


def log_out(page: Page) -> None:
    """By the menu under one's own name."""
    page.get_by_text("anna", exact=True).click()
    page.click("#logout-form button")
    page.wait_for_load_state()


def another_than(*codes: str) -> str:
    return next(code for code in ("111111", "222222", "333333", "444444") if code not in codes)


def test_a_code_is_set_up_asked_for_and_taken_once(
    page: Page, live_server: Any, anna: User
) -> None:
    give_password(page, live_server.url)
    key, used = set_up(page)
    log_out(page)
    page.goto(f"{live_server.url}/admin/")
    assert "/admin/login/" in page.url

    give_password(page, live_server.url)
    page.wait_for_url("**/login/second-factor/?**")
    now_s = time.time()
    give_code(page, another_than(*(totp(key, at_s=now_s + STEP_S * step) for step in range(-2, 4))))
    refused = page.locator("#second-factor-form")
    expect(refused).to_contain_text("This code is not right, or was used already.")

    page.wait_for_timeout(REFUSALS_PASS_S[0] * 1000)
    give_code(page, used)
    expect(refused).to_contain_text("This code is not right, or was used already.")
    expect(refused).not_to_contain_text("before the next try")
    page.goto(f"{live_server.url}/admin/dr_events/event/")
    assert "/login/second-factor/" in page.url

    page.wait_for_timeout(REFUSALS_PASS_S[1] * 1000)
    give_code(page, totp(key, at_s=time.time() + STEP_S))
    page.wait_for_url("**/admin/dr_events/event/")

    outcomes = list(LogIn.objects.order_by("id").values_list("outcome", flat=True))
    assert outcomes.count("code_refused") == 2
    assert outcomes[-1] == "code_accepted"
