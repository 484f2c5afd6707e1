"""The supervisor of `up` and `demo`: starts programs, starts them again when they die, and never
leaves one behind.

Each program leads its own process group, so Ctrl-C reaches the supervisor alone, and a program
that was killed takes its orphaned children with it. On Linux the kernel signals every program
when the supervisor itself is killed (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PR_SET_PDEATHSIG = 1
MAX_LOG_BYTES = 50_000_000
MAX_RESTART_DELAY_S = 5.0
PARENT_LOOK_S = 0.2


class ProgramFailed(RuntimeError):
    """A program did not become ready; the message ends with the tail of its log."""


@dataclass(frozen=True)
class Program:
    """One program to run: what, with which environment beside the supervisor's own, as whom, how
    it is asked to stop, and how to tell that it is ready. A server is stopped only after every
    program that may still be talking to it.

    death_signal: what the kernel sends it when the supervisor is killed; stop_signal where there
    is none of its own. Then its servers go at the same moment, so who would wait for them to
    finish its work is better killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    is_server: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals | None = None
    stop_timeout_s: float = 8.0
    ready: Callable[[], bool] = lambda: True
    ready_timeout_s: float = 180.0


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    restarts: int = 0
    due_at: float = 0.0

    def is_alive(self) -> bool:
        return self.process.poll() is None


class Supervisor:
    """Runs programs until the `with` block is left.

    on_restart: is told the name of a program that had died and runs again.
    while_waiting: called now and then while a program gets ready; may raise.

    `watch()` is to be called from the main thread now and then: the kernel's parent-death
    signal belongs to the thread that started the program.
    """

    def __init__(
        self,
        *,
        log_dir: Path,
        on_restart: Callable[[str], object] = lambda _: None,
        while_waiting: Callable[[], object] = lambda: None,
    ) -> None:
        self.log_dir = log_dir
        self._on_restart, self._while_waiting = on_restart, while_waiting
        self._running: dict[str, _Running] = {}
        log_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, program: Program) -> None:
        """Start a program and wait until it is ready. Raises ProgramFailed."""
        self.launch(program)
        self.wait_ready(program.name)

    def launch(self, program: Program) -> None:
        """Start a program without waiting: several come up side by side."""
        self._running[program.name] = _Running(program, self._spawn(program), time.monotonic())

    def wait_ready(self, name: str) -> None:
        """Wait until a launched program is ready. Raises ProgramFailed."""
        running = self._running[name]
        give_up_at = time.monotonic() + running.program.ready_timeout_s
        while not running.program.ready():
            self._while_waiting()
            if time.monotonic() > give_up_at:
                raise ProgramFailed(f"{name} is not ready.\n{self.log_tail(name)}")
            if not running.is_alive():
                self._retry_start(running, give_up_at)
            time.sleep(0.05)

    def _retry_start(self, running: _Running, give_up_at: float) -> None:
        # After a kill -9 the old server may hold its files for another moment.
        if running.restarts >= 3 or time.monotonic() > give_up_at:
            name = running.program.name
            raise ProgramFailed(f"{name} ended at its start.\n{self.log_tail(name)}")
        time.sleep(1)
        running.process = self._spawn(running.program)
        running.restarts += 1

    def pid(self, name: str) -> int:
        return self._running[name].process.pid

    def pids(self) -> dict[str, int]:
        return {name: running.process.pid for name, running in self._running.items()}

    def watch(self) -> None:
        """Start again what has died, after a delay that grows while it keeps dying."""
        now = time.monotonic()
        for running in self._running.values():
            if running.is_alive():
                continue
            if not running.due_at:
                self._bury(running, now)
            elif now >= running.due_at:
                self._revive(running, now)

    def _bury(self, running: _Running, now: float) -> None:
        _signal_group(running.process.pid, signal.SIGKILL)
        lived_s = now - running.started_at
        running.restarts = 0 if lived_s > 60 else running.restarts + 1
        running.due_at = now + min(0.2 * 2**running.restarts, MAX_RESTART_DELAY_S)

    def _revive(self, running: _Running, now: float) -> None:
        running.process = self._spawn(running.program)
        running.started_at, running.due_at = now, 0.0
        self._on_restart(running.program.name)

    def stop(self) -> None:
        """Stop every program, and then every server."""
        servers = [running for running in self._running.values() if running.program.is_server]
        others = [running for running in self._running.values() if not running.program.is_server]
        _stop_together(others)
        _stop_together(servers)
        self._running.clear()

    def log_path(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def log_tail(self, name: str, lines: int = 15) -> str:
        text = self.log_path(name).read_text(errors="replace")
        return f"{self.log_path(name)}:\n" + "\n".join(text.splitlines()[-lines:])

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        path = self.log_path(program.name)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            return subprocess.Popen(
                list(program.argv),
                env={**os.environ, **program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=program.user,
                start_new_session=True,
                # Safe: the supervisor starts programs from its one thread.
                preexec_fn=die_with_parent(program.death_signal or program.stop_signal),  # noqa: PLW1509
            )


def die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """For Popen's `preexec_fn`: the kernel sends `stop_signal` when the parent is gone. Linux
    only; elsewhere a killed parent leaves its programs running."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def request_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(stop_signal))

    return request_signal


def die_with_uv() -> None:
    """Where `uv run` has started this process, end as abruptly as uv did: a uv that was killed
    leaves its child running, in the way of the next one. Linux only."""
    parent = os.getppid()
    with contextlib.suppress(OSError):
        if Path(f"/proc/{parent}/comm").read_text().strip() == "uv":
            threading.Thread(target=_die_after, args=(parent,), daemon=True).start()


def _die_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _stop_together(doomed: Sequence[_Running]) -> None:
    for running in doomed:
        running.process.send_signal(running.program.stop_signal)
    began_at = time.monotonic()
    for running in doomed:
        left_s = began_at + running.program.stop_timeout_s - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(max(left_s, 0.0))
        _signal_group(running.process.pid, signal.SIGKILL)
        running.process.wait()


def _signal_group(leader_pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, number)
