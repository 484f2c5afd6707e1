"""The keys that evidence is signed with."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dr_events.evidence.seal import public_key_of


class Command(BaseCommand):
    help = (
        "Print the id and the public key of each signing key, the one in use first: what you give "
        "to auditors. --new ID prints a new entry for EVIDENCE_SIGNING_KEYS; it is stored nowhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--new", metavar="ID", help="make a key with this id")

    def handle(self, *args: Any, **options: Any) -> None:
        new = options["new"]
        if new is None:
            for key_id, seed in settings.EVIDENCE_SIGNING_KEYS.items():
                self.stdout.write(f"{key_id} {public_key_of(seed)}")
            return
        if new in settings.EVIDENCE_SIGNING_KEYS:
            raise CommandError(f"--new: there is a key {new} already")
        self.stdout.write(f"{new}:{secrets.token_hex(32)}")
