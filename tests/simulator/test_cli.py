"""The process: its arguments, its ready line, its ready file, its end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chargers.simulator.cli import parse
from chargers.simulator.options import QUIRKS, Options

ROOT = Path(__file__).resolve().parents[2]
READY_LINE = re.compile(r"simulator ready on (http://127\.0\.0\.1:(\d+)/v1\.1) control=(\S+)")
SMALL = ("--port", "0", "--sites", "1", "--sessions", "2", "--static")


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "chargers.simulator", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def finished(*arguments: str) -> tuple[int, str]:
    """Exit status and what was said on standard error."""
    with process(*arguments) as started:
        _, said = started.communicate(timeout=30)
        return started.returncode, said


def test_without_arguments_everything_has_its_default() -> None:
    assert parse([]) == Options()


def test_arguments_become_options() -> None:
    options = parse(
        [
            *("--answer-delay", "0.2..0.4", "--webhook-backoff", "1,2.5", "--quirks", "all"),
            *("--replay-from", "2019-10-10T08:00:00", "--no-actions", "--timezone", "Asia/Tokyo"),
            *("--fault", '{"kind":"stall"}', "--fault", '{"kind":"reset"}', "--base-path", "/x/"),
        ]
    )

    assert options.answer_delay_s == (0.2, 0.4)
    assert options.webhook_backoff_s == (1, 2.5)
    assert options.quirks == frozenset(QUIRKS)
    assert options.replay_from_ms == 1_570_694_400_000
    assert (options.actions, options.timezone, options.base_path) == (False, "Asia/Tokyo", "/x")
    assert list(options.faults) == ['{"kind":"stall"}', '{"kind":"reset"}']


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "99999"),
        ("--time-factor", "0"),
        ("--share-dc", "1.5"),
        ("--answer-delay", "2..1"),
        ("--answer-delay", "soon"),
        ("--quirks", "purple"),
        ("--timezone", "Mars/Base"),
        ("--webhook-url", "ftp://x"),
        ("--base-path", "/_sim/x"),
        ("--replay-from", "yesterday"),
        ("--command-method", "DELETE"),
        ("--sess", "3"),  # no abbreviations: a later flag would change their meaning
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments)

    assert exit_.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_ready_simulator_says_so_serves_and_stops_on_sigterm(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    ready_file.write_text("of an earlier run")
    with process(*SMALL, "--ready-file", str(ready_file)) as started:
        assert started.stdout
        line = started.stdout.readline()
        found = READY_LINE.match(line)
        assert found, line
        ready = json.loads(ready_file.read_text())
        health = json.load(urllib.request.urlopen(f"{ready['control_url']}/health"))
        started.send_signal(signal.SIGTERM)
        status = started.wait(timeout=10)

        assert ready == {
            "port": int(found[2]),
            "pid": started.pid,
            "api_url": found[1],
            "control_url": found[3],
        }
        assert health == {"ok": True, "pid": started.pid}
        assert status == 0


def test_what_cannot_be_met_ends_with_status_2_and_a_reason(tmp_path: Path) -> None:
    columns = tmp_path / "columns.csv"
    columns.write_text("a,b\n1,2\n")
    cases = {
        ("--sites", "1", "--stations-per-site", "1", "--sessions", "9"): "--stations-per-site",
        ("--replay", str(tmp_path / "none.csv")): "No such file",
        ("--replay", str(columns)): "missing columns",
        ("--port", "0", "--fault", '{"kind":"gremlins"}'): "kind",
        ("--port", "0", "--fault", "{"): "not JSON",
    }

    for arguments, reason in cases.items():
        status, said = finished(*arguments)
        assert (status, reason in said) == (2, True), said
        assert "Traceback" not in said


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    with process(*SMALL, "--ready-file", str(ready_file)) as first:
        assert first.stdout
        assert first.stdout.readline()
        port = json.loads(ready_file.read_text())["port"]

        status, said = finished("--sites", "1", "--sessions", "0", "--port", str(port))

        assert status == 2
        assert "in use" in said
