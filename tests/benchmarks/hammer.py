"""Posts ready-made webhooks as fast as they are taken.

`python -m tests.benchmarks.hammer PORT FILE`, a body a line, prints seconds. All
requests are signed and written out before the clock starts.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import deque
from pathlib import Path

from tests.benchmarks.provider import Poster, Posting, Settings
from tests.benchmarks.world import SECRET


async def post_all(port: int, bodies: list[bytes]) -> float:
    """Seconds from the first to the last answer. Raises where one was not 200."""
    settings = Settings(webhook_port=port, secret=SECRET)
    poster = Poster(settings)
    while len(poster.idle) < settings.webhook_connections:
        await asyncio.sleep(0.01)
    idle: list[Posting] = poster.idle
    poster.idle = []
    for body in bodies:
        poster.post(body, time.time())
    ready: deque[bytes] = poster.waiting
    gc.disable()
    began_at = time.perf_counter()
    for posting in idle:
        posting.next()
    while poster.delivered + poster.refused < len(bodies):
        await asyncio.sleep(0.002)
    seconds = time.perf_counter() - began_at
    assert not ready
    assert not poster.refused
    return seconds


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_bytes().splitlines()
    print(asyncio.run(post_all(int(sys.argv[1]), lines)))
