"""Write what a programme did over a season."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chargers import audit
from dr_events import seasons
from dr_events.management.files import manifest_beside, opened


class Command(BaseCommand):
    help = (
        "Write number, hours, kWh, performance, opt-outs and fatigue of the events of a period, "
        "for each site, each declaring client and the whole programme."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", type=_day, required=True, dest="start", help="first day")
        parser.add_argument("--to", type=_day, required=True, dest="end", help="day after the last")
        parser.add_argument("--format", choices=list(seasons.FORMATS), default="csv")
        parser.add_argument(
            "--output", type=Path, required=True, help="a file, and its manifest beside it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["end"] <= options["start"]:
            raise CommandError("--to: is not after --from")
        output: Path = options["output"]
        manifest = manifest_beside(output)
        with opened(output) as file, opened(manifest) as beside:
            taken = seasons.take(
                output.name,
                options["format"],
                start=options["start"],
                end=options["end"],
                actor=audit.shell_actor(),
                now=timezone.now(),
            )
            file.write(taken.content)
            beside.write(taken.manifest)
        self.stdout.write(f"Wrote {output} and {manifest}: {taken.rows} rows.")


def _day(text: str) -> datetime:
    """Midnight in the gateway's time zone."""
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time()))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day such as 2026-06-01") from error
