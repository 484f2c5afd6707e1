"""The simulator, as `manage.py simulator`; the same as `python -m chargers.simulator`."""

from __future__ import annotations

import os
import sys

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run a faithful fake eDRV with a simulated fleet. --help shows its own options."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """A process of its own, which knows nothing of Django: options are its to read."""
        os.execv(sys.executable, [sys.executable, "-m", "chargers.simulator", *argv[2:]])
