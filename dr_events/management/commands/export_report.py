"""Write an event's report."""

from __future__ import annotations

import sys
import uuid
from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chargers import audit
from dr_events import exports, reports
from dr_events.management.files import manifest_beside, opened
from dr_events.models import Event


class Command(BaseCommand):
    help = "Write the report of an event, given by its id or external id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event", help="id or external id")
        parser.add_argument("--format", choices=list(reports.FORMATS), default="json")
        parser.add_argument(
            "--output",
            type=Path,
            help="a file, and its manifest beside it; default standard output",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        event = _find(options["event"])
        output: Path | None = options["output"]
        with opened(output) if output else nullcontext(sys.stdout.buffer) as file:
            taken = exports.take(
                event, options["format"], actor=audit.shell_actor(), now=timezone.now()
            )
            file.writelines(taken.made)
        if output:
            manifest = manifest_beside(output)
            manifest.write_bytes(taken.made.manifest)
            self.stdout.write(f"Wrote {output} and {manifest}.")


def _find(wanted: str) -> Event:
    event = _by_id(wanted)
    if event:
        return event
    found = Event.objects.filter(external_id=wanted)
    if len(found) != 1:
        many = "several declarers have one" if found else "there is none"
        raise CommandError(f"No single event {wanted!r}: {many}.")
    return found[0]


def _by_id(wanted: str) -> Event | None:
    try:
        return Event.objects.filter(pk=uuid.UUID(wanted)).first()
    except ValueError:
        return None
