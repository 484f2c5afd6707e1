"""Noting the chain's head elsewhere: a chain inside one database alone does not stop its
administrator from making it anew.

Each place is tried by itself, now and again until it has taken the latest head: an append-only
file, e-mail, and a webhook. What a place took last is its heartbeat.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import requests
import structlog
from django.conf import settings
from django.core.mail import send_mail

from chargers import chain
from chargers.canonical import instant
from chargers.chain import Head
from chargers.models import Heartbeat

log = structlog.get_logger(__name__)

TIMEOUT_S = 10


def places() -> dict[str, Callable[[Head, datetime], None]]:
    """Those that are configured."""
    known: dict[str, tuple[object, Callable[[Head, datetime], None]]] = {
        "file": (settings.AUDIT_ANCHOR_FILE, _append),
        "email": (settings.AUDIT_ANCHOR_EMAILS, _mail),
        "webhook": (settings.AUDIT_ANCHOR_WEBHOOK_URL, _post),
    }
    return {name: note for name, (where, note) in known.items() if where}


def anchor_due(*, now: datetime) -> None:
    """Note the head in every place where the last one is older than AUDIT_ANCHOR_INTERVAL_S and
    the chain has grown since."""
    due_since = now - timedelta(seconds=settings.AUDIT_ANCHOR_INTERVAL_S)
    last = {beat.name: beat for beat in Heartbeat.objects.filter(name__startswith="anchor_")}
    head = chain.head()
    for name, note in places().items():
        beat = last.get(f"anchor_{name}")
        if beat and (beat.at > due_since or beat.detail == _line(head)):
            continue
        try:
            note(head, now)
        except (OSError, requests.RequestException) as error:
            log.warning("anchor.failed", place=name, error=str(error))
        else:
            Heartbeat.note(f"anchor_{name}", at=now, detail=_line(head))
            log.info("anchor.noted", place=name, **head.as_json())


def read(path: Path) -> list[Head]:
    """The heads in an anchor file. Raises ValueError for a line that is none."""
    heads = []
    for line in path.read_bytes().splitlines():
        if line.strip():
            said = orjson.loads(line)
            heads.append(Head(int(said["position"]), bytes.fromhex(said["hash"])))
    return heads


def _line(head: Head) -> str:
    return f"{head.position} {head.hash.hex()}"


def _told(head: Head, now: datetime) -> dict[str, object]:
    return {**head.as_json(), "at": instant(now), "gateway": next(iter(settings.ALLOWED_HOSTS), "")}


def _append(head: Head, now: datetime) -> None:
    """One line, on disk before it counts."""
    path = settings.AUDIT_ANCHOR_FILE
    assert path is not None
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with os.fdopen(opened, "wb") as file:
        file.write(orjson.dumps(_told(head, now)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _mail(head: Head, now: datetime) -> None:
    send_mail(
        f"Audit anchor {head.position}",
        f"The head of the audit chain at {instant(now)}:\n\n{_line(head)}\n\n"
        "Keep this message: `manage.py verify_audit` can be held against it.\n",
        None,
        settings.AUDIT_ANCHOR_EMAILS,
    )


def _post(head: Head, now: datetime) -> None:
    answer = requests.post(
        settings.AUDIT_ANCHOR_WEBHOOK_URL,
        data=orjson.dumps(_told(head, now)),
        headers={"Content-Type": "application/json"},
        timeout=TIMEOUT_S,
    )
    answer.raise_for_status()
