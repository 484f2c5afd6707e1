"""The Celery tasks of notices, on a queue of their own: a receiver that takes its time keeps
nobody waiting but other notices."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from chargers.doorbell import Bell
from dr_events.notices import sending, watching


@shared_task
def watch() -> None:
    """Beat's tick: look for trouble, and for deliveries whose time has come."""
    watching.watch(now=timezone.now())
    if sending.is_any_due(now=timezone.now()):
        deliver_bell.ring()


@shared_task
def deliver() -> None:
    """Deliver everything that is due."""
    sending.drain(more_due=deliver_bell.ring)


deliver_bell = Bell(deliver)


def on_written(**_: Any) -> None:
    """The receiver of `telling.written`."""
    deliver_bell.ring()
