"""What can go wrong between us and eDRV, each telling what to do next.

EdrvError
├── ProviderUnreachable   no connection, or no answer in time
├── ProviderFailed        5xx, or an answer that is not eDRV's (a proxy's HTML page)
├── RateLimited           429
├── Unauthorized          401, 403
├── NotFound              404 in eDRV's own envelope
├── Conflict              409
└── Refused               any other 4xx: this request will never do
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass
class EdrvError(Exception):
    """`detail` says what was seen; `retry_after_s` is eDRV's own wish, if it had one.

    `ambiguous`: the request may have been carried out all the same.
    `provider_down`: the fault is eDRV's or the way's, so other requests will meet it too.
    """

    detail: str
    http_status: int | None = None
    retry_after_s: float | None = None
    ambiguous: bool = False

    reason: ClassVar[str] = "edrv_error"
    retryable: ClassVar[bool] = True
    provider_down: ClassVar[bool] = False

    def __str__(self) -> str:
        status = f"HTTP {self.http_status}: " if self.http_status else ""
        # To be stored, and PostgreSQL's text cannot hold NUL.
        return f"{self.reason}: {status}{self.detail}".replace("\x00", "")


class ProviderUnreachable(EdrvError):
    reason = "provider_unreachable"
    provider_down = True


class ProviderFailed(EdrvError):
    reason = "provider_failed"
    provider_down = True


class RateLimited(EdrvError):
    reason = "rate_limited"
    provider_down = True


class Unauthorized(EdrvError):
    reason = "unauthorized"
    provider_down = True


class NotFound(EdrvError):
    reason = "not_found"
    retryable = False


class Conflict(EdrvError):
    reason = "conflict"


class Refused(EdrvError):
    reason = "refused"
    retryable = False


def error_for_status(
    http_status: int, detail: str, retry_after_s: float | None = None
) -> EdrvError:
    """The error that a status outside 2xx stands for."""
    match http_status:
        case 401 | 403:
            return Unauthorized(detail, http_status)
        case 404:
            return NotFound(detail, http_status)
        case 408:
            return ProviderUnreachable(detail, http_status, retry_after_s, ambiguous=True)
        case 409:
            return Conflict(detail, http_status)
        case 429:
            return RateLimited(detail, http_status, retry_after_s)
        case _ if 400 <= http_status < 500:
            return Refused(detail, http_status)
        case _:
            return ProviderFailed(detail, http_status, retry_after_s, ambiguous=True)
