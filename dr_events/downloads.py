"""The report as a file over HTTP: the same from the REST interface and from the admin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.http import StreamingHttpResponse

from chargers.audit import Actor
from chargers.problems import Problem
from dr_events import exports, reports
from dr_events.models import Event, Export


def report(event: Event, format_: str, *, actor: Actor, now: datetime) -> StreamingHttpResponse:
    """The report of an event in one of `reports.FORMATS`. Who took it is on record."""
    made = reports.export(event, format_, actor=actor, now=now)
    return _sent(iter(made), str(event.id), format_, size_bytes=made.size_bytes)


def export(made: Export, *, actor: Actor, now: datetime) -> StreamingHttpResponse:
    """The file of a report that was made in the background. Who took it is on record. Raises
    Problem 409 while it is not ready, 410 where it is no longer kept."""
    if made.state != Export.State.READY:
        raise Problem(409, "not_ready", f"The export is {made.state}.")
    if made.size_bytes and not made.pieces.exists():
        raise Problem(410, "no_longer_kept", "The file is no longer kept: ask for it anew.")
    reports.note_export(made.event, made.format, actor=actor, now=now)
    content = exports.content_of(made)
    return _sent(content, str(made.event_id), made.format, size_bytes=made.size_bytes)


def _sent(
    content: Iterator[bytes], event_id: str, format_: str, *, size_bytes: int | None
) -> StreamingHttpResponse:
    found = reports.FORMATS[format_]
    name = f"event-{event_id}.{found.suffix}"
    return StreamingHttpResponse(
        content,
        content_type=found.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(size_bytes),
        },
    )
