"""What processes that live long have done before their first request or task."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

WEB = """
import gc, gateway.wsgi
from django.urls import get_resolver
assert "url_patterns" in vars(get_resolver())
"""
CHILD = """
import gc, django
django.setup()
from celery.signals import worker_process_init
from gateway import celery_app
worker_process_init.send(sender=None)
"""


# Each thread that comes while there is no list of the URLs by name would make one for itself.
FIRST_REQUEST = """
import io, gateway.wsgi
from django.urls.resolvers import URLResolver
listed, populate = [], URLResolver._populate
def populated(resolver):
    listed.append(resolver)
    populate(resolver)
URLResolver._populate = populated
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/health/live/", "SERVER_NAME": "localhost",
           "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
said = []
list(gateway.wsgi.application(environ, lambda status, headers: said.append(status)))
print(said[0], sum(len(resolver.url_patterns) for resolver in listed))
"""


def last_line_of(program, data_dir):
    """What a process by itself prints last."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings",
             "DATA_DIR": str(data_dir), "PLAIN_HTTP": "1"},
    ).stdout.splitlines()[-1]  # fmt: skip


@pytest.mark.parametrize("process", [WEB, CHILD], ids=["web", "worker"])
def test_what_is_loaded_is_out_of_the_garbage_collectors_rounds(process, tmp_path):
    assert int(last_line_of(f"{process}\nprint(gc.get_freeze_count())", tmp_path)) > 50_000


def test_the_first_request_finds_the_urls_listed_by_name(tmp_path):
    assert last_line_of(FIRST_REQUEST, tmp_path) == "200 OK 0"
