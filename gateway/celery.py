"""The Celery application: `celery -A gateway worker`, `celery -A gateway beat`."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_postrun, worker_process_init
from django.db import connections

from gateway import warmth

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Else Celery closes the pool of connections before and after every task: each would begin with a
# thread of the pool, a process of PostgreSQL and empty caches there, 20 to 40 ms together.
app.conf.update({"CELERY_DB_REUSE_MAX": sys.maxsize})


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Django's LOGGING stands; Celery is not to replace it."""


@worker_process_init.connect
def become_a_child(**_: Any) -> None:
    """A forked child must not talk over its parent's connections."""
    connections.close_all()
    warmth.spare_what_stays()


@task_postrun.connect
def give_back_connection(**_: Any) -> None:
    """As after a request: to the pool, which throws away broken ones."""
    connections.close_all()
