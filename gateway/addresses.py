"""Addresses that are not quite ours: without their final slash, or without TLS."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware


class SameMethodRedirect(HttpResponsePermanentRedirect):
    """308 (RFC 9110, 15.4.9): a POST stays a POST. After a 301 clients send GET, and take the list
    of events that they get for the answer to their declaration."""

    status_code = 308


class FinalSlash(CommonMiddleware):
    """Django's own, but for the status of its redirects."""

    response_redirect_class = SameMethodRedirect


class OverTls:
    """Where SECURE_SSL_REDIRECT is on, what comes without TLS is sent there. Django's own does it
    by a 301, and above whatever puts its headers on every answer."""

    # For who watches from inside the network.
    PLAIN = ("/health/", "/metrics")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.SECURE_SSL_REDIRECT:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.is_secure() or request.path.startswith(self.PLAIN):
            return self._get_response(request)
        return SameMethodRedirect(f"https://{request.get_host()}{request.get_full_path()}")
