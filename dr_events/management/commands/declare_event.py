"""Declare an event from the command line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rest_framework.serializers import ValidationError

from chargers import audit
from chargers.problems import Problem
from dr_events import intake, preview
from dr_events.models import EventTarget


class Command(BaseCommand):
    help = (
        "Declare a demand-response event, as POST /api/v1/events/ does. Prints it as JSON.\n"
        "  declare_event 'Feeder F12 overload' --limit 4200 W --target feeder F12 "
        "--duration PT45M"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--limit",
            nargs=2,
            required=True,
            metavar=("VALUE", "UNIT"),
            help="per session, in W or in A per phase; 0 pauses",
        )
        parser.add_argument(
            "--target",
            dest="targets",
            nargs="+",
            action="append",
            required=True,
            metavar=("TYPE", "VALUE"),
            help=f"one of {', '.join(EventTarget.Type.values)}, with its name or eDRV id",
        )
        parser.add_argument("--starts-at", help="ISO 8601 with offset; default now")
        parser.add_argument("--ends-at", help="ISO 8601 with offset; default until ended")
        parser.add_argument("--duration", help="ISO 8601, such as PT45M, instead of --ends-at")
        parser.add_argument("--priority", type=int, help="0 is the highest; default the lowest")
        parser.add_argument("--external-id")
        parser.add_argument("--reason")
        parser.add_argument("--test", action="store_true", help="a drill")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what it would do, and do nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        data = self._declaration(options)
        try:
            if options["dry_run"]:
                answer = preview.preview(data, now=timezone.now()).as_json()
            else:
                declared = intake.declare(data, actor=audit.shell_actor(), now=timezone.now())
                answer = {"id": str(declared.event.id), "status": declared.event.status}
        except ValidationError as error:
            raise CommandError(json.dumps(error.detail, indent=2)) from error
        except Problem as error:
            raise CommandError(error.detail) from error
        self.stdout.write(json.dumps(answer, indent=2))

    def _declaration(self, options: dict[str, Any]) -> dict[str, Any]:
        optional = {
            name: options[name]
            for name in ("starts_at", "ends_at", "duration", "priority", "external_id", "reason")
            if options[name] is not None
        }
        return {
            "name": options["name"],
            "limit": _limit(*options["limit"]),
            "targets": [_target(words) for words in options["targets"]],
            "test": options["test"],
            **optional,
        }


def _limit(value: str, unit: str) -> dict[str, Any]:
    units = {"w": "power", "a": "current"}
    if unit.lower() not in units:
        raise CommandError(f"--limit: {unit!r} is neither W nor A")
    try:
        number = float(value)
    except ValueError as error:
        raise CommandError(f"--limit: {value!r} is not a number") from error
    return {"kind": "per_session", "unit": units[unit.lower()], "value": number}


def _target(words: list[str]) -> dict[str, Any]:
    if len(words) > 2:
        raise CommandError(f"--target: TYPE and VALUE, not {' '.join(words)!r}")
    return {"type": words[0], **({"value": words[1]} if len(words) > 1 else {})}
