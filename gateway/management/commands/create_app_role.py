"""The database role that the gateway's processes run as."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from gateway import database_role


class Command(BaseCommand):
    help = (
        f"Create the database role {database_role.APP_ROLE}, with the password that is read from "
        "standard input, or give it that password. It can add to the audit record and not change "
        "it. Run it as the owner of the tables, before or after `migrate`; the web, workers and "
        "beat then run with this role in their DATABASE_URL."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        password = sys.stdin.readline().rstrip("\n")
        with transaction.atomic():
            database_role.create(password)
            database_role.grant()
        self.stdout.write(f"{database_role.APP_ROLE} may read and write, and own nothing.")
