"""Pictures of every page, in light and dark, for docs/screenshots/:

    uv run python -m tests.browser.screenshots [folder]

The pages are real, the evening on them is painted (`scene`), so that they look the same each time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

from tests.servers import DATA_DIR

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served() -> Iterator[str]:
    """The admin over the painted database, in this process."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer

    from django.core.management import call_command

    from gateway import embedded
    from gateway.processes import Supervisor
    from gateway.wsgi import application

    class Threaded(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    with Supervisor(log_dir=DATA_DIR / "logs") as supervisor:
        supervisor.start(embedded.postgres_program(DATA_DIR, durable=False))
        supervisor.start(embedded.valkey_program(DATA_DIR))
        call_command("migrate", verbosity=0, interactive=False)
        server = make_server("127.0.0.1", 0, application, Threaded, Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
