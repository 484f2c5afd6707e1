"""To the provider of single sign-on and back."""

from __future__ import annotations

from typing import Any

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from django.contrib import messages
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from joserfc.errors import JoseError

from gateway.login import journal, sso, views
from gateway.login.models import LogIn
from gateway.throttling import seconds_to_wait

log = structlog.get_logger(__name__)

NEXT = "login_next"
BACKEND = "django.contrib.auth.backends.ModelBackend"
# Whatever a provider can get wrong, an answer that is no JSON (ValueError) or lacks a field too.
FAILURES = (AuthlibBaseError, JoseError, requests.RequestException, ValueError, KeyError, TypeError)


@never_cache
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """Off to the provider."""
    if not sso.is_configured():
        raise Http404
    setattr(request, journal.METHOD, LogIn.Method.SSO)
    if wait_s := seconds_to_wait(request):
        return views.too_many(request, wait_s)
    try:
        back = request.build_absolute_uri(reverse("login:sso_callback"))
        answer: HttpResponse = sso.client().authorize_redirect(request, back)
    except sso.Refused as refused:
        return _refuse(request, str(refused))
    except FAILURES as error:
        return _fail(request, error)
    request.session[NEXT] = views.next_page(request)
    return answer


@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Back from it: in, or a reason why not."""
    if not sso.is_configured():
        raise Http404
    setattr(request, journal.METHOD, LogIn.Method.SSO)
    if wait_s := seconds_to_wait(request):
        return views.too_many(request, wait_s)
    going_to = request.session.get(NEXT) or reverse("admin:index")
    try:
        provider = sso.client()
        claims = sso.claims_of(provider, provider.authorize_access_token(request))
        user = sso.admit(claims, now=timezone.now())
    except sso.Refused as refused:
        return _refuse(request, str(refused))
    except FAILURES as error:
        return _fail(request, error)
    login(request, user, backend=BACKEND)
    return HttpResponseRedirect(going_to)


def _refuse(request: HttpRequest, why: str) -> HttpResponse:
    journal.write(request, LogIn.Outcome.FAILED, "", note=why)
    messages.error(request, why)
    return HttpResponseRedirect(reverse("admin:login"))


def _fail(request: HttpRequest, error: Any) -> HttpResponse:
    """What the provider said is for the log; people learn that it did not work."""
    log.warning("sso.failed", error=f"{type(error).__name__}: {error}"[:300])
    return _refuse(request, "Single sign-on did not work. Try again, or log in with a password.")
