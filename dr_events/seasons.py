"""The season of a programme, read from the events of a period."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings

from chargers import audit, chain, sql
from chargers.audit import Actor
from dr_events.evidence import gathering, keys, seal
from dr_events.evidence.computation import computed
from dr_events.evidence.files import cells_of
from dr_events.evidence.season import Held, season_rows
from dr_events.evidence.tables import SEASON, SITES
from dr_events.models import Event


@dataclass(frozen=True, slots=True)
class Taken:
    """The table `season` as a file of so many rows, and its signed manifest."""

    content: bytes
    rows: int
    manifest: bytes


def take(
    name: str, format_: str, *, start: datetime, end: datetime, actor: Actor, now: datetime
) -> Taken:
    """The table `season` over the events that started in a period and have ended, drills left out,
    in one of FORMATS, for a file of that name. Who took it is on record, with the events it is
    made of and its digest."""
    held = Event.objects.filter(
        test=False, activated_at__gte=start, activated_at__lt=end, ended_at__isnull=False
    )
    events = list(held.order_by("activated_at"))
    event_ids = [str(event.id) for event in events]
    rows = list(season_rows(_held(event, now) for event in events))
    content = FORMATS[format_](rows)
    sha256 = hashlib.sha256(content).hexdigest()
    key_id, seed = keys.newest()
    manifest = seal.sealed(
        seal.of_season(
            start=start,
            end=end,
            event_ids=event_ids,
            settlement_grade=settings.EVIDENCE_SETTLEMENT_GRADE,
        ),
        file={"name": name, "format": format_, "sha256": sha256, "bytes": len(content)},
        inputs={"events": len(events)},
        sealing=seal.Sealing(now, actor.name, chain.head().as_json(), key_id),
        seed=seed,
    )
    audit.record(
        actor,
        "season.exported",
        at=now,
        subject="event",
        subject_ids=event_ids,
        after={"from": start.isoformat(), "to": end.isoformat(), "sha256": sha256},
    )
    return Taken(content, len(rows), manifest)


def _csv(rows: Sequence[Any]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(SEASON.names)
    writer.writerows(cells_of(row) for row in rows)
    return file.getvalue().encode()


def _json(rows: Sequence[Any]) -> bytes:
    return orjson.dumps([row._asdict() for row in rows])


FORMATS: dict[str, Callable[[Sequence[Any]], bytes]] = {"csv": _csv, "json": _json}


def _held(event: Event, now: datetime) -> Held:
    assert event.activated_at is not None
    assert event.ended_at is not None
    terms = replace(gathering.terms_of(event, now=now), methods=())
    with gathering.snapshot():
        parts = gathering.parts(event, as_of=terms.as_of)
        tables = computed(terms, parts, lambda *_: [], intervals=False)
        sites = [row for table, row in tables if table is SITES]
        opt_outs = Counter(sql.texts(_OPT_OUTS, [event.id]))
    hours = (event.ended_at - event.activated_at).total_seconds() / 3600
    return Held(event.declared_by, hours, sites, dict(opt_outs))


# The site of each opt-out, whatever it was an opt-out of.
_OPT_OUTS = """
    SELECT site.external_id FROM dr_events_optout AS opt
      LEFT JOIN chargers_session AS session
        ON opt.type = 'session' AND session.external_id = opt.value
      LEFT JOIN chargers_chargestation AS station
        ON station.id = session.chargestation_id
        OR (opt.type = 'chargestation' AND station.external_id = opt.value)
      JOIN chargers_site AS site
        ON site.id = station.site_id OR (opt.type = 'site' AND site.external_id = opt.value)
     WHERE opt.event_id = %s AND opt.kind = 'opt_out'
"""
