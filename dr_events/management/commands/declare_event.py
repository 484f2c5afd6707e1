"""Declare an event from the command line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rest_framework.serializers import ValidationError

from chargers import audit
from chargers.electricity import BelowMinimum, Unit
from chargers.problems import Problem
from dr_events import intake, order_warnings, preview
from dr_events.amounts import Kind
from dr_events.models import EventTarget

# Percentages become limits in watts.
UNITS = {"W": Unit.POWER, "A": Unit.CURRENT, "%": Unit.POWER}
OPTIONAL = (
    "starts_at",
    "ends_at",
    "duration",
    "priority",
    "below_minimum",
    "randomize_start",
    "external_id",
    "reason",
)
RESTORE = {"rate_w_per_min": "restore_w_per_min", "random_share": "restore_random_share"}


class Command(BaseCommand):
    help = (
        "Declare a demand-response event, as POST /api/v1/events/ does. Prints it as JSON, with "
        "what may not be meant.\n"
        "  declare_event 'Feeder F12 overload' --limit 4200 W --target feeder F12 "
        "--duration PT45M\n"
        "  declare_event 'Substation T4' --kind per_event --step PT15M 300000 W "
        "--step PT30M 200000 W --restore-w-per-min 20000 --target substation T4"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        amounts = parser.add_mutually_exclusive_group(required=True)
        amounts.add_argument(
            "--limit",
            nargs=2,
            metavar=("VALUE", "UNIT"),
            help="in W, A per phase, or %% of each session's draw; 0 pauses",
        )
        amounts.add_argument(
            "--step",
            dest="steps",
            nargs=3,
            action="append",
            metavar=("DURATION", "VALUE", "UNIT"),
            help="one of several limits, each for so long (PT15M), one after the other",
        )
        parser.add_argument(
            "--kind",
            choices=Kind,
            type=Kind,
            help="what the limit is of; default per_session, or percent where the unit is %%",
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
        parser.add_argument(
            "--restore-w-per-min",
            type=float,
            metavar="W",
            help="give power back by so much a minute; default all at once",
        )
        parser.add_argument(
            "--restore-random-share",
            type=float,
            metavar="SHARE",
            help="by chance up to so much slower, 0 to 1; with --restore-w-per-min",
        )
        parser.add_argument(
            "--below-minimum",
            choices=BelowMinimum,
            type=BelowMinimum,
            help="what becomes of an AC limit below 6 A: a pause (the default) or 6 A (minimum)",
        )
        parser.add_argument(
            "--randomize-start",
            metavar="DURATION",
            help="each session starts by chance within so long after the start, such as PT5M, or "
            "before it: --randomize-start=-PT5M",
        )
        parser.add_argument("--external-id")
        parser.add_argument("--reason")
        parser.add_argument("--test", action="store_true", help="a drill")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what it would do, and do nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        data, now = self._declaration(options), timezone.now()
        try:
            if options["dry_run"]:
                answer = preview.preview(data, now=now).as_json()
            else:
                event = intake.declare(data, actor=audit.shell_actor(), now=now).event
                warnings = order_warnings.of_event(event, now=now)
                answer = {"id": str(event.id), "status": event.status, "warnings": warnings}
        except ValidationError as error:
            raise CommandError(json.dumps(error.detail, indent=2)) from error
        except Problem as error:
            raise CommandError(error.detail) from error
        self.stdout.write(json.dumps(answer, indent=2))

    def _declaration(self, options: dict[str, Any]) -> dict[str, Any]:
        optional = {name: options[name] for name in OPTIONAL if options[name] is not None}
        restore = {
            name: options[option] for name, option in RESTORE.items() if options[option] is not None
        }
        if restore:
            optional["restore"] = restore
        return {
            "name": options["name"],
            **_amounts(options),
            "targets": [_target(words) for words in options["targets"]],
            "test": options["test"],
            **optional,
        }


def _amounts(options: dict[str, Any]) -> dict[str, Any]:
    kind = options["kind"]
    if options["limit"]:
        return {"limit": _limit(kind, *options["limit"], option="--limit")}
    return {
        "intervals": [
            {"duration": duration, "limit": _limit(kind, value, unit, option="--step")}
            for duration, value, unit in options["steps"]
        ]
    }


def _limit(kind: Kind | None, value: str, unit: str, *, option: str) -> dict[str, Any]:
    if unit.upper() not in UNITS:
        raise CommandError(f"{option}: {unit!r} is none of {', '.join(UNITS)}")
    try:
        number = float(value)
    except ValueError as error:
        raise CommandError(f"{option}: {value!r} is not a number") from error
    usual = Kind.PERCENT if unit == "%" else Kind.PER_SESSION
    if (unit == "%") != ((kind or usual) is Kind.PERCENT):
        raise CommandError(f"{option}: {kind} is not in {unit}")
    return {"kind": kind or usual, "unit": UNITS[unit.upper()], "value": number}


def _target(words: list[str]) -> dict[str, Any]:
    if len(words) > 2:
        raise CommandError(f"--target: TYPE and VALUE, not {' '.join(words)!r}")
    return {"type": words[0], **({"value": words[1]} if len(words) > 1 else {})}
