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


@pytest.mark.parametrize("process", [WEB, CHILD], ids=["web", "worker"])
def test_what_is_loaded_is_out_of_the_garbage_collectors_rounds(process, tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", f"{process}\nprint(gc.get_freeze_count())"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings",
             "DATA_DIR": str(tmp_path), "PLAIN_HTTP": "1"},
    ).stdout  # fmt: skip

    assert int(said.splitlines()[-1]) > 50_000
