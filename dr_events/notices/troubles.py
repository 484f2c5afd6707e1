"""What is wrong now, and telling it: level-triggered, like the rest of the gateway. Every few
seconds all that is wrong is looked up and written down; what was told is then compared with what
is, and a difference is told, never more than once a minute for the same trouble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from chargers import inbox, pace, sql
from chargers.models import Command, Heartbeat
from dr_events.models import SiteCapacity
from dr_events.notices import telling
from dr_events.notices.models import Trouble
from dr_events.reconciliation import OUTAGE_S, SWEPT

AT_MOST_EVERY = timedelta(seconds=60)
# A limit that nobody justifies any more is usually gone within seconds.
STUCK_AFTER = timedelta(minutes=5)
# eDRV may stumble for a moment.
EDRV_PATIENCE = timedelta(seconds=15)
OVERDUE = timedelta(seconds=60)
STANDSTILL = timedelta(seconds=60)
MOST_NAMED = 10
WATCHED = "watch"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is wrong. `figure`: how many are concerned, 1 where that is no count."""

    key: str
    subject: str
    figure: int = 1
    detail: dict[str, Any] = field(default_factory=dict)
    event_id: UUID | None = None


def watch(*, now: datetime) -> None:
    """One look at everything. One at a time; idempotent."""
    with sql.only_one("notices-watch") as had:
        if had:
            note(present(now), now=now)
            tell(now=now)
            Heartbeat.note(WATCHED, at=now)


def present(now: datetime) -> list[Found]:
    """Everything that is wrong at this moment."""
    looks = (_in_events, _webhooks, _edrv, _capacities, _sweep, _overdue, _standstill)
    return [one for look in looks for one in look(now)]


def note(found: Iterable[Found], *, now: datetime) -> None:
    """Write down what is wrong, and what no longer is."""
    known = Trouble.objects.in_bulk()
    for one in found:
        before = known.pop(one.key, None)
        Trouble.objects.update_or_create(
            key=one.key,
            defaults={
                "subject": one.subject[:200],
                "detail": one.detail,
                "event_id": one.event_id,
                "figure": one.figure,
                "since": before.since if before and before.figure else now,
            },
        )
    Trouble.objects.filter(key__in=known, figure__gt=0).update(figure=0)


def tell(*, now: datetime) -> None:
    """Tell what is otherwise than it was told last. What got better without being over is not
    told, but from then on it counts as worse than that."""
    Trouble.objects.filter(figure__gt=0, figure__lt=F("told_figure")).update(
        told_figure=F("figure")
    )
    for trouble in Trouble.objects.exclude(figure=F("told_figure")).select_related("event"):
        _tell(trouble, now)
    Trouble.objects.filter(figure=0, told_figure=0, told_at__lte=now - AT_MOST_EVERY).delete()


@transaction.atomic
def _tell(trouble: Trouble, now: datetime) -> None:
    rested = Q(told_at=None) | Q(told_at__lte=now - AT_MOST_EVERY)
    told = Trouble.objects.filter(rested, pk=trouble.pk).update(
        told_at=now, told_figure=trouble.figure
    )
    if told:
        telling.tell_of_trouble(trouble, now=now)


# --- what can be wrong --------------------------------------------------------------------

OF_SESSIONS = {
    "failed": "{} of {} failed for good",
    "non_responsive": "{} of {} accepted the limit and draw more",
    "stuck": "{} of {} may still be limited after it",
}


def _in_events(now: datetime) -> Iterator[Found]:
    for row in sql.rows(_SESSIONS, {"stuck_before": now - STUCK_AFTER, "named": MOST_NAMED}):
        count = f"{row['figure']:,} session{'' if row['figure'] == 1 else 's'}"
        drill = "[drill] " if row["test"] else ""
        yield Found(
            f"event:{row['event_id']}:{row['what']}",
            drill + OF_SESSIONS[row["what"]].format(count, row["name"]),
            row["figure"],
            {"sessions": row["sessions"]},
            row["event_id"],
        )


def _webhooks(now: datetime) -> Iterator[Found]:
    if inbox.is_silent(now=now):
        yield Found("webhooks", "Cars are charging and no webhook comes from eDRV")


def _edrv(now: datetime) -> Iterator[Found]:
    names = (pace.TROUBLE, pace.UNREAD)
    since = Heartbeat.objects.filter(name__in=names, at__lte=now - EDRV_PATIENCE)
    if settings.EDRV_API_KEY and (trouble := since.order_by("at").first()):
        yield Found("edrv", "eDRV does not do its work", detail={"error": trouble.detail})


def _capacities(now: datetime) -> Iterator[Found]:
    silent = SiteCapacity.objects.filter(valid_until__lte=now).order_by("valid_until")
    count = silent.count()
    if count:
        named = [str(one.site) for one in silent.select_related("site")[:MOST_NAMED]]
        subject = f"The capacity feed of {count:,} site{'' if count == 1 else 's'} is silent"
        yield Found("capacities", subject, count, {"sites": named})


def _sweep(now: datetime) -> Iterator[Found]:
    swept = Heartbeat.objects.filter(name=SWEPT).first()
    if swept and swept.at <= now - timedelta(seconds=OUTAGE_S):
        yield Found("sweep", "The gateway plans nothing: its sweep does not run")


def _overdue(now: datetime) -> Iterator[Found]:
    if not pace.in_trouble() and Command.due(now=now - OVERDUE).exists():
        yield Found("dispatch", "Commands are due and are not sent")


def _standstill(now: datetime) -> Iterator[Found]:
    """Nobody could tell it while it lasted: beat, Redis or the database was gone."""
    watched = Heartbeat.objects.filter(name=WATCHED).first()
    if watched and watched.at <= now - STANDSTILL:
        detail = {"until": now.isoformat(), "seconds": round((now - watched.at).total_seconds())}
        yield Found("standstill", "The gateway stood still, and runs again", detail=detail)


_SESSIONS = """
    SELECT found.what, event.id AS event_id, event.name, event.test, count(*)::int AS figure,
           (array_agg(session.external_id ORDER BY session.id))[1:%(named)s] AS sessions
      FROM (SELECT part.event_id, part.session_id,
                   CASE part.state WHEN 'failed' THEN 'failed' ELSE 'non_responsive' END AS what
              FROM dr_events_participation AS part
              JOIN dr_events_event AS running ON running.id = part.event_id
             WHERE running.status IN ('active', 'restoring') AND part.released_at IS NULL
               AND (part.state = 'failed'
                    OR part.state = 'confirmed' AND part.reason = 'non_responsive')
             UNION ALL
            SELECT event_id, session_id, 'stuck' FROM dr_events_participation
             WHERE was_limited AND restored_at IS NULL AND released_at <= %(stuck_before)s) AS found
      JOIN dr_events_event AS event ON event.id = found.event_id
      JOIN chargers_session AS session ON session.id = found.session_id
     GROUP BY found.what, event.id
"""
