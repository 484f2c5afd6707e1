"""The control room in a real browser, over real processes and the simulated fleet."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.world import log_in, world
from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

FLAGS = (
    "--sites", "4", "--sessions", "24", "--static", "--time-factor", "10", "--seed", "11",
    "--answer-delay", "0.02..0.3",
)  # fmt: skip
SOON = 60_000
STALE = re.compile("ctl-stale")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Simulation]]:
    with world(tmp_path_factory.mktemp("browser"), *FLAGS) as started:
        yield started


@pytest.fixture
def gateway(running: tuple[Gateway, Simulation]) -> Gateway:
    return running[0]


@pytest.fixture
def edrv(running: tuple[Gateway, Simulation]) -> Simulation:
    return running[1]


ON_FEEDER = """
    SELECT session.external_id FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE site.feeder = 'F12' AND session.ended_at IS NULL AND session.status = 'started'
"""


def sessions_on_feeder(gateway: Gateway) -> list[str]:
    return sorted(row["external_id"] for row in gateway.rows(ON_FEEDER))


def declare_on_feeder(page: Page) -> None:
    """From the first page to the event's, by the tree, a preset and one confirmation."""
    page.click("#declare-event")
    page.click("#places summary:has-text('North')")
    page.click("#places summary:has-text('Millbrook')")
    page.check("#places [data-pick-value=F12]")
    page.click("button:has-text('4.2 kW each')")
    page.click("button:has-text('45 min')")
    page.fill("input[name=name]", "Feeder F12 overload")


def test_an_operator_takes_an_event_from_the_tree_to_restored(
    page: Page, gateway: Gateway, edrv: Simulation
) -> None:
    on_feeder = sessions_on_feeder(gateway)
    refusing = on_feeder[0]
    edrv.fault("reject", match={"calls": ["set"], "session": refusing})
    log_in(page, gateway.url, "operator")

    declare_on_feeder(page)
    told = page.locator("#live-preview #headline")
    expect(told).to_contain_text(f"{len(on_feeder)} sessions in feeder F12 will be held to 4,200 W")
    page.click("button:has-text('See what it will do')")
    expect(page.locator("#headline")).to_contain_text("until")
    page.click("button:has-text('Declare event')")

    row = page.locator("#sessions tr", has_text=refusing)
    expect(page.locator("#count-confirmed")).to_have_text(str(len(on_feeder) - 1), timeout=SOON)
    expect(row).to_contain_text("Its chargestation refuses the limit.", timeout=SOON)
    expect(row).to_contain_text("Next try", timeout=SOON)

    edrv.clear_faults()
    row.get_by_role("link", name="Retry").click()
    page.click("button:has-text('Try again now')")
    expect(page.locator("#count-confirmed")).to_have_text(str(len(on_feeder)), timeout=SOON)
    expect(page.locator("#sessions tr", has_text=refusing)).to_contain_text("confirmed")
    expect(page.locator("#curve-keys")).to_contain_text("kW", timeout=SOON)

    keeps_what_is_typed(page, refusing)

    page.click("a:has-text('Extend')")
    page.click("button:has-text('By 15 min')")
    expect(page.locator("body")).to_contain_text("in 1 h", timeout=SOON)

    page.click("a:has-text('End now')")
    expect(page.locator("#content")).to_contain_text("full power back")
    page.click("button:has-text('End event')")
    expect(page.locator("#content")).to_contain_text("completed", timeout=SOON, ignore_case=True)
    expect(page.locator("#counts")).to_contain_text(re.compile(rf"restored\s*{len(on_feeder)}"))
    assert not edrv.limited()


