"""API clients: each may ask for the scopes it was given, and no others."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from oauth2_provider.scopes import SettingsScopes
from oauth2_provider.views import TokenView
from rest_framework.request import Request

from chargers.problems import Problem
from gateway.throttling import TokenThrottle


class BearerToken(OAuth2Authentication):
    """A token in the Authorization header, and nowhere else: addresses and bodies end up in logs.
    The body is not even looked at before it is known who sends it."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return None
        # rest_framework's request would parse its body to be asked for it.
        plain = request._request  # noqa: SLF001
        found: tuple[Any, Any] | None = super().authenticate(plain)
        return found


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
        throttle = TokenThrottle()
        if not throttle.allow_request(request, self):
            wait_s = throttle.wait()
            raise Problem(
                429,
                "throttled",
                "Too many tokens were asked for from this address.",
                retry_after_s=int(wait_s or 1) + 1,
            )
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        return response
