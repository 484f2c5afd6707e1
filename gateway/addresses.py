"""Addresses without their final slash."""

from __future__ import annotations

from django.http import HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware


class SameMethodRedirect(HttpResponsePermanentRedirect):
    """308 (RFC 9110, 15.4.9): a POST stays a POST. After a 301 clients send GET, and take the list
    of events that they get for the answer to their declaration."""

    status_code = 308


class FinalSlash(CommonMiddleware):
    """Django's own, but for the status of its redirects."""

    response_redirect_class = SameMethodRedirect
