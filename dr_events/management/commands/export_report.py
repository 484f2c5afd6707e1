"""Write an event's report."""

from __future__ import annotations

import getpass
import socket
import sys
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chargers.audit import Actor
from dr_events import reports
from dr_events.models import Event


class Command(BaseCommand):
    help = "Write the report of an event, given by its id or external id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event", help="id or external id")
        parser.add_argument("--format", choices=list(reports.FORMATS), default="json")
        parser.add_argument("--output", type=Path, help="a file; default standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        event = _find(options["event"])
        actor = Actor(f"shell:{getpass.getuser()}", socket.gethostname())
        content = reports.export(event, options["format"], actor=actor, now=timezone.now())
        if options["output"] is None:
            sys.stdout.buffer.writelines(content)
            return
        with options["output"].open("wb") as file:
            file.writelines(content)
        self.stdout.write(f"Wrote {options['output']}.")


def _find(wanted: str) -> Event:
    try:
        found = Event.objects.filter(pk=uuid.UUID(wanted))
    except ValueError:
        found = Event.objects.filter(external_id=wanted)
    if len(found) != 1:
        many = "several declarers have one" if found else "there is none"
        raise CommandError(f"No single event {wanted!r}: {many}.")
    return found[0]
