"""How often one client may ask."""

from __future__ import annotations

from typing import Any

import redis
import structlog
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
    """Asking for tokens costs a password hash each time, and is where secrets are guessed."""

    scope = "token"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return f"throttle-{self.scope}-{self.get_ident(request)}"
