"""How often one client may ask."""

from __future__ import annotations

from typing import Any

import redis
import structlog
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

log = structlog.get_logger(__name__)


class FailOpenThrottle(SimpleRateThrottle):
    """Lets everybody pass while Redis is away: the grid comes before the count."""

    def allow_request(self, request: Any, view: Any) -> bool:
        try:
            return bool(super().allow_request(request, view))
        except redis.RedisError as error:
            log.warning("throttle.open", error=str(error))
            return True


class ClientThrottle(FailOpenThrottle):
    """API_RATE_LIMIT for each API client; by address for whoever has no token."""

    scope = "client"

    def get_cache_key(self, request: Request, view: Any) -> str:
        token: Any = request.auth
        ident = f"client-{token.application_id}" if token else self.get_ident(request)
        return f"throttle-{self.scope}-{ident}"


class TokenThrottle(FailOpenThrottle):
    """TOKEN_RATE_LIMIT for each address: asking for a token, or to be let into the admin, costs a
    password hash each time, and is where secrets are guessed."""

    scope = "token"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return f"throttle-{self.scope}-{self.get_ident(request)}"


def seconds_to_wait(request: HttpRequest) -> int | None:
    """How long this address has to wait before it may show a password or a secret again; None
    where it may now."""
    throttle = TokenThrottle()
    if throttle.allow_request(request, None):
        return None
    return int(throttle.wait() or 1) + 1