def keeps_what_is_typed(page: Page, wanted: str) -> None:
    """Over several updates: the words, the focus, the scroll, and what was narrowed down to."""
    box = page.locator("#roster-filter input[name=q]")
    box.scroll_into_view_if_needed()
    box.press_sequentially(wanted, delay=5)
    expect(page.locator("#sessions tbody tr")).to_have_count(1, timeout=SOON)
    scrolled = page.evaluate("scrollY")
    before = page.locator("#roster [data-as-of]").inner_text()

    expect(page.locator("#roster [data-as-of]")).not_to_have_text(before, timeout=SOON)

    expect(box).to_have_value(wanted)
    expect(box).to_be_focused()
    assert page.evaluate("scrollY") == scrolled
    expect(page.locator("#sessions tbody tr")).to_have_count(1)


def test_a_large_file_of_sites_is_watched_to_its_end(page: Page, gateway: Gateway) -> None:
    lines = [f"new_{number},South,Quay,F{number % 40}" for number in range(1100)]
    content = "\n".join(["external_id,grid_zone,substation,feeder", *lines]).encode()
    log_in(page, gateway.url, "operator")
    page.goto(f"{gateway.url}/admin/chargers/site/import/")
    file = {"name": "grid.csv", "mimeType": "text/csv", "buffer": content}
    page.set_input_files("input[type=file]", files=[file])
    page.click("#content form [type=submit]")

    expect(page.locator("progress")).to_have_js_property("max", 1100)
    moved = "() => document.querySelector('progress')?.position > 0"
    page.wait_for_function(moved, timeout=SOON)
    told = page.locator("#site-file")
    expect(told).to_contain_text("1,100 are new", timeout=SOON)
    page.click("button:has-text('Write it')")
    page.wait_for_function(moved, timeout=SOON)
    expect(told).to_contain_text("1,100 were new", timeout=SOON)

    [found] = gateway.rows("SELECT count(*) FROM chargers_site WHERE substation = 'Quay'")
    assert found["count"] == 1100


def test_an_auditor_reads_everything_and_changes_nothing(page: Page, gateway: Gateway) -> None:
    event = gateway.declare(targets=[{"type": "feeder", "value": "F21"}], duration="PT1H")
    gateway.wait_until_answered(event["id"])
    address = f"{gateway.url}/admin/dr_events/event/{event['id']}"
    log_in(page, gateway.url, "auditor")

    expect(page.locator("#declare-event")).to_have_count(0)
    page.goto(f"{address}/change/")
    expect(page.locator("#sessions tbody tr").first).to_be_visible()
    for deed in ("Amend", "Extend", "End now", "Cancel event", "Retry", "Exempt"):
        expect(page.locator(f"#content a:has-text('{deed}')")).to_have_count(0)
    for deed in ("amend", "extend", "end", "cancel", "retry", "opt_out"):
        answer = page.request.get(f"{address}/{deed}/")
        assert answer.status == 403, deed
    gateway.end(event["id"])


def test_a_page_left_open_says_when_it_is_stale_and_when_it_is_live_again(
    page: Page, gateway: Gateway
) -> None:
    log_in(page, gateway.url, "operator")
    banner = page.locator("#stale-banner")
    expect(banner).to_be_hidden()

    frozen = freeze_web(gateway)
    try:
        expect(banner).to_be_visible(timeout=SOON)
        expect(banner).to_contain_text("Updates have stopped")
        expect(page.locator("#overview")).to_have_class(STALE)
    finally:
        for process in frozen:
            process.send_signal(signal.SIGKILL)

    expect(banner).to_be_hidden(timeout=2 * SOON)
    expect(page.locator("#overview")).not_to_have_class(STALE)


def freeze_web(gateway: Gateway) -> list[psutil.Process]:
    """The web process and its workers hang, as a machine does that is about to fall over."""
    leader = gateway.of_role("web")
    family = [leader, *leader.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    wait_until(lambda: all(process.status() == psutil.STATUS_STOPPED for process in family))
    return family


def test_who_is_logged_out_meanwhile_is_sent_to_the_log_in(
    page: Page, context: BrowserContext, gateway: Gateway
) -> None:
    log_in(page, gateway.url, "operator")

    context.clear_cookies()

    page.wait_for_url("**/admin/login/**", timeout=SOON)
