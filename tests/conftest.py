"""What all tests share. Importing `servers` sets the environment before Django reads it."""

import pytest

from tests.away import redis_away
from tests.servers import pytest_sessionstart, pytest_unconfigure

__all__ = ["pytest_sessionstart", "pytest_unconfigure", "redis_away"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="tests/faults: as often and as large as it gets"
    )
