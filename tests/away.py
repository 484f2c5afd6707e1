"""Redis taken away from the code under test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """Nothing listens where Redis should be."""
    from chargers import counters

    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": settings.REDIS_URL}}
    counters.connection.cache_clear()
    yield
    counters.connection.cache_clear()
