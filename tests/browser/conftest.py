"""Debian's Chromium, and a painted evening that a server in this process shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.world import CHROMIUM, DESK, chromium

# Playwright runs an event loop in this thread; Django would take it for an asynchronous program.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


# Not for the whole session: while Playwright runs, no other test can run an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """At a desk; whatever a page's scripts complain of fails the test."""
    opened = browser.new_context(viewport=DESK)
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert not errors
