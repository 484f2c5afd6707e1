"""Meter readings grow for ever, so those that are old and no event's evidence are deleted.

A reading is evidence if its session took part in an event and it was metered while that event ran,
or up to MARGIN before or after. It is as well if it was metered at a site of an event in the hours
that the site's baselines look at, on that day or one of those before. No event begins in the past,
and none looks back farther than what is young: nothing that is old can become evidence later. So
what was looked at once need not be looked at again, and Heartbeat PRUNED keeps up to which reading
that is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from chargers import sql
from chargers.models import Heartbeat
from dr_events.evidence import gathering
from dr_events.evidence.instants import time_of
from dr_events.evidence.site_baselines import LOOK_BACK_DAYS, SITE_METHODS
from dr_events.models import Event

log = structlog.get_logger(__name__)

PRUNED = "readings_pruned"
MARGIN = timedelta(hours=2)
# From the first hour of the first day that a site's baseline may look at to the event's start, and
# from its end to the last hour; a little more of both.
LOOK_BACK = timedelta(days=LOOK_BACK_DAYS + 1)
LOOK_AHEAD = timedelta(hours=6)
BATCH = 5_000
# What one run looks at, at most: the next one is never far.
MOST_BATCHES = 40


def prune_readings(*, now: datetime, batch: int = BATCH) -> int:
    """Delete what is older than METER_READINGS_KEPT_DAYS and no evidence; returns how many. Each
    batch is a transaction of its own; one worker at a time does this."""
    deleted = 0
    with sql.only_one("prune") as had:
        sites = _Sites(now)
        for _ in range(MOST_BATCHES if had else 0):
            looked_at, gone = _prune_batch(batch, now, sites)
            deleted += gone
            if looked_at < batch:
                break
    if deleted:
        log.info("readings.pruned", readings=deleted)
    return deleted


@transaction.atomic
def _prune_batch(batch: int, now: datetime, sites: _Sites) -> tuple[int, int]:
    """How many readings were looked at, and how many of them are gone."""
    before = now - timedelta(days=settings.METER_READINGS_KEPT_DAYS)
    looked_at = sql.rows(_OLDEST, {"after": _looked_at_up_to(), "before": before, "batch": batch})
    if not looked_at:
        return 0, 0
    ids, times = [row["id"] for row in looked_at], [row["metered_at"] for row in looked_at]
    held = sites.held(ids, min(times), max(times))
    gone = sql.run(_DELETE, {"readings": list(set(ids) - held), "margin": MARGIN})
    Heartbeat.note(PRUNED, at=now, detail=str(ids[-1]))
    return len(ids), gone


class _Sites:
    """The sites of each event, read once a run, and which readings their baselines rest on."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._of: dict[UUID, dict[str, list[int]]] = {}

    def held(self, ids: list[int], start: datetime, end: datetime) -> set[int]:
        """Those of these readings, metered from `start` to `end`, that a baseline rests on."""
        if SITE_METHODS.keys().isdisjoint(settings.EVIDENCE_BASELINES):
            return set()
        sites, starts, ends = sql.columns(self._windows(start, end), 3)
        found = {"readings": ids, "sites": sites, "starts": starts, "ends": ends}
        return set(sql.ids(_AT_SITES, found)) if sites else set()

    def _windows(self, start: datetime, end: datetime) -> Iterator[tuple[int, datetime, datetime]]:
        """When a site is looked at, as far as that touches these times."""
        events = Event.objects.filter(
            Q(ended_at=None) | Q(ended_at__gte=start - LOOK_AHEAD),
            activated_at__lte=end + LOOK_BACK,
        )
        for event in events:
            for timezone, sites in self._by_timezone(event.id).items():
                for from_, to in self._looked_at(event, timezone):
                    if from_ <= end and to >= start:
                        yield from ((site, from_, to) for site in sites)

    def _by_timezone(self, event_id: UUID) -> dict[str, list[int]]:
        if event_id not in self._of:
            found = self._of[event_id] = defaultdict(list)
            for row in sql.rows(_SITES, [event_id]):
                found[row["timezone"]].append(row["site_id"])
        return self._of[event_id]

    def _looked_at(self, event: Event, timezone: str) -> list[tuple[datetime, datetime]]:
        """Of one that still runs nobody knows which hours it will have touched."""
        assert event.activated_at is not None
        if event.ended_at is None:
            return [(event.activated_at - LOOK_BACK, self._now)]
        occasion = gathering.terms_of(event, now=self._now).occasion(timezone)
        return [
            (time_of(from_s) - gathering.GAP, time_of(to_s) + gathering.GAP)
            for from_s, to_s in (gathering.windows_of(occasion) if occasion else ())
        ]


def _looked_at_up_to() -> int:
    noted = Heartbeat.objects.filter(name=PRUNED).first()
    return int(noted.detail) if noted else 0


# In the order in which they came, up to the first that is too young.
_OLDEST = """
    SELECT id, metered_at FROM (
           SELECT id, metered_at, bool_and(metered_at < %(before)s) OVER (ORDER BY id) AS is_old
             FROM (SELECT id, metered_at FROM chargers_meterreading
                    WHERE id > %(after)s ORDER BY id LIMIT %(batch)s) AS next) AS looked_at
     WHERE is_old ORDER BY id
"""

_SITES = """
    SELECT DISTINCT site.id AS site_id,
           COALESCE(part.place ->> 'timezone', site.timezone) AS timezone
      FROM dr_events_participation AS part
      JOIN chargers_session AS session ON session.id = part.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE part.event_id = %s
"""

_AT_SITES = """
    SELECT DISTINCT reading.id
      FROM chargers_meterreading AS reading
      JOIN chargers_session AS session ON session.id = reading.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN unnest(%(sites)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
             AS looked_at (site_id, starts_at, ends_at)
        ON looked_at.site_id = station.site_id
       AND reading.metered_at BETWEEN looked_at.starts_at AND looked_at.ends_at
     WHERE reading.id = ANY(%(readings)s)
"""

_DELETE = """
    DELETE FROM chargers_meterreading AS reading
     WHERE reading.id = ANY(%(readings)s)
       AND NOT EXISTS (
           SELECT FROM dr_events_participation AS part
             JOIN dr_events_event AS event ON event.id = part.event_id
            WHERE part.session_id = reading.session_id
              AND reading.metered_at >=
                  LEAST(event.starts_at, event.activated_at, part.joined_at) - %(margin)s
              AND reading.metered_at <=
                  CASE WHEN event.ended_at IS NULL OR part.released_at IS NULL
                            OR (part.was_limited AND part.restored_at IS NULL)
                       THEN 'infinity'
                       ELSE GREATEST(event.ended_at, part.released_at, part.restored_at)
                                + %(margin)s END)
"""
