"""API clients: each may ask for the scopes it was given, and no others."""

from __future__ import annotations

import re
from typing import Any

import structlog
from django import forms
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.contrib.rest_framework import (
    OAuth2Authentication,
    TokenMatchesOASRequirements,
)
from oauth2_provider.oauth2_backends import get_oauthlib_core
from oauth2_provider.scopes import SettingsScopes
from oauth2_provider.views import TokenView
from rest_framework.exceptions import (
    AuthenticationFailed,
    MethodNotAllowed,
    PermissionDenied,
)
from rest_framework.request import Request

from chargers.problems import Problem
from gateway.models import ApiClient
from gateway.throttling import seconds_to_wait

log = structlog.get_logger(__name__)


# The record keeps 150 characters of an actor, `client:` among them.
LONGEST_NAME = 143
# What Unicode counts as printable and nobody sees: fillers, selectors of variants, Braille's blank.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class ClientName(forms.CharField):
    """The name of a new client, such as nobody takes for another's: who did what is on record under
    it, and events are their declarer's by it."""

    default_error_messages = {
        "unseen": "must have no characters that cannot be seen",
        "colon": "must have no colon: on record it stands between what somebody is and the name",
        "taken": "There is a client named %(name)r already.",
    }

    def __init__(self, **settings: Any) -> None:
        super().__init__(max_length=LONGEST_NAME, **settings)

    def clean(self, value: Any) -> str:
        name = str(super().clean(value))
        if not name.isprintable() or _UNSEEN.search(name):
            raise self._refusal("unseen")
        if ":" in name:
            raise self._refusal("colon")
        if other := ApiClient.objects.filter(name__iexact=name).first():
            raise self._refusal("taken", name=other.name)
        return name

    def _refusal(self, code: str, **said: str) -> ValidationError:
        return ValidationError(self.error_messages[code], code=code, params=said)


class BearerToken(OAuth2Authentication):
    """A token in the Authorization header, and nowhere else: addresses and bodies end up in logs.
    Neither is even looked at before it is known who sends them. Raises AuthenticationFailed for a
    token that is none, or is none any more."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        header = request.headers.get("Authorization", "")
        if not header.lower().startswith("bearer "):
            return None
        valid, found = get_oauthlib_core().server.verify_request(
            uri="",
            http_method=request.method,
            body="",
            headers={"Authorization": header},
            scopes=[],
        )
        if valid:
            return found.user, found.access_token
        request.oauth2_error = getattr(found, "oauth2_error", {})  # type: ignore[attr-defined]
        raise AuthenticationFailed("The token is unknown or has expired.", code="invalid_token")


class ScopesOfMethod(TokenMatchesOASRequirements):
    """The scopes that a view asks for each of its methods; who lacks them is told which. HEAD is a
    GET; what a view does not do is 405 to whoever may come in at all."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth and not self._serves(view, str(request.method)):
            raise MethodNotAllowed(str(request.method))
        if request.auth and not super().has_permission(request, view):
            raise PermissionDenied(
                f"This needs a token with the scope {self._wanted(request, view)}.",
                code="insufficient_scope",
            )
        return bool(request.auth)

    def _wanted(self, request: Request, view: Any) -> str:
        alternatives = self.get_required_alternate_scopes(request, view)[str(request.method)]
        return " or ".join(" and ".join(scopes) for scopes in alternatives)

    def get_required_alternate_scopes(self, request: Request, view: Any) -> dict[str, Any]:
        scopes = super().get_required_alternate_scopes(request, view)
        return {**scopes, "HEAD": scopes["GET"]} if "GET" in scopes else dict(scopes)

    def _serves(self, view: Any, method: str) -> bool:
        return method != "OPTIONS" and hasattr(view, method.lower())


class ClientScopes(SettingsScopes):
    """The settings name every scope; each client has its own share of them."""

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return list(application.scope_list if application else super().get_available_scopes())

    def get_default_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """A token asked for without scopes gets all that its client has."""
        return self.get_available_scopes(application, request)


@method_decorator(csrf_exempt, name="dispatch")
class ThrottledTokenView(TokenView):
    """POST /oauth/token/, at TOKEN_RATE_LIMIT for each address."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if wait_s := seconds_to_wait(request):
            raise Problem(
                429,
                "throttled",
                "Too many tokens were asked for from this address.",
                retry_after_s=wait_s,
            )
        try:
            response: HttpResponse = super().dispatch(request, *args, **kwargs)
        except DataError as error:
            raise Problem(400, "unreadable", "No client's id or secret looks like that.") from error
        if response.status_code == 401:
            log.warning("token.refused")
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The other ways to a token are not ours, and the library fails on some of them where it
        is not set up for them."""
        if request.POST.get("grant_type") != "client_credentials":
            # RFC 6749, 5.2.
            return JsonResponse(
                {"error": "unsupported_grant_type"},
                status=400,
                headers={"Cache-Control": "no-store"},
            )
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response
