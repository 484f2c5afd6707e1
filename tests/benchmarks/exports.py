"""Exports of a large event against COPY:

    uv run python -m tests.benchmarks.exports [ROWS [FORMAT…]]

100,000 participations with ten readings each, unless told otherwise. For each format: how long it
takes as a multiple of `COPY … TO STDOUT` of the rows it is made of, and by how much a process that
does nothing else grows. Uses servers of its own and throws them away.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

from tests.benchmarks.servers import own_servers

READINGS = 10
FORMATS = ("csv", "json", "parquet", "xlsx", "pdf", "package")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with own_servers():
        event = seed(rows)
        measure(event, rows, sys.argv[2:] or FORMATS)


def seed(rows: int) -> Any:
    """A finished event of ten minutes, every session with a reading every minute of it."""
    from django.db import connection

    from tests.dr_events.story import declare
    from tests.fleet import NOW, make_connector, make_site, make_station

    connectors = [make_connector(make_station(make_site())) for _ in range(100)]
    ids = [connector.pk for connector in connectors]
    stations = [connector.chargestation_id for connector in connectors]
    event = declare(duration="PT10M", targets=[{"type": "feeder", "value": "nowhere"}])
    bounds = {"rows": rows, "ids": ids, "stations": stations, "now": NOW, "event": event.id,
              "readings": READINGS}  # fmt: skip
    with connection.cursor() as cursor:
        for statement in (_SESSIONS, _PARTICIPATIONS, _READINGS):
            cursor.execute(statement, bounds)
        cursor.execute("ANALYZE")
    event.refresh_from_db()
    return event


def measure(event: Any, rows: int, formats: Sequence[str]) -> None:
    from django.db import connections

    copy(_RAW, event)  # warm
    facts_s, raw_s = (min(copy(query, event) for _ in range(3)) for query in (_facts(), _RAW))
    print(f"{rows:,} participations, {rows * READINGS:,} readings")
    print(
        f"COPY of the rows of the report {facts_s:.2f} s, of the readings too {raw_s:.2f} s",
        flush=True,
    )
    for format_ in formats:
        connections.close_all()
        base_s = facts_s if format_ == "csv" else raw_s
        child = get_context("fork").Process(target=_measure_one, args=(event, format_, base_s))
        child.start()
        child.join()


def _measure_one(event: Any, format_: str, base_s: float) -> None:
    from dr_events import exports
    from tests.dr_events.evidence.told import AUDITOR

    before, start, cpu = peak_mb(), time.perf_counter(), time.process_time()
    now = event.starts_at + timedelta(hours=3)
    size = sum(map(len, exports.take(event, format_, actor=AUDITOR, now=now).made))
    took_s = time.perf_counter() - start
    cpu_s, grown_mb = time.process_time() - cpu, peak_mb() - before
    print(
        f"{format_:8} {took_s / base_s:6.1f}× COPY  {took_s:7.1f} s ({cpu_s:.1f} s of CPU)"
        f"  {size / 1e6:7.1f} MB  memory +{grown_mb:.0f} MB",
        flush=True,
    )


def _facts() -> str:
    from dr_events import reports

    return reports._ROWS


def copy(query: str, event: Any) -> float:
    from django.db import connection

    start = time.perf_counter()
    with connection.cursor() as cursor:
        text = query.replace("%s", f"'{event.id}'")
        with cursor.copy(f"COPY ({text}) TO STDOUT (FORMAT csv)") as rows:
            for _ in rows:
                pass
    return time.perf_counter() - start


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_SESSIONS = """
    INSERT INTO chargers_session (external_id, chargestation_id, connector_id, status, started_at,
           heard_at, exempt, exempt_reason, power_w, wanted_cause)
    SELECT 's' || n, (%(stations)s::bigint[])[1 + n %% 100], (%(ids)s::bigint[])[1 + n %% 100],
           'started', %(now)s - interval '1 hour', %(now)s, FALSE, '', 11000, ''
      FROM generate_series(1, %(rows)s) AS n
"""

_PARTICIPATIONS = """
    INSERT INTO dr_events_participation (event_id, session_id, state, reason, binding, joined_at,
           joined_late, joined_generation, before_w, wanted_unit, wanted_value, wanted_at,
           confirmed_unit, confirmed_value, attempts, accepted_at, complied_at, released_at,
           was_limited, restored_at)
    SELECT %(event)s, id, 'confirmed', '', FALSE, %(now)s, FALSE, 0, 11000, 'power', 4200, %(now)s,
           'power', 4200, 1, %(now)s + interval '1 second', %(now)s + interval '30 seconds',
           %(now)s + interval '10 minutes', TRUE, %(now)s + interval '10 minutes'
      FROM chargers_session
"""

_READINGS = """
    INSERT INTO chargers_meterreading (session_id, metered_at, power_w)
    SELECT id, %(now)s + n * interval '1 minute', 4000 + n
      FROM chargers_session CROSS JOIN generate_series(1, %(readings)s) AS n
"""

_RAW = """
    SELECT part.*, reading.metered_at AS at, reading.power_w, reading.current_a, reading.meter_wh
      FROM dr_events_participation AS part
      JOIN chargers_meterreading AS reading ON reading.session_id = part.session_id
     WHERE part.event_id = %s ORDER BY part.id, reading.metered_at
"""

if __name__ == "__main__":
    main()
