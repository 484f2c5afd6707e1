"""What a user would write first: one Celery task a session, `requests.post`, `save()`. And an empty
task, for what Celery itself costs.

`celery -A tests.benchmarks.naive worker -Q naive`, with the environment of the gateway.
"""

from __future__ import annotations

import django
import requests
from celery import Celery
from django.conf import settings

django.setup()

from chargers.models import Session  # noqa: E402
from tests.benchmarks.world import API_KEY, LIMIT_W  # noqa: E402

app = Celery("naive", broker=settings.CELERY_BROKER_URL, backend=settings.CELERY_BROKER_URL)
app.conf.update(task_default_queue="naive", broker_connection_retry_on_startup=True)


@app.task(ignore_result=True)
def set_power_limit(session_id: int) -> None:
    session = Session.objects.get(pk=session_id)
    response = requests.post(
        f"{settings.EDRV_API_URL}/sessions/{session.external_id}/set_power_limit",
        json={"unit": "power", "limit": LIMIT_W},
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=15,
    )
    response.raise_for_status()
    session.wanted_unit, session.wanted_value = "power", LIMIT_W
    session.save()


@app.task
def nothing() -> None:
    """Is all that it does."""
