"""The season of a programme, read from the events of a period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from chargers import audit, sql
from chargers.audit import Actor
from dr_events.evidence import gathering
from dr_events.evidence.computation import computed
from dr_events.evidence.season import Held, season_rows
from dr_events.evidence.tables import SITES
from dr_events.models import Event


def export(*, start: datetime, end: datetime, actor: Actor, now: datetime) -> Iterator[Any]:
    """Rows of the table `season` over the events that started in a period and have ended, drills
    left out. Who took it is on record, with the events it is made of."""
    held = Event.objects.filter(
        test=False, activated_at__gte=start, activated_at__lt=end, ended_at__isnull=False
    )
    events = list(held.order_by("activated_at"))
    audit.record(
        actor,
        "season.exported",
        at=now,
        subject="event",
        subject_ids=[event.id for event in events],
        after={"from": start.isoformat(), "to": end.isoformat()},
    )
    return season_rows(_held(event, now) for event in events)


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
