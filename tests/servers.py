"""Real, throwaway PostgreSQL and Valkey for the whole test run.

Imported before Django's settings are, so that those find these servers and no others, whatever
the environment says.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django
import pytest
from django.conf import settings

# A thread that a test has left would keep the process for ever.
MAX_LAST_BREATH_S = 30

DATA_DIR = Path(tempfile.mkdtemp(prefix="dr-test-"))

os.environ.pop("DATABASE_URL", None)
os.environ.pop("REDIS_URL", None)
os.environ.update(
    DJANGO_SETTINGS_MODULE="gateway.settings",
    DATA_DIR=str(DATA_DIR),
    PLAIN_HTTP="1",
    SECRET_KEY="only-for-tests-" + "x" * 50,
    # pytest closes the common folder of its runs to all but its owner whenever a run begins. A
    # PostgreSQL that another run has in there has another owner, and would lose its files.
    PYTEST_DEBUG_TEMPROOT=str(DATA_DIR),
    EDRV_API_URL="http://127.0.0.1:1/v1.1",
    EDRV_API_KEY="test-key",
    EDRV_WEBHOOK_SECRETS="new-secret,old-secret",
    API_RATE_LIMIT="100000/s",
    TOKEN_RATE_LIMIT="100000/s",
)

django.setup()
# Slow by design, which tests need not be.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_servers = None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start both servers once; they end with this process, however it ends."""
    global _servers
    from gateway import embedded
    from gateway.processes import Supervisor

    _servers = Supervisor(log_dir=DATA_DIR / "logs")
    _servers.start(embedded.postgres_program(DATA_DIR, durable=False))
    _servers.start(embedded.valkey_program(DATA_DIR))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if _servers is not None:
        _servers.stop()
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    faulthandler.dump_traceback_later(MAX_LAST_BREATH_S, exit=True, file=sys.__stderr__)
