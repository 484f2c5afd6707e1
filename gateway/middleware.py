"""What every request passes through: its context for the logs, its errors, its size, what it asks
of the admin, and what a browser may do with the answer."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.conf import settings
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest
from django.core.paginator import InvalidPage
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from chargers import numerals
from chargers.problems import Problem, failure_text, new_reference
from gateway import problems

log = structlog.get_logger(__name__)

API_DOCS = "/api/v1/docs/"
ADMIN_PATH = "/admin/"

Handler = Callable[[HttpRequest], HttpResponse]


class ContentPolicy:
    """What a browser may do with an answer, whatever got into it (Content Security Policy Level
    3, Permissions Policy).

    No page has a script of its own inside: scripts come from /static/ alone. The admin's library
    of widgets (Alpine.js) makes its attributes into functions, which is `unsafe-eval`; styles
    stand inside pages everywhere. What is for machines may do nothing at all.
    """

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers["Content-Security-Policy"] = _policy_for(request)
        response.headers["Permissions-Policy"] = NO_DEVICES
        return response


class Numerals:
    """The admin writes numbers as the reader's language has them, as the browser says it
    (Accept-Language). Whatever is for machines does not come this way."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(ADMIN_PATH):
            return self._get_response(request)
        language = numerals.language_for(request.headers.get("Accept-Language", ""))
        with numerals.written_in(language):
            response = self._get_response(request)
        patch_vary_headers(response, ["Accept-Language"])
        return response


PAGE = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
ADMIN = {**PAGE, "script-src": "'self' 'unsafe-eval'"}
DATA = dict.fromkeys(("default-src", "form-action", "base-uri", "frame-ancestors"), "'none'")
NO_DEVICES = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "browsing-topics", "camera", "display-capture", "geolocation",
        "gyroscope", "magnetometer", "microphone", "midi", "payment", "publickey-credentials-get",
        "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip


def _policy_for(request: HttpRequest) -> str:
    policy = DATA
    if request.path.startswith(API_DOCS):
        policy = PAGE
    elif not problems.is_for_machines(request):
        policy = ADMIN
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


class RequestContext:
    """Gives the logs of a request its address and path, and its errors to machines as
    problem+json."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.BEHIND_PROXY and (forwarded := request.headers.get("X-Forwarded-For")):
            # The proxy appends the address it saw; what stands before that anyone can write.
            request.META["REMOTE_ADDR"] = forwarded.rpartition(",")[2].strip()
        with structlog.contextvars.bound_contextvars(
            path=request.path, address=request.META.get("REMOTE_ADDR")
        ):
            response = self._get_response(request)
        if response.status_code >= 400 and _is_djangos_page(request, response):
            return _instead_of(response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return _answer_to(error) if problems.is_for_machines(request) else None


def _answer_to(error: Exception) -> HttpResponse:
    problem = problems.problem_of(error)
    if problem is not None:
        return problems.as_response(problem)
    reference = new_reference()
    log.exception("request.failed", reference=reference)
    failure = Problem(500, "internal", failure_text(reference))
    return problems.as_response(failure, reference=reference)


def _is_djangos_page(request: HttpRequest, response: HttpResponse) -> bool:
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return is_html and problems.is_for_machines(request)


def _instead_of(page: HttpResponse) -> HttpResponse:
    answer = problems.as_response(_problem_for(page.status_code))
    if allowed := page.headers.get("Allow"):
        answer.headers["Allow"] = allowed
    return answer


def _problem_for(status: int) -> Problem:
    match status:
        case 404:
            return Problem(404, "not_found", "There is nothing here.")
        case 403:
            return Problem(403, "permission_denied", "This is not allowed.")
        case 405:
            return Problem(405, "method_not_allowed", "This method is not allowed here.")
        case _ if status >= 500:
            return Problem(status, "internal", "The gateway failed.")
        case _:
            return Problem(status, "bad_request", "The request cannot be answered.")


class AdminQuery:
    """What cannot be asked for in the admin, such as page x of a search or a filter by NUL, which
    PostgreSQL knows no text with, is the asker's fault: 400."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(ADMIN_PATH) and "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("A query has no NUL.")
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> None:
        """The lists answer these themselves; a search and an export do not."""
        if isinstance(error, InvalidPage | IncorrectLookupParameters):
            raise BadRequest("There is no such page or filter.") from error


class BodyLimit:
    """Refuses bodies that are larger than anything meant for us, before they are read."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > self._limit(request):
            problem = Problem(
                413, "too_large", f"The body is larger than {self._limit(request):,} bytes.",
                field="body",
            )  # fmt: skip
            return problems.as_response(problem)
        return self._get_response(request)

    def _limit(self, request: HttpRequest) -> int:
        limit: int = settings.MAX_BODY_BYTES
        return limit if problems.is_for_machines(request) else 20 * limit
