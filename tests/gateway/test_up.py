"""manage.py up: one at a time, nothing left behind, and its data are there again afterwards."""

import contextlib
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta

import psutil
import psycopg
import pytest

from gateway import embedded
from gateway.database_role import APP_ROLE
from gateway.embedded import EmbeddedServerFailed
from tests.gateway_process import MANAGE, REPOSITORY, Gateway, command_line, is_running
from tests.ports import free_port
from tests.simulation import Simulation
from tests.waiting import wait_until

FLAGS = ("--sites", "1", "--sessions", "4", "--static", "--seed", "3")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Stopped by Ctrl-C in the end, and fails if anything is left."""
    with (
        Simulation(*FLAGS) as edrv,
        Gateway(edrv, tmp_path_factory.mktemp("up")) as running,
    ):
        yield running


def alone(folder):
    """The environment of a gateway with servers and data of its own."""
    return {**os.environ, "DATA_DIR": str(folder), "DATABASE_URL": "", "REDIS_URL": ""}


def up(folder, port, *words, command="up"):
    """`manage.py up`, or another that starts a gateway, to its end."""
    return subprocess.run(
        [*MANAGE, command, "--port", str(port), *words],
        env=alone(folder),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )


def scheduled(gateway):
    """An event that somebody declared for the future."""
    return gateway.declare(starts_at=(datetime.now(UTC) + timedelta(days=30)).isoformat())["id"]


def test_it_says_at_once_what_it_has_read_and_that_it_runs(gateway):
    def said():
        return (gateway.data_dir / "up.log").read_text()

    wait_until(lambda: "The gateway runs." in said())

    assert "read from eDRV: 1 sites," in said()
    assert "4 sessions" in said()


def test_a_second_one_on_the_same_data_is_refused_in_one_line(gateway):
    before = gateway.programs()

    refused = up(gateway.data_dir, free_port())

    assert refused.returncode == 1
    assert refused.stderr == (f"CommandError: Another gateway is running on {gateway.data_dir}.\n")
    assert all(is_running(process) for process in before)
    assert gateway.is_ready()


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_port_in_use_is_refused_before_anything_is_started(gateway, tmp_path, command):
    refused = up(tmp_path, gateway.port, command=command)

    assert refused.returncode == 1
    assert refused.stderr == (
        f"CommandError: Port {gateway.port} is in use; choose another with --port.\n"
    )
    assert not (tmp_path / "postgres").exists()
    assert gateway.is_ready()


def test_so_is_the_port_of_the_webhooks(gateway, tmp_path):
    refused = up(tmp_path, free_port(), "--webhook-port", str(gateway.webhook_port))

    assert refused.returncode == 1
    assert refused.stderr == (
        f"CommandError: Port {gateway.webhook_port} is in use; choose another with"
        " --webhook-port.\n"
    )


def connections_of(process):
    """None of a process that has just ended, as PostgreSQL's do now and then."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.net_connections("inet")
    return []


def test_it_serves_loopback_alone(gateway):
    listening = {
        connection.laddr
        for process in gateway.family()
        for connection in connections_of(process)
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {("127.0.0.1", gateway.port), ("127.0.0.1", gateway.webhook_port)}


def test_commands_find_the_running_database(gateway):
    event_id = scheduled(gateway)

    said = gateway.command("export_report", event_id)

    assert event_id in said


def test_killed_with_9_it_takes_all_with_it_and_the_next_one_goes_on_with_its_data(gateway):
    event_id = scheduled(gateway)
    family = gateway.family()
    assert len(family) > 8

    gateway.process.kill()
    gateway.process.wait()
    wait_until(lambda: not any(is_running(process) for process in family))
    gateway.start()

    assert gateway.event(event_id)["status"] == "scheduled"
    assert gateway.knows_the_fleet()


@contextlib.contextmanager
def starting(folder, has_come_to, **options):
    """`manage.py up` on its way, as soon as it has come to that point; all that it has started by
    then must be gone afterwards."""
    process = subprocess.Popen(
        [*MANAGE, "up", "--port", str(free_port())],
        env=alone(folder),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )

    def has_not_ended():
        assert process.poll() is None, process.stdout.read()

    with process:
        try:
            top = psutil.Process(process.pid)
            wait_until(lambda: has_come_to(top), every_s=0.02, or_fail=has_not_ended)
            family = top.children(recursive=True)
            assert family
            yield process
            wait_until(lambda: not any(is_running(one) for one in family))
        finally:
            process.kill()


def runs_its_servers(folder):
    return lambda top: (embedded.socket_dir(folder) / "valkey.sock").exists()


def has_forked_web(top):
    """Its workers still read the code."""
    web = (one for one in top.children() if "granian" in command_line(one))
    return any(one.children() for one in web)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_starting_leaves_nothing(tmp_path, number):
    with starting(tmp_path, runs_its_servers(tmp_path)) as process:
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: -signal.SIGTERM}[number]
    assert "Traceback" not in said


def test_killed_with_9_while_the_web_is_starting_it_leaves_nothing(tmp_path):
    with starting(tmp_path, has_forked_web) as process:
        process.kill()


def ignore_sigint():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_a_background_job_whose_shell_has_it_ignore_sigint_is_stopped_by_it_all_the_same(tmp_path):
    at_servers = runs_its_servers(tmp_path)
    with starting(tmp_path, at_servers, preexec_fn=ignore_sigint) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in said


# --- commands without `up` ------------------------------------------------------------------


def test_commands_bring_the_database_for_their_time_one_after_the_other(tmp_path):
    env = alone(tmp_path)
    subprocess.run([*MANAGE, "migrate", "-v0"], env=env, cwd=REPOSITORY, check=True)

    running = [
        subprocess.Popen(
            [*MANAGE, "create_api_client", name, "--scope", "events:read"],
            env=env,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    said = [process.communicate(timeout=60)[0] for process in running]

    assert [process.returncode for process in running] == [0, 0]
    assert all("client_secret" in line for line in said)
    assert not (embedded.socket_dir(tmp_path) / ".s.PGSQL.5432").exists()


def test_a_command_that_has_to_wait_too_long_for_another_says_so(tmp_path, monkeypatch):
    with embedded.locked(tmp_path, "postgres") as had:
        assert had
        monkeypatch.setattr(embedded, "MAX_TURN_S", 0.1)
        with (
            pytest.raises(EmbeddedServerFailed, match="is in use by another command"),
            embedded.database_turn(tmp_path),
        ):
            pytest.fail("nobody was waited for")


def test_its_workers_keep_their_connections_from_task_to_task(gateway):
    host = str(embedded.socket_dir(gateway.data_dir))
    with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as db:

        def value(query):
            return db.execute(query).fetchone()[0]

        def a_dozen():
            sweeps.add(value("SELECT at FROM chargers_heartbeat WHERE name = 'sweep'"))
            return len(sweeps) == 12

        made = "SELECT sessions FROM pg_stat_database WHERE datname = 'postgres'"
        sweeps, before = set(), value(made)
        wait_until(a_dozen)

        # Some have only just had their first task.
        assert value(made) - before < len(sweeps)


def test_its_programs_own_nothing_in_the_database(gateway):
    held = gateway.rows(
        "SELECT DISTINCT usename FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        # Who is only just coming in has not said his name yet.
        "   AND usename IS NOT NULL"
    )
    host = str(embedded.socket_dir(gateway.data_dir))

    assert held == [{"usename": APP_ROLE}]
    with (
        psycopg.connect(host=host, user=APP_ROLE, dbname="postgres") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("UPDATE chargers_auditentry SET actor = 'somebody'")
