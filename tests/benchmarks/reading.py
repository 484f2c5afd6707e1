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
from tests.benchmarks.world import World, in_an_hour

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
    """Queries of each page for a small fleet and a large one; then what is read of large tables for
    an event on one feeder of the large fleet, beside the event on all of it: whoever asks for all
    rows of a table has it read from one end to the other, and rightly."""
    from django.utils import timezone

    from dr_events import curve

    counted: dict[str, list[int]] = {name: [] for name in PAGES}
    for sessions in (scale.small, scale.large):
        event_id = world.fill_limited(sessions)
        # Else it would hang on how long the filling took whether there is a curve to be read.
        curve.sample(now=timezone.now())
        for name, path in PAGES.items():
            counted[name].append(len(_queries_of(path.format(event=event_id))))
    on_feeder = _event_on_a_feeder(world, event_id)
    lines = []
    for name, path in PAGES.items():
        queries = _queries_of(path.format(event=on_feeder))
        scans = {scan for query in queries for scan in _scans(query)}
        few, many = counted[name]
        lines += [
            Line(
                f"{name}, {scale.large:,} sessions: queries, against {scale.small:,} sessions",
                [many / few],
                at_most=1,
                ours=str(many),
                theirs=str(few),
            ),
            Line(
                f"{name}: sequential scans of large tables",
                [float(len(scans))],
                "",
                at_most=0,
                ours=", ".join(sorted(scans)) or "none",
            ),
        ]
    return lines


def _event_on_a_feeder(world: World, on_all: str) -> str:
    """An event on some 2,000 sessions of those that another one holds, and a day of samples of
    every feeder. Returns its id."""
    from django.db.models import F
    from django.utils import timezone

    from dr_events import curve
    from dr_events.models import Event

    with world.stopped("worker", "dispatcher", "beat"):
        event_id = str(world.declare(targets=[{"type": "feeder", "value": "F1"}])["id"])
        world.run(_TAKE_PART, {"event": event_id, "on_all": on_all})
        Event.objects.update(planned_revision=F("revision"), planned_at=in_an_hour())
        world.run(_A_DAY_OF_SAMPLES)
        world.analyse()
    curve.sample(now=timezone.now())
    return event_id


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


_TAKE_PART = """
    INSERT INTO dr_events_participation (event_id, session_id, state, reason, binding, joined_at,
           joined_late, joined_generation, before_w, wanted_unit, wanted_value, wanted_at,
           confirmed_unit, confirmed_value, attempts, first_sent_at, accepted_at, was_limited)
    SELECT %(event)s::uuid, session_id, part.state, part.reason, binding, joined_at,
           joined_late, joined_generation, before_w, part.wanted_unit, part.wanted_value, wanted_at,
           part.confirmed_unit, part.confirmed_value, part.attempts, part.first_sent_at,
           part.accepted_at, was_limited
      FROM dr_events_participation AS part
      JOIN chargers_session AS session ON session.id = part.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id AND site.feeder = 'F1'
     WHERE part.event_id = %(on_all)s::uuid
"""

_A_DAY_OF_SAMPLES = """
    INSERT INTO chargers_placeload (at, grid_zone, substation, feeder, power_w, cars, metered,
                                    limited)
    SELECT at, place.grid_zone, place.substation, place.feeder, 1e6, 100, 100, 0
      FROM (SELECT DISTINCT grid_zone, substation, feeder FROM chargers_site) AS place
     CROSS JOIN generate_series(now() - INTERVAL '1 day', now() - INTERVAL '1 hour',
                                INTERVAL '30 s') AS at
"""
