"""Meter readings grow for ever, so those that are old and no event's evidence are deleted.

A reading is evidence if its session took part in an event and it was metered while that event ran,
or up to MARGIN before or after; and so is the last one before that. Nothing can become evidence
later, since no event begins in the past: what was looked at once need not be looked at again, and
Heartbeat PRUNED keeps up to which reading that is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from chargers import sql
from chargers.models import Heartbeat

log = structlog.get_logger(__name__)

PRUNED = "readings_pruned"
MARGIN = timedelta(hours=2)
BATCH = 5_000
# What one run looks at, at most: the next one is never far.
MOST_BATCHES = 40


def prune_readings(*, now: datetime, batch: int = BATCH) -> int:
    """Delete what is older than METER_READINGS_KEPT_DAYS and no evidence; returns how many. Each
    batch is a transaction of its own; one worker at a time does this."""
    deleted = 0
    with sql.only_one("prune") as had:
        for _ in range(MOST_BATCHES if had else 0):
            looked_at, gone = _prune_batch(batch, now)
            deleted += gone
            if looked_at < batch:
                break
    if deleted:
        log.info("readings.pruned", readings=deleted)
    return deleted


@transaction.atomic
def _prune_batch(batch: int, now: datetime) -> tuple[int, int]:
    """How many readings were looked at, and how many of them are gone."""
    before = now - timedelta(days=settings.METER_READINGS_KEPT_DAYS)
    ids = sql.ids(_OLDEST, {"after": _looked_at_up_to(), "before": before, "batch": batch})
    if not ids:
        return 0, 0
    gone = sql.run(_DELETE, {"readings": ids, "margin": MARGIN})
    Heartbeat.note(PRUNED, at=now, detail=str(ids[-1]))
    return len(ids), gone


def _looked_at_up_to() -> int:
    noted = Heartbeat.objects.filter(name=PRUNED).first()
    return int(noted.detail) if noted else 0


# In the order in which they came, up to the first that is too young.
_OLDEST = """
    SELECT id FROM (
           SELECT id, bool_and(metered_at < %(before)s) OVER (ORDER BY id) AS is_old
             FROM (SELECT id, metered_at FROM chargers_meterreading
                    WHERE id > %(after)s ORDER BY id LIMIT %(batch)s) AS next) AS looked_at
     WHERE is_old ORDER BY id
"""

_DELETE = """
    DELETE FROM chargers_meterreading AS reading
     WHERE reading.id = ANY(%(readings)s)
       AND NOT EXISTS (
           SELECT FROM dr_events_participation AS part
             JOIN dr_events_event AS event ON event.id = part.event_id
            CROSS JOIN LATERAL (
                  SELECT LEAST(event.starts_at, event.activated_at, part.joined_at) - %(margin)s
                             AS starts_at,
                         CASE WHEN event.ended_at IS NULL OR part.released_at IS NULL
                                   OR (part.was_limited AND part.restored_at IS NULL)
                              THEN 'infinity'
                              ELSE GREATEST(event.ended_at, part.released_at, part.restored_at)
                                       + %(margin)s END AS ends_at) AS evidence
            WHERE part.session_id = reading.session_id
              AND reading.metered_at <= evidence.ends_at
              AND (reading.metered_at >= evidence.starts_at OR NOT EXISTS (
                   SELECT FROM chargers_meterreading AS later
                    WHERE later.session_id = reading.session_id
                      AND later.metered_at > reading.metered_at
                      AND later.metered_at < evidence.starts_at)))
"""
