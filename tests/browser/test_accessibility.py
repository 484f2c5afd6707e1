"""Every page of the control room, judged by axe-core (WCAG 2.2 AA), in light, in dark and on a
phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import scene
from tests.browser.pages import PAGES
from tests.browser.world import DESK, PHONE, log_in

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = ("serious", "critical")
FAULTS = f"""async () => {{
    const found = await axe.run(document, {{ runOnly: {RULES}, resultTypes: ["violations"] }});
    return found.violations.map(({{ id, impact, nodes }}) =>
        ({{ id, impact, where: nodes.slice(0, 4).map((node) => node.html.slice(0, 160)) }}));
}}"""


@pytest.fixture
def evening(transactional_db: None) -> scene.Scene:
    return scene.paint()


def faults_of(page: Page) -> list[Any]:
    page.evaluate(AXE.read_text())
    return [fault for fault in page.evaluate(FAULTS) if fault["impact"] in SERIOUS]


def told(found: dict[str, list[Any]]) -> list[str]:
    """A line a fault and place."""
    return [
        f"{name}: {fault['id']}: {where}"
        for name, faults in found.items()
        for fault in faults
        for where in fault["where"]
    ]


SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Tables that do not fit scroll by themselves: at a desk none has to.
CUT_OFF = """() => [...document.querySelectorAll(".ctl-scroll")]
    .filter((part) => part.scrollWidth > part.clientWidth + 1)
    .map((part) => part.innerText.slice(0, 80))"""
SMALL_DESK = {"width": 1280, "height": 720}


@pytest.mark.parametrize("size", [DESK, SMALL_DESK, PHONE], ids=["desk", "small", "phone"])
def test_nothing_is_cut_off_and_no_page_scrolls_sideways(
    browser: Browser, live_server: Any, evening: scene.Scene, size: Any
) -> None:
    context = browser.new_context(viewport=size, locale="de-DE")
    page = context.new_page()
    log_in(page, live_server.url, "operator")

    for name in ("overview", "declare", "event", "session", "site", "import"):
        page.goto(live_server.url + PAGES[name](evening))
        assert page.evaluate(SIDEWAYS) <= 0, name
        assert size == PHONE or page.evaluate(CUT_OFF) == [], name
    context.close()


# Of what has the focus, how many pixels the bar at the bottom covers.
COVERED = """() => {
    const bar = document.querySelector(".sticky.bottom-0"), held = document.activeElement;
    if (bar.contains(held) || !held.closest("#order-form")) return 0;
    return held.getBoundingClientRect().bottom - bar.getBoundingClientRect().top;
}"""


def test_the_bar_at_the_bottom_of_a_form_covers_nothing_that_has_the_focus(
    browser: Browser, live_server: Any, evening: scene.Scene
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    log_in(page, live_server.url, "operator")
    page.goto(live_server.url + PAGES["declare"](evening))
    page.focus("[name=name]")

    for _ in range(60):
        page.keyboard.press("Tab")
        held = "document.activeElement.outerHTML.slice(0, 160)"
        assert page.evaluate(COVERED) <= 0, page.evaluate(held)
    context.close()


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESK), ("dark", DESK), ("light", PHONE)],
    ids=["light", "dark", "phone"],
)  # fmt: skip
def test_axe_finds_nothing_serious(
    browser: Browser, live_server: Any, evening: scene.Scene, scheme: Any, size: Any
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    log_in(page, live_server.url, "operator")

    found = {}
    for name, address in PAGES.items():
        page.goto(live_server.url + address(evening))
        if faults := faults_of(page):
            found[name] = faults

    context.close()
    assert not found, "\n".join(told(found))
