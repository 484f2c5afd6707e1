"""Verify the hash chain over the audit record."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chargers import anchors, chain


class Command(BaseCommand):
    help = (
        "Walk the hash chain over the audit record and name the first entry that was changed, "
        "removed, inserted or reordered. Exit status 1 if there is one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--anchors",
            type=Path,
            default=settings.AUDIT_ANCHOR_FILE,
            help="a file of anchored heads to compare with; default AUDIT_ANCHOR_FILE",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        noted = _anchors(options["anchors"])
        found = chain.verify(noted)
        if found:
            raise CommandError(str(found))
        head = chain.head()
        self.stdout.write(f"{head.position} audit entries in an unbroken chain.")
        self.stdout.write(f"Head {head.position} {head.hash.hex()}")
        if noted:
            self.stdout.write(f"{len(noted)} anchors, all of them on the chain.")


def _anchors(path: Path | None) -> list[chain.Head]:
    if path is None or not path.exists():
        return []
    try:
        return anchors.read(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"--anchors: {path}: {error}") from error
