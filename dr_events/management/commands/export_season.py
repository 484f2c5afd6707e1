"""Write what a programme did over a season."""

from __future__ import annotations

import csv
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chargers import audit
from dr_events import seasons
from dr_events.evidence.files import cells_of
from dr_events.evidence.tables import SEASON


class Command(BaseCommand):
    help = (
        "Write number, hours, kWh, performance, opt-outs and fatigue of the events of a period, "
        "for each site, each declaring client and the whole programme."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", type=_day, required=True, dest="start", help="first day")
        parser.add_argument("--to", type=_day, required=True, dest="end", help="day after the last")
        parser.add_argument("--format", choices=("csv", "json"), default="csv")
        parser.add_argument("--output", type=Path, required=True, help="a file")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["end"] <= options["start"]:
            raise CommandError("--to: is not after --from")
        rows = list(
            seasons.export(
                start=options["start"],
                end=options["end"],
                actor=audit.shell_actor(),
                now=timezone.now(),
            )
        )
        _write(options["output"], options["format"], rows)
        self.stdout.write(f"Wrote {options['output']}: {len(rows)} rows.")


def _write(path: Path, format_: str, rows: list[Any]) -> None:
    if format_ == "json":
        path.write_bytes(orjson.dumps([row._asdict() for row in rows]))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(SEASON.names)
        writer.writerows(cells_of(row) for row in rows)


def _day(text: str) -> datetime:
    """Midnight in the gateway's time zone."""
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time()))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day such as 2026-06-01") from error
