"""The embedded PostgreSQL for the time of a single command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway import embedded, settings
from gateway.processes import Supervisor

COMMANDS_WITH_DATABASE = {
    "axes_reset_username",
    "changepassword",
    "clearsessions",
    "cleartokens",
    "create_api_client",
    "create_app_role",
    "createsuperuser",
    "dbshell",
    "declare_event",
    "export_report",
    "export_season",
    "import",
    "export",
    "makemigrations",
    "migrate",
    "shell",
    "showmigrations",
    "sync_chargers",
    "verify_audit",
}


@contextmanager
def database_for_command(argv: Sequence[str]) -> Iterator[None]:
    """Start it for a command that needs it, unless `up` runs it already. A command that has started
    it takes it away again, so the next waits its turn. Raises EmbeddedServerFailed."""
    if not settings.EMBEDDED_DATABASE or not set(argv[1:2]) & COMMANDS_WITH_DATABASE:
        yield
        return
    with embedded.database_turn(settings.DATA_DIR):
        if embedded.database_answers(settings.DATA_DIR):
            yield
            return
        with Supervisor(log_dir=settings.DATA_DIR / "logs") as supervisor:
            supervisor.start(embedded.postgres_program(settings.DATA_DIR))
            yield
