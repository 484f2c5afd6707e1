"""Whether a session may go on: not too old, not left alone, and with a second factor where there
has to be one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from gateway.login import journal, passing, second_factor
from gateway.login.passing import Limits

Handler = Callable[[HttpRequest], HttpResponse]
# Of the admin's pages, those that lead in and out.
OPEN = ("admin:login", "admin:logout", "admin:jsi18n")


class SessionLimits:
    """Ends sessions after SESSION_MAX_S, and after SESSION_IDLE_S without a sign of life. A page
    that fetches itself anew is none: it does so on an empty chair, too."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _is_logged_in(request):
            now = timezone.now()
            limits = Limits(settings.SESSION_IDLE_S, settings.SESSION_COOKIE_AGE)
            if passing.is_over(request.session, limits, now=now):
                self._end(request)
            elif not _is_by_itself(request):
                self._note_seen(request, now)
        return self._get_response(request)

    def _end(self, request: HttpRequest) -> None:
        setattr(request, journal.IS_EXPIRY, True)
        logout(request)

    def _note_seen(self, request: HttpRequest, now: datetime) -> None:
        passing.note_seen(request.session, now=now)


class SecondFactor:
    """Lets nobody into the admin who has a second factor, or has to have one, and has not shown
    it."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _is_in_admin(request) and _is_logged_in(request) and not _has_passed(request):
            assert isinstance(request.user, User)
            page = "second_factor" if second_factor.is_enrolled(request.user) else "enrol"
            return redirect_to_login(request.get_full_path(), reverse(f"login:{page}"))
        return self._get_response(request)


def _has_passed(request: HttpRequest) -> bool:
    """Only of those who came with a password alone the database is asked whether that is all."""
    if passing.has_passed(request.session, needs_code=True):
        return True
    assert isinstance(request.user, User)
    needs_code = settings.SECOND_FACTOR_REQUIRED or second_factor.is_enrolled(request.user)
    return passing.has_passed(request.session, needs_code=needs_code)


def _is_logged_in(request: HttpRequest) -> bool:
    """Machines bring no cookie, and for them nothing is looked up."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated


def _is_in_admin(request: HttpRequest) -> bool:
    is_open = request.path in map(reverse, OPEN)
    return request.path.startswith(reverse("admin:index")) and not is_open


def _is_by_itself(request: HttpRequest) -> bool:
    """htmx says that it asks; on these pages that is every few seconds, whoever looks. What it
    posts by itself (the preview beside a form) `live.js` marks: the same posted while somebody
    types is a sign of life."""
    is_fetched = request.method == "GET" and "HX-Request" in request.headers
    return is_fetched or "X-Polled" in request.headers
