"""A gateway and a simulated fleet in the grid, and people who can log in: for the browser."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import Browser, Page, sync_playwright

from tests.simulation import Simulation

if TYPE_CHECKING:
    from tests.gateway_process import Gateway

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "a-password-for-tests"
# What each site's place in the grid is, one after the other.
PLACES = (
    ("North", "Millbrook", "F11"),
    ("North", "Millbrook", "F12"),
    ("North", "Ashford", "F21"),
    ("South", "Harbour", "F31"),
)
DESK = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}


IMPORT_PLACES = """
from django.core.management import call_command
call_command("import", "chargers.resources.SiteResource", os.environ["GRID_CSV"],
             interactive=False, verbosity=0)
"""


def furnish(gateway: Gateway) -> None:
    """eDRV knows no feeders: each site gets its place by CSV, as a utility does it. And a user in
    each role, named after it, all with PASSWORD. In one command, since each takes seconds to begin.
    """
    # Not before Django is set up, which `screenshots` has done later than others.
    from gateway.demo.world import CREATE_USERS

    path = gateway.data_dir / "grid.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["external_id", "grid_zone", "substation", "feeder"])
        for number, site in enumerate(gateway.client.all("sites/")):
            writer.writerow([site["external_id"], *PLACES[number % len(PLACES)]])
    gateway.env.update(DEMO_PASSWORD=PASSWORD, GRID_CSV=str(path))
    gateway.command("shell", "-v", "0", "-c", CREATE_USERS + IMPORT_PLACES)


@contextmanager
def world(data_dir: Path, *flags: str, **env: str) -> Iterator[tuple[Gateway, Simulation]]:
    """Both up and ready, the sites in the grid, the users made."""
    from tests.gateway_process import Gateway

    with Simulation(*flags) as edrv, Gateway(edrv, data_dir, **env) as gateway:
        furnish(gateway)
        yield gateway, edrv


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def log_in(page: Page, url: str, role: str) -> None:
    """Through the form, to the control room."""
    page.goto(f"{url}/admin/login/?next=/admin/")
    page.fill("input[name=username]", role)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/admin/")
