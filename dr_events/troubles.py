"""What is wrong now, and since when: the one place that says so. The first page shows it, notices
tell it; neither has an opinion of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings

from chargers import inbox, pace, sql
from chargers.models import Command, Heartbeat
from chargers.wording import number_of
from dr_events.models import SiteCapacity
from dr_events.pulse import OUTAGE_S, SWEPT

# eDRV may stumble for a moment.
EDRV_PATIENCE = timedelta(seconds=15)
# So long a due command may wait to be sent.
OVERDUE = timedelta(seconds=60)
MOST_NAMED = 10
EDRV_SUBJECT = "eDRV does not do its work"


class What(StrEnum):
    """What can be wrong. The first three are said of sessions."""

    FAILED = "failed"
    NON_RESPONSIVE = "non_responsive"
    STUCK = "stuck"
    CAPACITIES = "capacities"
    WEBHOOKS = "webhooks"
    EDRV = "edrv"
    SWEEP = "sweep"
    DISPATCH = "dispatch"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is wrong. `figure`: how many are concerned, 1 where that is no count.
    `since`: when the first of them was; None where that is not on record."""

    what: str
    subject: str
    figure: int = 1
    since: datetime | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    event_id: UUID | None = None

    @property
    def key(self) -> str:
        """The same for the same trouble, however many are concerned."""
        return f"event:{self.event_id}:{self.what}" if self.event_id else self.what


def present(*, now: datetime) -> list[Found]:
    """Everything that is wrong at this moment."""
    looks = (_sessions, _webhooks, _edrv, _capacities, _sweep, _overdue)
    return [one for look in looks for one in look(now)]


def stuck_ids(event_id: UUID | None, *, now: datetime) -> list[int]:
    """The ids of the sessions on which a limit of this event may have been left behind; with None,
    of those that keep one of no event."""
    return sql.ids(_STUCK_IDS, {"event": event_id, "stuck_before": _stuck_before(now)})


def _stuck_before(now: datetime) -> datetime:
    return now - timedelta(seconds=settings.RESTORE_PATIENCE_S)


def _sessions(now: datetime) -> Iterator[Found]:
    for row in sql.rows(_SESSIONS, {"stuck_before": _stuck_before(now), "named": MOST_NAMED}):
        yield Found(
            row["what"],
            _of_sessions(row["what"], row["figure"], row["event"], is_drill=row["test"]),
            row["figure"],
            row["since"],
            {"sessions": row["sessions"]},
            row["event_id"],
        )


def _of_sessions(what: str, count: int, event: str | None, *, is_drill: bool) -> str:
    sessions = number_of(count, "session")
    match what:
        case What.STUCK if event is None:
            verb = "keeps" if count == 1 else "keep"
            return f"{sessions} {verb} a limit that nobody wants any more"
        case What.STUCK:
            said = f"{sessions} of {event} may still be limited after it"
        case What.FAILED:
            # Whether it is tried again differs from one to the next, and its own row says so.
            said = f"{sessions} of {event} refused {'its' if count == 1 else 'their'} limit"
        case _:
            verb = "draws" if count == 1 else "draw"
            said = f"{sessions} of {event} accepted the limit and {verb} more"
    return f"[drill] {said}" if is_drill else said


def _webhooks(now: datetime) -> Iterator[Found]:
    if inbox.is_silent(now=now):
        last = inbox.last_received_at()
        yield Found(What.WEBHOOKS, "Cars are charging and no webhook comes from eDRV", since=last)


def edrv_trouble(*, now: datetime) -> Heartbeat | None:
    """Since when eDRV does not do its work, and why; None while it may only stumble."""
    if not settings.EDRV_API_KEY:
        return None
    names = (pace.TROUBLE, pace.UNREAD)
    lasting = Heartbeat.objects.filter(name__in=names, at__lte=now - EDRV_PATIENCE)
    return lasting.order_by("at").first()


