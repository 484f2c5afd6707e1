"""A web process with neither PostgreSQL nor Redis: what it says, and what not."""

import os
import subprocess

import pytest
import requests

from tests.gateway_process import MANAGE, REPOSITORY
from tests.ports import free_port
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def web_alone(tmp_path_factory):
    """A web process as production runs it, with neither PostgreSQL nor Redis in sight."""
    port = free_port()
    process = subprocess.Popen(
        [MANAGE[0], "-m", "granian", "--interface", "wsgi", "--port", str(port),
         "--blocking-threads", "4", "gateway.wsgi:application"],
        env={
            **os.environ,
            "DATA_DIR": str(tmp_path_factory.mktemp("web")),
            "DATABASE_URL": "postgres://gateway:hunter2@127.0.0.1:1/gateway",
            "REDIS_URL": "redis://127.0.0.1:1/0",
        },
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/health/live/"))
    yield url
    process.terminate()
    process.wait()


def answers(url):
    try:
        return requests.get(url, timeout=3).ok
    except requests.RequestException:
        return False


def test_alive_is_a_web_process_without_any_store(web_alone):
    assert requests.get(f"{web_alone}/health/live/", timeout=30).json() == {"status": "alive"}


@pytest.mark.parametrize(
    ("path", "status", "telling"),
    [
        ("/health/ready/", 503, '"status": "down", "checks": {"database": {"ok": false'),
        ("/metrics", 200, 'dr_check_ok{check="database"} 0.0'),
        ("/api/v1/events/", 503, '"code":"unavailable"'),
    ],
)
def test_without_its_stores_each_path_says_so_and_no_more(web_alone, path, status, telling):
    answer = requests.get(f"{web_alone}{path}", headers={"Authorization": "Bearer x"}, timeout=60)

    assert (answer.status_code, telling in answer.text) == (status, True)
    for inside in ("hunter2", "127.0.0.1:1", "psycopg"):
        assert inside not in answer.text
