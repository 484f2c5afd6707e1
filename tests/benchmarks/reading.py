"""What auditors and operators read of a large event: the CSV report against COPY, and the pages of
the admin."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import orjson
import psutil

from tests.benchmarks.figures import Line, Scale, ratios, seconds
from tests.benchmarks.world import World

PAGES = {
    "admin event page": "/admin/dr_events/event/{event}/change/",
    "admin fleet list": "/admin/chargers/session/",
}
# A table of fewer rows is read whole, and rightly.
SMALL_TABLE = 1_000


def report(world: World, scale: Scale) -> list[Line]:
    """All rows of one event, as CSV."""
    from dr_events.models import Event

    event = Event.objects.get(pk=world.fill_limited(scale.large))
    ours, copied, grown_mb = [], [], []
    for _ in range(scale.runs):
        copied.append(_copy_s(event))
        took_s, more_mb = _export_s(event)
        ours.append(took_s)
        grown_mb.append(more_mb)
    return [
        Line(
            f"CSV report of {scale.large:,} participations, against COPY of the same rows",
            ratios(ours, copied),
            at_most=3,
            ours=seconds(ours),
            theirs=seconds(copied),
        ),
        Line("memory that the report takes meanwhile", grown_mb, "MB", at_most=20),
    ]


def _copy_s(event: Any) -> float:
    from django.db import connection

    from dr_events import reports

    began_at = time.perf_counter()
    with connection.cursor() as cursor:
        query = cursor.mogrify(reports._ROWS, [event.id])
        with cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            for _ in copy:
                pass
    return time.perf_counter() - began_at


def _export_s(event: Any) -> tuple[float, float]:
    """Seconds, and by how many MB the process grew at most meanwhile."""
    from django.utils import timezone

    from chargers.audit import Actor
    from dr_events import exports

    # From now on, the most that the process has held is counted anew (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    before, began_at = psutil.Process().memory_info().rss, time.perf_counter()
    for _ in exports.take(event, "csv", actor=Actor("benchmark"), now=timezone.now()).made:
        pass
    return time.perf_counter() - began_at, (_most_bytes() - before) / 1e6


def _most_bytes() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def pages(world: World, scale: Scale) -> list[Line]:
    """Queries of each page for a small fleet and a large one; sequential scans of large tables."""
    counted: dict[str, list[int]] = {name: [] for name in PAGES}
    scans: dict[str, set[str]] = {name: set() for name in PAGES}
    for sessions in (scale.small, scale.large):
        event_id = world.fill_limited(sessions)
        for name, path in PAGES.items():
            queries = _queries_of(path.format(event=event_id))
            counted[name].append(len(queries))
            if sessions == scale.large:
                scans[name] = {scan for query in queries for scan in _scans(query)}
    lines = []
    for name in PAGES:
        few, many = counted[name]
        lines.append(
            Line(
                f"{name}, {scale.large:,} sessions: queries, against {scale.small:,} sessions",
                [many / few],
                at_most=1,
                ours=str(many),
                theirs=str(few),
            )
        )
        lines.append(
            Line(
                f"{name}: sequential scans of large tables",
                [float(len(scans[name]))],
                "",
                at_most=0,
                ours=", ".join(sorted(scans[name])) or "none",
            )
        )
    return lines


def _queries_of(path: str) -> list[str]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    user, _ = User.objects.get_or_create(username="benchmark", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    client.get(path)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def _scans(query: str) -> set[str]:
    """The large tables that this query reads from one end to the other."""
    from chargers import sql

    if not re.match(r"\s*(SELECT|WITH)", query):
        return set()
    [found] = sql.rows(f"EXPLAIN (FORMAT JSON) {query.replace('%', '%%')}")
    plan = found["QUERY PLAN"]
    plan = orjson.loads(plan) if isinstance(plan, str) else plan
    return {name for name in _scanned(plan[0]["Plan"]) if _rows_of(name) > SMALL_TABLE}


def _scanned(node: dict[str, Any]) -> set[str]:
    found = {node["Relation Name"]} if node["Node Type"] == "Seq Scan" else set()
    return found.union(*(_scanned(inner) for inner in node.get("Plans", ())))


def _rows_of(table: str) -> int:
    from chargers import sql

    [found] = sql.rows("SELECT reltuples::bigint AS n FROM pg_class WHERE relname = %s", [table])
    return int(found["n"])
