"""A German operator reads German numbers, in tables, in figures that follow and in charts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from chargers.models import Session
from tests.browser import scene
from tests.browser.pages import PAGES
from tests.browser.world import DESK, log_in


@pytest.fixture
def evening(transactional_db: None) -> scene.Scene:
    painted = scene.paint()
    Session.objects.filter(pk=painted.session.pk).update(power_w=1_234_567)
    return painted


@pytest.mark.parametrize(
    ("locale", "power", "load"),
    [
        ("de-DE", "1.234.567 W", r"metered: \d{3},\d kW"),
        ("en-GB", "1,234,567 W", r"metered: \d{3}\.\d kW"),
    ],
)
def test_numbers_are_the_reader_s(
    browser: Browser, live_server: Any, evening: scene.Scene, locale: str, power: str, load: str
) -> None:
    context = browser.new_context(viewport=DESK, locale=locale)
    page = context.new_page()
    log_in(page, live_server.url, "operator")

    page.goto(live_server.url + PAGES["session"](evening))
    expect(page.locator("#session-live")).to_contain_text(power)
    page.goto(live_server.url + PAGES["event"](evening))
    page.hover(".u-over", position={"x": 300, "y": 60})
    expect(page.locator(".ctl-chart-tip")).to_contain_text(re.compile(load))
    before = page.locator("#figures [data-as-of]").inner_text()
    expect(page.locator("#figures [data-as-of]")).not_to_have_text(before, timeout=10_000)
    decimal = "," if locale == "de-DE" else "."
    expect(page.locator("#curve-keys")).to_contain_text(re.compile(rf"\d\{decimal}\d kW"))
    context.close()
