"""Pictures of the control room, in light and dark, for docs/screenshots/:

    uv run python -m tests.browser.screenshots [folder]

The pages are real, the evening on them is painted (`scene`), so that they look the same each time.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from playwright.sync_api import Page

from tests.browser.world import DESK, PHONE, chromium, log_in

# Before Django reads its settings, which `servers` has it do.
os.environ["TIME_ZONE"] = "Europe/Amsterdam"
# Playwright runs an event loop in this thread; Django would take it for an asynchronous program.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

from tests.servers import DATA_DIR

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
TAKEN = (
    "overview", "event", "declare", "session", "site", "chargestation", "extend", "import", "file",
    "lift",
)  # fmt: skip
ON_PHONE = ("overview", "declare", "event")
MOST_BYTES = 200_000
# A form that is filled in says more than an empty one.
FILL = {
    "declare": """() => {
        document.getElementById("order-form").elements.name.value = "South above its import limit";
        document.querySelector("[data-preset]").click();
        document.querySelectorAll("#places details").forEach((part) => { part.open = true; });
        document.querySelector("#places [data-pick-value=South]").click();
    }""",
}


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served() -> Iterator[str]:
    """The admin over an empty database, in this process."""
    from django.core.management import call_command

    from gateway import embedded
    from gateway.processes import Supervisor
    from gateway.wsgi import application

    with Supervisor(log_dir=DATA_DIR / "logs") as supervisor:
        supervisor.start(embedded.postgres_program(DATA_DIR, durable=False))
        supervisor.start(embedded.valkey_program(DATA_DIR))
        call_command("migrate", verbosity=0, interactive=False)
        server = make_server("127.0.0.1", 0, application, Threaded, Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    shutil.rmtree(DATA_DIR, ignore_errors=True)


def take(page: Page, addresses: dict[str, str], folder: Path, scheme: str) -> None:
    """Each of these pages as a PNG."""
    suffix = "-phone" if page.viewport_size == PHONE else ""
    for name, address in addresses.items():
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if name in FILL:
            page.evaluate(FILL[name])
        page.wait_for_timeout(2500)
        path = folder / f"{name}-{scheme}{suffix}.png"
        page.screenshot(path=path)
        assert path.stat().st_size <= MOST_BYTES, path
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def main(folder: Path) -> None:
    """All of them."""
    from tests.browser import scene
    from tests.browser.pages import PAGES

    folder.mkdir(parents=True, exist_ok=True)
    with served() as url, chromium() as browser:
        painted = scene.paint()
        for scheme in ("light", "dark"):
            for size, names in ((DESK, TAKEN), (PHONE, ON_PHONE)):
                context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
                page = context.new_page()
                log_in(page, url, "operator")
                addresses = {name: url + PAGES[name](painted) for name in names}
                take(page, addresses, folder, scheme)
                context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
