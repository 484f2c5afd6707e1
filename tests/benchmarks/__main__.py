"""`python -m tests.benchmarks` measures every line and writes docs/benchmarks.md;
`… -m tests.benchmarks burst webhooks` measures these and only prints. `--quick`: small sizes."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from tests.benchmarks import against_celery, burst, growth, provider, reading, webhooks
from tests.benchmarks.figures import FULL, QUICK, Line, Scale, table
from tests.benchmarks.world import IN_FLIGHT, PROVIDER_DELAY_S, REPOSITORY, World

Measure = Callable[[World, Scale], list[Line]]

BENCHMARKS: dict[str, Measure] = {
    "provider": burst.ceiling,
    "burst": burst.burst,
    "naive": against_celery.naive,
    "closed_loop": burst.closed_loop,
    "webhooks": webhooks.stored_and_applied,
    "first_command": against_celery.first_command,
    "relief": burst.relief,
    "growth": growth.per_session,
    "sweep": growth.sweeping,
    "ending": growth.ending,
    "two_workers": growth.two_workers,
    "report": reading.report,
    "pages": reading.pages,
    "planning": growth.planning,
}
DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"
PACKAGES = ("django", "celery", "psycopg", "aiohttp", "granian", "uvicorn", "redis", "orjson")


def main() -> int:
    asked = _arguments()
    # So that a `timeout` leaves nothing behind: programs that stand still hear no signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    scale = QUICK if asked.quick else FULL
    lines: list[Line] = []
    failed = []
    with World() as world:
        for name in asked.names or BENCHMARKS:
            try:
                found = BENCHMARKS[name](world, scale)
            except Exception:  # noqa: BLE001 - the other lines are to be measured all the same
                traceback.print_exc()
                failed.append(name)
                continue
            lines += found
            print(table(found), flush=True)
        surroundings = _surroundings(world)
    print(f"\n{surroundings}\n\n{table(lines)}")
    if not asked.names and not asked.quick:
        DOCUMENT.write_text(_document(surroundings, lines))
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small fleets")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return asked


def _surroundings(world: World) -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.strip()
    database = str(world.value("SHOW server_version")).split()[0]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} at revision {revision}: {os.cpu_count()} cores,"
        f" {memory_gb:.0f} GB, {platform.system()} {platform.release().split('-')[0]}"
        f" {platform.machine()}, load {os.getloadavg()[2]:.1f} over the last 15 minutes. Python"
        f" {platform.python_version()}, PostgreSQL {database}, {packages}."
    )


def _document(surroundings: str, lines: Sequence[Line]) -> str:
    return INTRODUCTION.format(
        surroundings=surroundings,
        table=table(lines),
        delay_ms=f"{PROVIDER_DELAY_S * 1000:.0f}",
        in_flight=IN_FLIGHT,
        webhooks=provider.Settings.webhook_connections,
    )


INTRODUCTION = """# Benchmarks

Written by `uv run python -m tests.benchmarks`, which takes 25 to 40 minutes. Names after it measure
single lines and write nothing; `--quick` does so with small fleets.

Figures of one machine say little about another, ratios do: every line has its counterpart in the
same run. The whole gateway runs as `manage.py up` runs it (web, workers, dispatcher, beat,
PostgreSQL with fsync, Valkey), with {in_flight} requests in flight, against a provider that answers
after {delay_ms} ms and shares the same cores. Spread: the smallest, the median and the largest of
the runs; the median is held against the goal.

{surroundings}

{table}

What each line measures:

- **Burst.** From the REST call that declares an event to the moment at which the database has the
  answer to the last command. The bare loop sends the same requests with aiohttp, as many in flight,
  and records nothing.
- **Naive.** What would be written first: a Celery task a session, `requests.post`, `save()`. Rates
  are compared, since a naive prefork worker would need ten minutes for the whole fleet.
- **Closed loop.** The provider also posts two signed webhooks a session, {webhooks} at a time; the
  clock stops when the last `completed` is applied. How many eDRV has in flight is not known; the
  more, the more of them share a commit.
- **Stored, applied.** Storing is measured {webhooks} at a time and with the workers standing still,
  by the listener of the webhooks, against a Django view without middleware, on granian, that
  inserts the same row and checks nothing. Applying is measured with everything awake again.
- **First command.** From the REST call to the first request at the provider, against
  `delay().get()` of a task that does nothing.
- **Relief.** One session in ten is a DC charger of 50 to 150 kW.
- **Cost a session, end, sweep, planning.** Per session, so that 1× is linear. 1,000 commands with
  {in_flight} in flight are three rounds of the provider's {delay_ms} ms whoever sends them, and
  what passes before the first of them weighs ten times as much as in 10,000.
- **Pages.** Queries of each page, for an event on the whole fleet; sequential scans by `EXPLAIN`
  for an event on one feeder of it, some 2,000 sessions, tables below 1,000 rows left out. An event
  on the whole fleet has its participations and sessions read whole.
"""

if __name__ == "__main__":
    sys.exit(main())
