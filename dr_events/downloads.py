"""The report as a file over HTTP: the same from the REST interface and from the admin."""

from __future__ import annotations

from datetime import datetime

from django.http import StreamingHttpResponse

from chargers.audit import Actor
from dr_events import reports
from dr_events.models import Event


def report(event: Event, format_: str, *, actor: Actor, now: datetime) -> StreamingHttpResponse:
    """The report of an event in one of `reports.FORMATS`, streamed. Who took it is on record."""
    content = reports.export(event, format_, actor=actor, now=now)
    format_of = reports.FORMATS[format_]
    name = f"event-{event.id}.{format_of.suffix}"
    return StreamingHttpResponse(
        content,
        content_type=format_of.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
