"""Everything on one machine: servers, migrations, web, worker, beat, a first sync."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.embedded import EmbeddedServerFailed
from gateway.processes import ProgramFailed, die_with_uv
from gateway.stack import Stack, StackInUse


class Command(BaseCommand):
    help = (
        "Run the whole gateway on this machine, until Ctrl-C: embedded PostgreSQL and Valkey "
        "(unless DATABASE_URL and REDIS_URL are set), migrations, web on plain HTTP and "
        "loopback, workers, beat, and a first sync. Started again it goes on with its data."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="web port (default 8000)")
        parser.add_argument(
            "--webhook-port", type=int, help="port of the webhooks (default: the one after it)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        die_with_uv()
        stack = Stack(port=options["port"], webhook_port=options["webhook_port"], say=self._say)
        stack.heed_sigint()
        try:
            with stack:
                self._greet(stack)
                stack.watch_until_stopped()
        except (EmbeddedServerFailed, ProgramFailed, StackInUse) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError("Stopped while starting.", returncode=130) from error

    def _say(self, text: str) -> None:
        """At once, into a pipe or a file too: whoever waits there must see that it runs."""
        self.stdout.write(text)
        self.stdout.flush()

    def _greet(self, stack: Stack) -> None:
        self._say(
            f"\nThe gateway runs. Ctrl-C stops it.\n"
            f"  admin    {stack.url}/admin/   (first user: manage.py createsuperuser)\n"
            f"  API      {stack.url}/api/v1/docs/\n"
            f"  webhooks {stack.webhook_url}\n"
            f"  ready?   {stack.url}/health/ready/\n"
            f"  logs     {stack.log_dir}"
        )
