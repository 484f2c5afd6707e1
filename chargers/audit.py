"""The append-only record of who did what. Both layers write it, so it lies in the lower one
(docs/adr/0001-audit-entries-live-in-chargers.md)."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargers.canonical import digest_of
from chargers.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts (`user:anna`, `client:scada`, `gateway`) and from where (an address, `admin`)."""

    name: str
    origin: str = ""


GATEWAY = Actor("gateway")


def shell_actor() -> Actor:
    """Whoever runs a command, on which machine."""
    return Actor(f"shell:{getpass.getuser()}", socket.gethostname())


def record(
    actor: Actor,
    action: str,
    *,
    at: datetime,
    subject: str,
    subject_ids: Iterable[object],
    before: Any = None,
    after: Any = None,
) -> None:
    """Write one entry, in the transaction of what it records. Nothing is written for no
    subjects."""
    named = [str(subject_id) for subject_id in subject_ids]
    if not named:
        return
    content: dict[str, Any] = {
        "at": at,
        "actor": actor.name[:150],
        "origin": actor.origin[:100],
        "action": action,
        "subject": subject,
        "subject_ids": named,
        "before": before,
        "after": after,
    }
    AuditEntry.objects.create(**content, digest=digest_of(content))


def record_commands(command_ids: Iterable[int], state: str, *, at: datetime) -> None:
    """One entry for all commands that came into a state together."""
    record(
        GATEWAY,
        f"command.{state}",
        at=at,
        subject="command",
        subject_ids=command_ids,
        after=state,
    )
