"""Large CSV files of sites, taken in the background, one at a time: checked, confirmed by a person,
written.

The row is the guarantee: a worker that dies leaves its file as it was, and the next tick begins
anew. What is written and that it was written are one transaction.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import transaction
from redis import RedisError
from tablib import InvalidDimensions

from chargers import sql
from chargers.audit import Actor
from chargers.models import SiteFile
from chargers.problems import Problem, failure_text, new_reference
from chargers.resources import LargeSiteImport, LargeSiteResource, SiteCsv, Stopped

log = structlog.get_logger(__name__)

# A file of more rows is not waited for.
LARGE_FROM = 1_000
# One of more is no list of sites, and would keep a worker for hours.
MOST_ROWS = 100_000
UNREADABLE = "This is no CSV in UTF-8, each row with as many cells as the heading."
KEPT = timedelta(days=1)
MOST_FAULTS = 100
PROGRESS_KEPT_S = 3600
State = SiteFile.State
Clock = Callable[[], datetime]


def is_large(content: bytes) -> bool:
    """Whether a CSV is better taken in the background."""
    return _rows_in(content) > LARGE_FROM


def _rows_in(content: bytes) -> int:
    """How many lines stand below the heading, a text over several lines counted as several."""
    return sum(1 for line in BytesIO(content) if line.strip()) - 1


def send(name: str, content: bytes, *, actor: Actor, now: datetime) -> SiteFile:
    """Have a file checked. Nothing of it is written yet. Raises Problem for one of more than
    MOST_ROWS."""
    rows = _rows_in(content)
    if rows > MOST_ROWS:
        raise Problem(
            400,
            "too_many_rows",
            f"{name} has {rows:,} rows. At most {MOST_ROWS:,} are taken at once.",
        )
    return SiteFile.objects.create(
        name=name[:200],
        content=content,
        rows=rows,
        sent_by=actor.name,
        sent_from=actor.origin,
        sent_at=now,
    )


def confirm(file_id: UUID, *, actor: Actor) -> bool:
    """Have a checked file written, in the name of who says so. False where it was not waiting for
    that."""
    return bool(
        SiteFile.objects.filter(pk=file_id, state=State.CHECKED).update(
            state=State.WRITING, sent_by=actor.name, sent_from=actor.origin
        )
    )


def done_of(file: SiteFile) -> int:
    """How many of its rows are checked, or written, as far as is known."""
    try:
        return min(file.rows, cache.get(_key(file)) or 0)
    except (RedisError, OSError):
        return 0


def take_due(*, clock: Clock) -> None:
    """Check and write whatever is to be, and forget old files; one worker at a time."""
    with sql.only_one("site-files", patience_s=sql.LONGEST_THOUGHT_S) as had:
        if had:
            SiteFile.objects.filter(sent_at__lt=clock() - KEPT).exclude(
                state__in=SiteFile.MOVING
            ).delete()
            while file := _next():
                _take(file)


def _next() -> SiteFile | None:
    return SiteFile.objects.filter(state__in=SiteFile.MOVING).order_by("sent_at").first()


def _take(file: SiteFile) -> None:
    try:
        # Before the transaction: parsing asks the database nothing for as long as it takes.
        dataset = SiteCsv(encoding="utf-8-sig").create_dataset(bytes(file.content))
        with transaction.atomic():
            _note_result(file, _import(file, dataset))
    except (UnicodeDecodeError, csv.Error, InvalidDimensions):
        _settle(file, State.REFUSED, faults=[[None, UNREADABLE, ""]])
    except Exception:
        reference = new_reference()
        log.exception("site_file.failed", file=str(file.pk), reference=reference)
        _settle(file, State.FAILED, faults=[[None, failure_text(reference), ""]])


def _import(file: SiteFile, dataset: Any) -> LargeSiteImport:
    actor = Actor(file.sent_by, file.sent_from)
    resource = LargeSiteResource(actor=actor, note=partial(_note_progress, file))
    try:
        result: LargeSiteImport = resource.import_data(
            dataset, dry_run=file.state == State.CHECKING
        )
    except Stopped as stopped:
        return stopped.result
    return result


def _note_result(file: SiteFile, result: LargeSiteImport) -> None:
    if result.has_errors():
        faults = result.faults or [(None, text, "") for text in result.problems()]
        totals = {"wrong": len(faults)}
        if result.was_stopped:
            totals["looked_at"] = len(result.rows)
        _settle(file, State.REFUSED, totals=totals, faults=faults[:MOST_FAULTS])
        return
    found = result.totals
    totals = {"new": found["new"], "changed": found["update"], "unchanged": found["skip"]}
    if file.state == State.CHECKING:
        SiteFile.objects.filter(pk=file.pk).update(state=State.CHECKED, totals=totals)
    else:
        _settle(file, State.DONE, totals=totals)
    _note_progress(file, 0)


def _settle(file: SiteFile, state: State, **fields: Any) -> None:
    SiteFile.objects.filter(pk=file.pk).update(state=state, content=b"", **fields)


def _note_progress(file: SiteFile, done: int) -> None:
    try:
        cache.set(_key(file), done, PROGRESS_KEPT_S)
    except (RedisError, OSError):
        log.warning("site_file.progress_unheard", file=str(file.pk))


def _key(file: SiteFile) -> str:
    return f"site-file:{file.pk}"
