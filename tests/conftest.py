"""What all tests share. Importing `servers` sets the environment before Django reads it."""

from tests.away import redis_away
from tests.servers import pytest_sessionstart, pytest_unconfigure

__all__ = ["pytest_sessionstart", "pytest_unconfigure", "redis_away"]
