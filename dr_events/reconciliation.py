"""The sweep: everything that is to happen by now, happens. Run every second by beat and, out of
turn, whenever a bell rings. Idempotent; two at once do no harm."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from chargers import inbox, inventory, news, sql, upkeep
from chargers.models import Heartbeat
from dr_events import fanout, judgement, participations, pools, scope
from dr_events.models import Participation
from dr_events.participations import Clock
from dr_events.pulse import OUTAGE_S, SWEPT

NEWS_BATCH = 1000


def sweep(*, clock: Clock) -> None:
    """One turn of the loop: time, events, news, restoring. The first one after an outage has the
    fleet read anew: who left meanwhile will not be spoken of again."""
    now = clock()
    if not _was_here(since=now - timedelta(seconds=OUTAGE_S)):
        inventory.note_return(now=now)
    upkeep.tick(now=now)
    steer(clock=clock)
    Heartbeat.note(SWEPT, at=clock())


def _was_here(*, since: datetime) -> bool:
    return Heartbeat.objects.filter(name__in=(SWEPT, inbox.RETURNED), at__gte=since).exists()


def steer(*, clock: Clock) -> None:
    """The part of the sweep that bells call for: events that are due, and news of sessions."""
    fanout.advance(now=clock())
    fanout.plan_events(clock=clock)
    while reconcile_news(clock=clock) == NEWS_BATCH:
        pass
    fanout.finish_events(now=clock())


def reconcile_news(*, clock: Clock) -> int:
    """Deal with sessions of which something changed: arrivals are limited, those that left are
    let go, answers and readings are judged. Returns how many pieces of news were taken.

    Where nobody shares power, no other limit follows from an answer or a reading."""
    with participations.planning(clock) as now:
        taken = news.take(NEWS_BATCH)
        if taken.session_ids:
            _reconcile(taken, now)
        return taken.count


def _reconcile(taken: news.Taken, now: datetime) -> None:
    sql.lock_sessions(taken.session_ids)
    to_plan = taken.session_ids if pools.any_at_all() else taken.changed
    if to_plan:
        _update_memberships(to_plan, now)
        participations.plan_news(to_plan, now=now)
    judgement.refresh(set(taken.session_ids).difference(to_plan))
    participations.restore(taken.session_ids)


def _update_memberships(session_ids: list[int], now: datetime) -> None:
    aimed_at = scope.begun_pairs_for(session_ids, now=now)
    # Of an event that is restoring, only who has left is let go before his time.
    running = Participation.objects.filter(session_id__in=session_ids, released_at=None).filter(
        Q(event__status="active") | Q(event__status="restoring", session__ended_at__isnull=False)
    )
    taking_part = set(running.values_list("event_id", "session_id"))
    participations.enlist(aimed_at - taking_part, now=now)
    participations.release(taking_part - aimed_at, now=now)
