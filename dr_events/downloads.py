"""The report as a file over HTTP: the same from the REST interface and from the admin."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse

from chargers.audit import Actor
from chargers.problems import Problem
from dr_events import exports, reports
from dr_events.models import Event, Export


def report(event: Event, format_: str, *, actor: Actor, now: datetime) -> StreamingHttpResponse:
    """The report of an event in one of `reports.FORMATS`. Who took it is on record."""
    taken = exports.take(event, format_, actor=actor, now=now)
    return _sent(iter(taken.made), taken.export)


def export(made: Export, *, actor: Actor, now: datetime) -> StreamingHttpResponse:
    """The file of a report that was made in the background. Who took it is on record. Raises
    Problem 409 while it is not ready, 410 where it is no longer kept."""
    _check_ready(made)
    if made.size_bytes and not made.pieces.exists():
        raise Problem(410, "no_longer_kept", "The file is no longer kept: ask for it anew.")
    reports.note_export(made.event, made.format, actor=actor, now=now, sha256=made.sha256)
    return _sent(exports.content_of(made), made)


def manifest(made: Export) -> HttpResponse:
    """The signed manifest of an export. Raises Problem 409 while it is not ready, 410 for one that
    is older than manifests."""
    _check_ready(made)
    if not made.manifest:
        raise Problem(410, "no_manifest", "It was made before exports had manifests.")
    name = f"{reports.file_name(made.event_id, made.format)}.manifest.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(made.manifest, content_type="application/json", headers=headers)


def _check_ready(made: Export) -> None:
    if made.state != Export.State.READY:
        raise Problem(409, "not_ready", f"The export is {made.state}.")


def _sent(content: Iterator[bytes], made: Export) -> StreamingHttpResponse:
    """With its digest (RFC 9530), and where its manifest is (RFC 8288)."""
    name = reports.file_name(made.event_id, made.format)
    digest = base64.b64encode(bytes.fromhex(made.sha256)).decode()
    manifest_url = reverse("export-manifest", args=[made.pk])
    return StreamingHttpResponse(
        content,
        content_type=reports.FORMATS[made.format].content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(made.size_bytes),
            "Repr-Digest": f"sha-256=:{digest}:",
            "Link": f'<{manifest_url}>; rel="describedby"; type="application/json"',
        },
    )
