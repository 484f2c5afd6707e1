"""PostgreSQL and Valkey from wheels: real servers, reached by socket alone, data kept."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from gateway import embedded
from gateway.processes import Supervisor
from tests.gateway_process import REPOSITORY
from tests.waiting import wait_until

HOLD = """
import pathlib, sys, time
from gateway import embedded
with embedded.locked(pathlib.Path(sys.argv[1]), "up") as had:
    print(had, flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["short", "long"])
def data_dir(request, tmp_path):
    """Sockets fit into the one; the other's path is longer than a socket's may be."""
    place = tmp_path if request.param == "short" else tmp_path / ("x" * 100)
    yield place
    shutil.rmtree(embedded.socket_dir(place), ignore_errors=True)


def query(data_dir, sql):
    host = embedded.database_settings(data_dir)["HOST"]
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else None


def are_new(pids, before):
    return not set(pids.values()) & set(before.values())


def test_both_servers_answer_by_socket_alone_and_go_on_with_their_data_after_kill_9(data_dir):
    with Supervisor(log_dir=data_dir / "logs") as supervisor:
        supervisor.start(embedded.postgres_program(data_dir))
        supervisor.start(embedded.valkey_program(data_dir))
        query(data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
        valkey = redis.Redis.from_url(embedded.redis_url(data_dir))
        assert valkey.ping()
        before = supervisor.pids()
        for pid in before.values():
            assert psutil.Process(pid).net_connections("inet") == []

        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: supervisor.watch() or are_new(supervisor.pids(), before))
        supervisor.wait_ready("postgres")
        supervisor.wait_ready("valkey")

        assert query(data_dir, "SELECT answer FROM kept") == [(42,)]
        assert valkey.ping()
    socket_dir = embedded.socket_dir(data_dir)
    assert not (socket_dir / ".s.PGSQL.5432").exists()


@pytest.mark.parametrize("length", [10, 60, 75, 76, 77, 78, 79, 80, 90, 200])
def test_every_socket_path_fits_and_is_the_same_for_every_process(length):
    data_dir = Path("/", "d" * length)

    found = embedded.socket_dir(data_dir)

    for name in (".s.PGSQL.5432", "valkey.sock"):
        assert len(str(found / name)) <= embedded.MAX_SOCKET_PATH
    assert found == embedded.socket_dir(data_dir)
    assert found.parent in (data_dir, Path(tempfile.gettempdir()))
    assert found != embedded.socket_dir(data_dir / "other")


def test_celery_is_told_the_same_socket_in_its_own_words():
    assert embedded.celery_url("unix:///run/v.sock") == "redis+socket:///run/v.sock"
    assert embedded.celery_url("rediss://host:6379/0") == "rediss://host:6379/0"


def test_a_lock_has_one_holder_and_is_free_again_afterwards(tmp_path):
    with embedded.locked(tmp_path, "up") as first:
        with embedded.locked(tmp_path, "up", wait_s=0.2) as second:
            assert (first, second) == (True, False)
        with embedded.locked(tmp_path, "other") as another:
            assert another
    with embedded.locked(tmp_path, "up") as again:
        assert again


def test_a_killed_holder_holds_nothing(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "True\n"
    with embedded.locked(tmp_path, "up") as had:
        assert not had

    holder.kill()
    holder.wait()

    with embedded.locked(tmp_path, "up") as had:
        assert had


def test_all_who_make_a_secret_key_at_once_get_the_same(tmp_path):
    for number in range(20):
        place = tmp_path / str(number)
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(embedded.secret_key, [place] * 8))
        assert len(keys) == 1
        assert len(keys.pop()) > 80
        assert [path.name for path in place.iterdir()] == ["secret_key"]
