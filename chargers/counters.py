"""Counts of what leaves no row behind (a refused webhook) or too many rows to count again
(attempts by outcome), kept in Redis for /metrics. Without Redis nothing is counted; that must
never be an error."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from functools import cache

import redis
from django.conf import settings

KEY = "counters"


@cache
def connection() -> redis.Redis:
    """To Redis, shared by the process. Half a second is all that anybody waits for it."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        decode_responses=True,
    )


def count(name: str, label: str, by: int = 1) -> None:
    """Add to a count."""
    with contextlib.suppress(redis.RedisError):
        connection().hincrby(KEY, f"{name}:{label}", by)


def count_each(name: str, labels: Iterable[str]) -> None:
    """Add one for each label."""
    for label, times in Counter(labels).items():
        count(name, label, times)


def all_counts() -> dict[tuple[str, str], int] | None:
    """Every count by name and label; None while Redis is away."""
    try:
        found = connection().hgetall(KEY)
    except redis.RedisError:
        return None
    counts = {}
    for key, value in found.items():
        name, _, label = str(key).partition(":")
        counts[name, label] = int(value)
    return counts
