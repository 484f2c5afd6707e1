"""The Celery tasks of the fleet, and the bells that call them. Each makes one domain call."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from chargers import anchors, inbox, inventory, load, pace, site_files, sql
from chargers import dispatch as dispatching
from chargers.doorbell import Bell
from chargers.edrv.client import EdrvClient
from chargers.edrv.errors import EdrvError

log = structlog.get_logger(__name__)


@shared_task
def dispatch() -> None:
    """Send every due command."""
    dispatch_bell.answer()
    dispatching.drain(more_due=dispatch_bell.ring)


@shared_task
def apply_inbox() -> None:
    """Apply every stored webhook."""
    inbox_bell.answer()
    inbox.drain()


@shared_task
def sync_if_due() -> None:
    """Read the fleet from eDRV when it is time to; one worker at a time."""
    sync_bell.answer()
    with sql.only_one("sync", patience_s=sql.LONGEST_THOUGHT_S) as had:
        if had and settings.EDRV_API_KEY and inventory.is_sync_due(now=timezone.now()):
            sync_now()


@shared_task
def sample_load() -> None:
    """Note what every place in the grid draws."""
    load.sample(now=timezone.now())


def sync_now() -> None:
    """Read the fleet, and note whether eDRV let us."""
    try:
        with EdrvClient(dispatching.endpoint()) as client:
            inventory.sync(client, now=timezone.now())
    except EdrvError as error:
        log.warning("sync.failed", error=str(error))
        pace.note_failed_sync(error, now=timezone.now())
    else:
        pace.note_sync(now=timezone.now())


@shared_task
def anchor_audit() -> None:
    """Note the head of the audit chain elsewhere, where that is due; one worker at a time."""
    with sql.only_one("anchor") as had:
        if had:
            anchors.anchor_due(now=timezone.now())


@shared_task
def take_site_files() -> None:
    """Check and write large files of sites."""
    site_file_bell.answer()
    site_files.take_due(clock=timezone.now)


sync_bell = Bell(sync_if_due)
dispatch_bell = Bell(dispatch)
site_file_bell = Bell(take_site_files)
inbox_bell = Bell(apply_inbox, quiet_s=inbox.LINGER_S * 0.8)
