"""Writing the log of log-ins, from Django's own signals and from what has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from gateway.login import passing
from gateway.login.models import LogIn

Outcome, Method = LogIn.Outcome, LogIn.Method
# Set on a request that logs somebody in or out in another way than by a form.
METHOD, IS_EXPIRY = "login_method", "login_is_expiry"


def listen() -> None:
    user_logged_in.connect(on_logged_in, dispatch_uid="login.in")
    user_login_failed.connect(on_failed, dispatch_uid="login.failed")
    user_logged_out.connect(on_logged_out, dispatch_uid="login.out")


def write(
    request: HttpRequest | None, outcome: LogIn.Outcome, username: str, *, note: str = ""
) -> None:
    """One line of the log."""
    headers: Mapping[str, str] = request.headers if request else {}
    LogIn.objects.create(
        at=timezone.now(),
        username=username[:150],
        outcome=outcome,
        method=_method(request),
        address=str(request.META.get("REMOTE_ADDR", ""))[:45] if request else "",
        browser=headers.get("User-Agent", "")[:200],
        note=note[:200],
    )


def _method(request: HttpRequest | None) -> LogIn.Method:
    said: LogIn.Method | None = getattr(request, METHOD, None)
    # Not every request has one: OAuth2 asks for passwords, too, to refuse them.
    session: Mapping[str, Any] = getattr(request, "session", {})
    is_sso = session.get(passing.PASSED) == passing.SSO
    return said or (Method.SSO if is_sso else Method.PASSWORD)


def known(said: str) -> str:
    """The name of a user, if it is one."""
    return said if User.objects.filter(username=said).exists() else ""


def on_logged_in(request: HttpRequest, user: User, **_: Any) -> None:
    is_sso = getattr(request, METHOD, None) == Method.SSO
    passed = passing.SSO if is_sso else passing.PASSWORD
    passing.begin(request.session, passed=passed, now=timezone.now())
    write(request, Outcome.SUCCEEDED, user.get_username())


def on_failed(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    write(request, Outcome.FAILED, known(str(credentials.get("username", ""))[:150]))


def on_logged_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        is_expiry = getattr(request, IS_EXPIRY, False)
        write(request, Outcome.EXPIRED if is_expiry else Outcome.LOGGED_OUT, user.get_username())
