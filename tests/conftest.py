"""What all tests share. Importing `servers` sets the environment before Django reads it."""

import pytest
from hypothesis import settings

from tests.away import redis_away
from tests.servers import pytest_sessionstart, pytest_unconfigure

__all__ = ["pytest_sessionstart", "pytest_unconfigure", "redis_away"]

# Found once, found again: what a run finds does not hang on chance. For more than that there is
# `pytest --hypothesis-profile=long`.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("long", max_examples=3_000, stateful_step_count=80, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="tests/faults: as often and as large as it gets"
    )
