"""The counterpart of the webhook endpoint: a bare Django view that does one INSERT of the same row
into a table of the same form, and nothing else. Served by granian as the pages are."""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from gateway import embedded

TABLE = "bare_delivery"

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {
                **embedded.database_settings(Path(os.environ["DATA_DIR"])),
                "OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": 3}},
                "CONN_HEALTH_CHECKS": True,
            }
        },
        MIDDLEWARE=[],
        ROOT_URLCONF=__name__,
        SECRET_KEY="bare",
        USE_TZ=True,
    )
    django.setup()


def receive(request: HttpRequest) -> HttpResponse:
    """Store the body."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (external_id, type, body, signature, received_at)"
            " VALUES (gen_random_uuid()::text, 'bare', %s, %s, %s)",
            [request.body, request.headers.get("edrv-signature", ""), timezone.now()],
        )
    return HttpResponse(status=200)


urlpatterns = [path("webhooks/edrv/", receive)]
application = get_wsgi_application()
