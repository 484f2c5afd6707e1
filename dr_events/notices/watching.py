"""Telling what is wrong: level-triggered, like the rest of the gateway. Every few seconds all that
is wrong is looked up and written down; what was told is then compared with what is, and a
difference is told, never more than once a minute for the same trouble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from chargers import sql
from chargers.models import Heartbeat
from dr_events import troubles
from dr_events.notices import telling
from dr_events.notices.models import Trouble
from dr_events.troubles import Found

AT_MOST_EVERY = timedelta(seconds=60)
STANDSTILL = timedelta(seconds=60)
WATCHED = "watch"


def watch(*, now: datetime) -> None:
    """One look at everything. One at a time; idempotent."""
    with sql.only_one("notices-watch") as had:
        if had:
            note([*troubles.present(now=now), *_standstill(now)], now=now)
            tell(now=now)
            Heartbeat.note(WATCHED, at=now)


def _standstill(now: datetime) -> Iterator[Found]:
    """Nobody could tell it while it lasted: beat, Redis or the database was gone."""
    watched = Heartbeat.objects.filter(name=WATCHED).first()
    if watched and watched.at <= now - STANDSTILL:
        detail = {"until": now.isoformat(), "seconds": round((now - watched.at).total_seconds())}
        subject = "The gateway stood still, and runs again"
        yield Found("standstill", subject, since=watched.at, detail=detail)


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
                "since": one.since or (before.since if before and before.figure else now),
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
