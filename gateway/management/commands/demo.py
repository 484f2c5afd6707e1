"""The main job on simulated cars, from a bare machine."""

from __future__ import annotations

import json
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from gateway.demo import verdict, view
from gateway.demo.story import Story
from gateway.demo.world import World
from gateway.processes import ProgramFailed, die_with_uv
from gateway.stack import is_taken

LOG_WIDTH = 110


class Command(BaseCommand):
    help = (
        "Run the gateway with a simulated fleet of 240 sessions on 12 sites behind 3 feeders, "
        "and follow a first event on one feeder. Works in DATA_DIR/demo, which it empties first, "
        "with embedded servers whatever the environment says. Ctrl-C stops everything."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="web port (default 8000)")
        parser.add_argument(
            "--once",
            action="store_true",
            help="run through once and stop; exit status 1 if a promise was broken",
        )

    def handle(self, *args: Any, port: int, once: bool, **options: Any) -> None:
        die_with_uv()
        for each in (port, port + 1):
            if is_taken(each):
                # Who listens there would be taken for the demo's own gateway.
                raise CommandError(f"Port {each} is in use; choose another with --port.")
        # A log has no width of its own; a table needs one.
        console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
        world = World(settings.BASE_DIR, settings.DATA_DIR / "demo", port, console.print)
        for number in (signal.SIGINT, signal.SIGTERM):
            # SIGINT, too: a shell has its background jobs ignore it.
            signal.signal(number, _interrupt)
        try:
            kept = _play(world, console)
            if not once:
                _wait_for_ctrl_c(world, console)
        except KeyboardInterrupt:
            kept = not once
        except ProgramFailed as error:
            raise CommandError(str(error)) from error
        finally:
            console.print("Stopping …")
            world.supervisor.stop()
        if not kept:
            raise CommandError("A promise was broken.")


def _play(world: World, console: Console) -> bool:
    """The whole story; returns whether every promise was kept."""
    world.start()
    log_in, client = world.create_log_in(), world.create_client()
    world.place_sites(client)
    story = Story(world, client)
    view.follow(console, story.tell())
    report, paths = _export(world, story)
    found = list(verdict.findings(story, report))
    console.print(view.closing_table(story, report))
    console.print(view.verdict_table(found))
    console.print(view.ways_on(log_in, world.url, paths), highlight=False)
    return all(finding.kept for finding in found)


def _export(world: World, story: Story) -> tuple[dict[str, Any], list[Path]]:
    event_id = story.last.event["id"]
    paths = []
    for format_ in ("json", "csv"):
        path = world.data_dir / f"event-{event_id}.{format_}"
        path.write_bytes(story.client.download(f"events/{event_id}/report/", format=format_))
        paths.append(path)
    return json.loads(paths[0].read_text()), paths


def _wait_for_ctrl_c(world: World, console: Console) -> None:
    console.print("\nEverything keeps running until Ctrl-C.")
    while True:
        world.supervisor.watch()
        time.sleep(0.5)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
