"""Exports: a report, on record with its digest and its signed manifest. It is taken at once, or
asked for and made in the background, one at a time, and kept for a while.

In the background the row is the guarantee: a worker that dies leaves its export `running` and its
lock free, and a later tick makes it anew, after all others. One that is lost MOST_ATTEMPTS times
may be what its workers die of: it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, Max, OuterRef, QuerySet, Subquery
from redis import RedisError

from chargers import audit, sql
from chargers.audit import Actor
from chargers.problems import Problem, failure_text, new_reference
from dr_events import reports
from dr_events.models import Event, Export, ExportPiece
from dr_events.notices import exported

log = structlog.get_logger(__name__)

PIECE_BYTES = 1 << 20
PROGRESS_KEPT_S = 3600
NAME_LENGTH = 150
# From so many participations on, a report that reads all their readings is not waited for.
LONG_FROM = 2_000
MOST_ATTEMPTS = 3
LOST = (
    f"It was begun {MOST_ATTEMPTS} times, and each time its worker died of it or was stopped. "
    "Perhaps it needs more memory than there is."
)
# They are made one after the other.
MOST_UNFINISHED = 10
ASK_AGAIN_S = 60
State = Export.State
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Taken:
    """An export that was taken at once: its record, and its file, which is not kept."""

    export: Export
    made: reports.Made


def take(event: Event, format_: str, *, actor: Actor, now: datetime) -> Taken:
    """The report of an event in one of `reports.FORMATS`. Who took it is on record."""
    made = reports.make(reports.Order(event, actor, now), format_)
    with transaction.atomic():
        reports.note_export(event, format_, actor=actor, now=now, sha256=made.sha256)
        export = Export.objects.create(
            event=event,
            format=format_,
            requested_by=actor.name[:NAME_LENGTH],
            requested_at=now,
            **_settled(made, now),
        )
    return Taken(export, made)


def _settled(made: reports.Made, now: datetime) -> dict[str, Any]:
    return {
        "state": State.READY,
        "finished_at": now,
        "size_bytes": made.size_bytes,
        "sha256": made.sha256,
        "manifest": made.manifest.decode(),
    }


def request(event: Event, format_: str, *, actor: Actor, now: datetime) -> Export:
    """Ask for a report in one of `reports.FORMATS`. That it was asked for is on record. The same
    again, before it is finished, is the same export. Raises Problem 429 where MOST_UNFINISHED of
    whoever asks are waited for already."""
    asker = actor.name[:NAME_LENGTH]
    with transaction.atomic():
        sql.one_at_a_time(f"exports of {asker}")
        awaited = _unfinished().filter(requested_by=asker)
        if same := awaited.filter(event=event, format=format_).first():
            return same
        _check_room(awaited.count())
        reports.note_export(event, format_, actor=actor, now=now)
        return Export.objects.create(
            event=event, format=format_, requested_by=asker, requested_at=now
        )


def _check_room(awaited: int) -> None:
    if awaited >= MOST_UNFINISHED:
        raise Problem(
            429,
            "too_many_exports",
            f"{awaited} exports are still being made for you: wait until one of them is finished.",
            retry_after_s=ASK_AGAIN_S,
        )


def _unfinished() -> QuerySet[Export]:
    return Export.objects.filter(state__in=(State.WAITING, State.RUNNING))


def is_long(event: Event, format_: str) -> bool:
    """Whether a report is better made in the background."""
    return format_ != "csv" and event.participations.count() >= LONG_FROM


def progress_of(export: Export) -> tuple[int, int]:
    """How many of its participations are done, and how many there are."""
    total = export.event.participations.count()
    return total if export.state == State.READY else min(total, done_of(export)), total


def done_of(export: Export) -> int:
    """How many participations of an export that is running are done, as far as is known."""
    try:
        return cache.get(_key(export)) or 0
    except (RedisError, OSError):
        return 0


def make_due(*, clock: Clock) -> None:
    """Make every export that was asked for, and forget old files; one worker at a time."""
    with sql.only_one("exports", patience_s=sql.LONGEST_THOUGHT_S) as had:
        if had:
            _forget(clock())
            while export := _next():
                _make(export, clock)


def content_of(export: Export) -> Iterator[bytes]:
    """The file of a ready export, piece by piece."""
    numbers = export.pieces.order_by("number").values_list("number", flat=True)
    for number in list(numbers):
        yield bytes(export.pieces.values_list("content", flat=True).get(number=number))


def _next() -> Export | None:
    """One that is running is nobody's: whoever ran it has lost the lock. It may have been the
    cause, and comes after all others. Of those who wait, whoever got one last comes last."""
    theirs = Export.objects.filter(requested_by=OuterRef("requested_by"))
    got_at = theirs.order_by().values("requested_by").values_list(Max("finished_at"))
    unfinished = _unfinished().select_related("event").annotate(got_at=Subquery(got_at))
    turn = F("got_at").asc(nulls_first=True)
    return unfinished.order_by("attempts", turn, "requested_at").first()


def _make(export: Export, clock: Clock) -> None:
    if export.attempts >= MOST_ATTEMPTS:
        log.error("export.lost", export=str(export.pk))
        _give_up(export, LOST, now=clock())
        return
    # Committed before it is begun: a worker that is killed by it writes nothing down any more.
    export.state, export.attempts = State.RUNNING, export.attempts + 1
    export.save(update_fields=["state", "attempts"])
    order = reports.Order(
        export.event, Actor(export.requested_by), clock(), partial(_note_progress, export)
    )
    try:
        _keep(export, reports.make(order, export.format), now=clock())
    except Exception:
        reference = new_reference()
        log.exception("export.failed", export=str(export.pk), reference=reference)
        _give_up(export, failure_text(reference), now=clock())


@transaction.atomic
def _give_up(export: Export, trouble: str, *, now: datetime) -> None:
    export.refresh_from_db()
    export.state, export.finished_at, export.trouble = State.FAILED, now, trouble
    export.save(update_fields=["state", "finished_at", "trouble"])
    exported.tell(export, now=now)


@transaction.atomic
def _keep(export: Export, made: reports.Made, *, now: datetime) -> None:
    export.pieces.all().delete()
    with made.file as file:
        for number in range(-(-made.size_bytes // PIECE_BYTES)):
            content = file.read(PIECE_BYTES)
            ExportPiece.objects.create(export=export, number=number, content=content)
    for name, value in _settled(made, now).items():
        setattr(export, name, value)
    export.save()
    audit.record(
        audit.GATEWAY,
        "report.made",
        at=now,
        subject="event",
        subject_ids=[export.event_id],
        after={"format": export.format, "for": export.requested_by, "sha256": made.sha256},
    )
    exported.tell(export, now=now)


def _forget(now: datetime) -> None:
    before = now - timedelta(days=settings.EXPORTS_KEPT_DAYS)
    ExportPiece.objects.filter(export__finished_at__lt=before).delete()


def _note_progress(export: Export, done: int) -> None:
    try:
        cache.set(_key(export), done, PROGRESS_KEPT_S)
    except (RedisError, OSError):
        log.warning("export.progress_unheard", export=str(export.pk))


def _key(export: Export) -> str:
    return f"export:{export.pk}"
