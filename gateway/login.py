"""The admin's log-in, where passwords cannot be tried as fast as one likes.

An address has TOKEN_RATE_LIMIT; a name at an address has five wrong passwords, then ten minutes
without (django-axes, which keeps them in the database: it holds while Redis is away, too).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from gateway.throttling import seconds_to_wait


def login(request: HttpRequest) -> HttpResponseBase:
    """The admin's own, at TOKEN_RATE_LIMIT for each address."""
    if request.method == "POST" and (wait_s := seconds_to_wait(request)):
        return _wait(wait_s)
    return admin.site.login(request)


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """For AXES_LOCKOUT_CALLABLE. The same whether the password was right: nobody learns that."""
    return _wait(int(settings.AXES_COOLOFF_TIME.total_seconds()))


def _wait(wait_s: int) -> HttpResponse:
    return HttpResponse(
        f"Too many attempts to log in. Try again in {wait_s} s.",
        status=429,
        content_type="text/plain",
        headers={"Retry-After": str(wait_s)},
    )