def _edrv(now: datetime) -> Iterator[Found]:
    if trouble := edrv_trouble(now=now):
        detail = {"error": trouble.detail, "commands_waiting": pace.commands_waiting(now=now)}
        yield Found(What.EDRV, EDRV_SUBJECT, since=trouble.at, detail=detail)


def _capacities(now: datetime) -> Iterator[Found]:
    silent = SiteCapacity.objects.filter(valid_until__lte=now).order_by("valid_until")
    count = silent.count()
    if count:
        first = silent.select_related("site")[:MOST_NAMED]
        subject = f"The capacity feed of {number_of(count, 'site')} is silent"
        named = {"sites": [str(one.site) for one in first]}
        yield Found(What.CAPACITIES, subject, count, first[0].valid_until, named)


def _sweep(now: datetime) -> Iterator[Found]:
    swept = Heartbeat.objects.filter(name=SWEPT).first()
    if swept and swept.at <= now - timedelta(seconds=OUTAGE_S):
        yield Found(What.SWEEP, "The gateway plans nothing: its sweep does not run", since=swept.at)


def _overdue(now: datetime) -> Iterator[Found]:
    if pace.in_trouble():
        # One outage is one trouble: what waits for eDRV is counted there.
        return
    oldest = Command.due(now=now - OVERDUE).order_by("next_attempt_at").first()
    if oldest:
        subject = "Commands are due and are not sent"
        yield Found(What.DISPATCH, subject, since=oldest.next_attempt_at)


# Of an event: released, and the absence of its limit is not proven. Of none, such as what a site's
# capacity held it to: a clear that goes on being tried, since none is ever given up.
_STUCK = """
    SELECT event_id, session_id, 'stuck' AS what, released_at AS since
      FROM dr_events_participation
     WHERE was_limited AND restored_at IS NULL AND released_at <= %(stuck_before)s
     UNION ALL
    SELECT NULL, command.session_id, 'stuck', command.created_at
      FROM chargers_command AS command
      JOIN chargers_session AS session ON session.id = command.session_id
     WHERE (command.state IN ('due', 'unconfirmed') OR command.state = 'sent')
       AND command.kind = 'clear' AND command.created_at <= %(stuck_before)s
       AND session.may_be_limited AND session.ended_at IS NULL
       AND NOT EXISTS (SELECT FROM dr_events_participation AS unrestored
                        WHERE unrestored.session_id = session.id AND unrestored.was_limited
                          AND unrestored.restored_at IS NULL)
"""

_STUCK_IDS = f"""
    SELECT DISTINCT session_id FROM ({_STUCK}) AS stuck
     WHERE event_id IS NOT DISTINCT FROM %(event)s ORDER BY session_id
"""

_SESSIONS = f"""
    SELECT found.what, event.id AS event_id, event.name AS event, event.test,
           count(*)::int AS figure, min(found.since) AS since,
           (array_agg(session.external_id ORDER BY session.id))[1:%(named)s] AS sessions
      FROM (SELECT part.event_id, part.session_id,
                   CASE part.state WHEN 'failed' THEN 'failed' ELSE 'non_responsive' END AS what,
                   CASE part.state WHEN 'failed' THEN command.settled_at
                                   ELSE part.over_limit_since END AS since
              FROM dr_events_participation AS part
              JOIN dr_events_event AS running ON running.id = part.event_id
              JOIN chargers_session AS held ON held.id = part.session_id
              LEFT JOIN chargers_command AS command
                ON command.session_id = held.id AND command.generation = held.generation
             WHERE running.status = 'active' AND part.released_at IS NULL
               AND (part.state = 'failed'
                    OR part.state = 'confirmed' AND part.reason = 'non_responsive')
             UNION ALL {_STUCK}) AS found
      JOIN chargers_session AS session ON session.id = found.session_id
      LEFT JOIN dr_events_event AS event ON event.id = found.event_id
     GROUP BY found.what, event.id ORDER BY event.starts_at, found.what
"""
