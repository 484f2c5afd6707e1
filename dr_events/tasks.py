"""The Celery tasks of events, and the bell that calls for them."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from chargers.doorbell import Bell
from dr_events import curve, exports, pruning, reconciliation


@shared_task
def sweep() -> None:
    """Beat's tick: one turn of the whole loop."""
    reconciliation.sweep(clock=timezone.now)


@shared_task
def steer() -> None:
    """An event was declared, amended or ended, or there is news of sessions."""
    steer_bell.answer()
    reconciliation.steer(clock=timezone.now)


@shared_task
def prune() -> None:
    """Delete meter readings that are old and no event's evidence."""
    pruning.prune_readings(now=timezone.now())


@shared_task
def sample_curves() -> None:
    """Note what the sessions of running events draw."""
    curve.sample(now=timezone.now())


@shared_task
def make_exports() -> None:
    """Make the reports that were asked for in the background."""
    exports.make_due(clock=timezone.now)


steer_bell = Bell(steer)
export_bell = Bell(make_exports)
# News comes in batches, and the sweep is never more than a second away.
news_bell = Bell(steer, quiet_s=0.25)


def on_news(**_: Any) -> None:
    """The receiver of `chargers.news.arrived`."""
    news_bell.ring()
