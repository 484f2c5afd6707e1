"""Read the fleet from eDRV now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chargers import inventory
from chargers.dispatch import endpoint
from chargers.edrv.client import EdrvClient
from chargers.edrv.errors import EdrvError


class Command(BaseCommand):
    help = (
        "Read locations, chargestations, connectors and sessions from eDRV, and heal what "
        "webhooks missed. Our own fields (grid place, volts, phases, maximum current, "
        "exemptions) stay as they are."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EDRV_API_KEY:
            raise CommandError("EDRV_API_KEY is not set.")
        try:
            with EdrvClient(endpoint()) as client:
                synced = inventory.sync(client, now=timezone.now(), everything=True)
        except EdrvError as error:
            raise CommandError(f"eDRV at {settings.EDRV_API_URL}: {error}") from error
        counts = ", ".join(f"{count} {name}" for name, count in asdict(synced).items())
        self.stdout.write(f"Read {counts}.")
