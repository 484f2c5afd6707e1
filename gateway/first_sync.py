"""The first sync of `up`: asked for at once, rather than when beat next thinks of it."""

from __future__ import annotations

import time
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from chargers import inventory, pace
from chargers.models import ChargeStation, Heartbeat, Session, Site
from chargers.tasks import sync_bell

LOOK_AGAIN_S = 0.1


def ask() -> datetime:
    """Have a worker read the fleet, the first thing it does; returns when it was asked for."""
    asked_at = timezone.now()
    inventory.note_return(now=asked_at)
    sync_bell.ring()
    return asked_at


def outcome(asked_at: datetime, *, within_s: float) -> str:
    """In a line what came of it, waited for so long at most. Nothing depends on it: the fleet is
    read again until it has been read."""
    if not settings.EDRV_API_KEY:
        return "EDRV_API_KEY is not set: no fleet is read."
    give_up_at = time.monotonic() + within_s
    while not _is_synced(asked_at) and time.monotonic() < give_up_at:
        time.sleep(LOOK_AGAIN_S)
    return _fleet() if _is_synced(asked_at) else _trouble()


def _is_synced(asked_at: datetime) -> bool:
    return Heartbeat.objects.filter(name=inventory.SYNCED, at__gte=asked_at).exists()


def _fleet() -> str:
    cars = Session.objects.filter(ended_at=None).count()
    sites, stations = Site.objects.count(), ChargeStation.objects.count()
    return f"read from eDRV: {sites} sites, {stations} chargestations, {cars} sessions"


def _trouble() -> str:
    unread = Heartbeat.objects.filter(name=pace.UNREAD).first()
    if unread is None:
        return f"still reading the fleet from {settings.EDRV_API_URL} …"
    return f"the fleet cannot be read, and is tried again: {unread.detail}"
