"""A PostgreSQL and a Valkey of a benchmark's own, durable as in production."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_servers() -> Iterator[None]:
    """Django set up on empty, migrated stores; they are gone afterwards."""
    import tests.servers as ours  # sets the environment before Django reads it
    from gateway import embedded
    from gateway.processes import Supervisor

    supervisor = Supervisor(log_dir=ours.DATA_DIR / "logs")
    try:
        supervisor.start(embedded.postgres_program(ours.DATA_DIR, durable=True))
        supervisor.start(embedded.valkey_program(ours.DATA_DIR))
        _migrate()
        yield
    finally:
        supervisor.stop()
        ours.shutil.rmtree(ours.DATA_DIR, ignore_errors=True)


def _migrate() -> None:
    import logging

    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    logging.disable(logging.INFO)
