"""The supervisor over real, small programs: what dies is started again, nothing is left."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import psutil
import pytest

from gateway import processes
from gateway.processes import Program, ProgramFailed, Supervisor
from tests.gateway_process import REPOSITORY
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(600)"
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
POLITE = """
import pathlib, signal, sys, time
def leave(number, frame):
    with open(sys.argv[1], "a") as file:
        file.write(f"{sys.argv[2]} {signal.Signals(number).name}\\n")
    sys.exit()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, leave)
print("polite", flush=True)
time.sleep(600)
"""
SUPERVISOR = """
import pathlib, signal, sys, time
from gateway.processes import Program, Supervisor
log_dir, code, name = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
death_signal = signal.Signals[name] if name else None
with Supervisor(log_dir=log_dir) as supervisor:
    program = Program("one", [sys.executable, "-c", code], death_signal=death_signal)
    supervisor.start(program)
    print(supervisor.pid("one"), flush=True)
    time.sleep(600)
"""
# A launcher that stays, as `uv run` does: the program, in a process of its own.
LAUNCHER = """
import subprocess, sys
child = subprocess.Popen([sys.argv[1], "-c", sys.argv[2]], cwd=sys.argv[3])
print(child.pid, flush=True)
child.wait()
"""
LAUNCHED = """
import time
from gateway.processes import die_with_uv
die_with_uv()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def restarted():
    """When each program was started again, in time.monotonic()."""
    return []


@pytest.fixture
def supervisor(tmp_path, restarted):
    told = {"on_restart": lambda name: restarted.append((name, time.monotonic()))}
    with Supervisor(log_dir=tmp_path / "logs", **told) as supervisor:
        yield supervisor


def program(name, code, *arguments, **more):
    return Program(name, [sys.executable, "-c", code, *arguments], **more)


def said(supervisor, name):
    return supervisor.log_path(name).read_text()


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def watch_until(supervisor, condition):
    def watched():
        supervisor.watch()
        return condition()

    return wait_until(watched, every_s=0.05)


def child_of(supervisor, name):
    wait_until(lambda: "child" in said(supervisor, name))
    return int(said(supervisor, name).split()[-1])


def test_a_program_is_started_with_its_environment_and_waited_for(supervisor, tmp_path):
    ready = tmp_path / "ready"
    code = "import os, pathlib, time; pathlib.Path(os.environ['PLACE']).touch(); time.sleep(600)"

    supervisor.start(program("one", code, env={"PLACE": str(ready)}, ready=ready.exists))

    assert ready.exists()
    assert is_running(supervisor.pid("one"))


def test_a_program_that_does_not_become_ready_is_told_with_its_log(supervisor):
    code = "print('waiting for nobody', flush=True); " + SLEEP
    supervisor.launch(program("dull", code, ready=lambda: False, ready_timeout_s=0))
    wait_until(lambda: "waiting" in said(supervisor, "dull"))

    with pytest.raises(ProgramFailed, match=r"(?s)dull is not ready.*waiting for nobody"):
        supervisor.wait_ready("dull")


def test_a_program_that_ends_at_its_start_is_tried_a_few_times_and_told_with_its_log(supervisor):
    broken = program("broken", "raise SystemExit('no such file')", ready=lambda: False)

    with pytest.raises(ProgramFailed, match=r"(?s)broken ended at its start.*no such file"):
        supervisor.start(broken)

    assert said(supervisor, "broken").count("no such file") == 4


def test_a_killed_program_is_started_again(supervisor, restarted):
    supervisor.start(program("one", SLEEP))
    supervisor.start(program("other", SLEEP))
    before = supervisor.pids()

    os.kill(before["one"], signal.SIGKILL)
    watch_until(supervisor, lambda: restarted)

    after = supervisor.pids()
    assert [name for name, _ in restarted] == ["one"]
    assert after["one"] != before["one"]
    assert is_running(after["one"])
    assert after["other"] == before["other"]


def test_a_program_that_keeps_dying_is_started_less_and_less_often(supervisor, restarted):
    supervisor.launch(program("broken", "raise SystemExit('no')"))

    watch_until(supervisor, lambda: len(restarted) == 3)

    waited = [after - before for (_, before), (_, after) in pairwise(restarted)]
    assert waited[0] >= 0.8
    assert waited[1] >= 1.6


def test_a_killed_program_takes_its_orphans_with_it(supervisor, restarted):
    supervisor.start(program("family", FAMILY))
    orphan = child_of(supervisor, "family")

    os.kill(supervisor.pid("family"), signal.SIGKILL)
    watch_until(supervisor, lambda: restarted)

    wait_until(lambda: not is_running(orphan))


def test_stopping_leaves_nobody_neither_deaf_programs_nor_their_children(supervisor):
    supervisor.start(program("deaf", STUBBORN, stop_timeout_s=0.5))
    supervisor.start(program("family", FAMILY))
    wait_until(lambda: "deaf" in said(supervisor, "deaf"))
    everybody = [*supervisor.pids().values(), child_of(supervisor, "family")]

    supervisor.stop()

    wait_until(lambda: not any(is_running(pid) for pid in everybody))
    assert supervisor.pids() == {}


def test_programs_are_asked_in_their_own_way_and_servers_last(supervisor, tmp_path):
    book = tmp_path / "book"
    supervisor.start(
        program("server", POLITE, str(book), "server", is_server=True, stop_signal=signal.SIGINT)
    )
    supervisor.start(program("client", POLITE, str(book), "client"))
    wait_until(lambda: all("polite" in said(supervisor, name) for name in ("server", "client")))

    supervisor.stop()

    assert book.read_text().splitlines() == ["client SIGTERM", "server SIGINT"]


@pytest.mark.parametrize(("code", "death_signal"), [(SLEEP, ""), (STUBBORN, "SIGKILL")])
def test_a_killed_supervisor_leaves_nobody(tmp_path, code, death_signal):
    parent = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), code, death_signal],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    assert is_running(child)
    if code is STUBBORN:
        wait_until(lambda: "deaf" in (tmp_path / "one.log").read_text())

    parent.kill()
    parent.wait()

    wait_until(lambda: not is_running(child))


def launched_by(launcher):
    """The launcher's process, and its child's id, once the child is ready."""
    launcher.symlink_to(os.path.realpath(sys.executable))
    parent = subprocess.Popen(
        [str(launcher), "-c", LAUNCHER, sys.executable, LAUNCHED, str(REPOSITORY)],
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "ready\n"
    return parent, child


def test_killing_uv_kills_what_uv_has_started(tmp_path):
    uv, child = launched_by(tmp_path / "uv")

    uv.kill()
    uv.wait()

    wait_until(lambda: not is_running(child))


def test_who_was_started_by_a_shell_stays_when_that_has_gone(tmp_path):
    shell, child = launched_by(tmp_path / "sh")

    shell.kill()
    shell.wait()
    time.sleep(3 * processes.PARENT_LOOK_S)

    assert is_running(child)
    os.kill(child, signal.SIGKILL)


def test_a_log_that_grew_too_large_is_put_aside(supervisor, restarted, monkeypatch):
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 5)
    supervisor.start(program("loud", "print('a long line', flush=True); " + SLEEP))
    wait_until(lambda: "line" in said(supervisor, "loud"))

    os.kill(supervisor.pid("loud"), signal.SIGKILL)
    watch_until(supervisor, lambda: restarted)

    assert "a long line" in (supervisor.log_dir / "loud.log.1").read_text()
