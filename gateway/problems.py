"""Any error as application/problem+json (RFC 9457), each offending field named.

A failure of our own says nothing of its inside: only a reference, which the log has too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from chargers.problems import FieldError, Problem

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
DATABASE_RETRY_S = 5
MACHINE_PATHS = ("/api/", "/oauth/", "/webhooks/", "/health/", "/metrics")


def body_of(problem: Problem, *, reference: str = "") -> dict[str, Any]:
    """RFC 9457's members, and ours: `code`, `errors`, `reference`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "errors": [
            {"field": error.field, "code": error.code, "detail": error.detail}
            for error in problem.errors
        ],
    }
    return {**body, "reference": reference} if reference else body


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """For rest_framework's views."""
    problem = problem_of(error)
    if problem is None:
        return None
    set_rollback()
    headers = _headers(problem, error)
    return Response(
        body_of(problem), status=problem.status, headers=headers, content_type=CONTENT_TYPE
    )


def problem_of(error: Exception) -> Problem | None:
    """What an exception means to the caller; None for a failure of our own."""
    match error:
        case Problem():
            return error
        case exceptions.ValidationError():
            return Problem.invalid(_field_errors(error.detail))
        case exceptions.ParseError():
            return Problem(400, "unreadable", f"The body cannot be read: {error.detail}",
                           field="body")  # fmt: skip
        case exceptions.APIException():
            return Problem(error.status_code, str(error.get_codes()), str(error.detail))
        case Http404():
            return Problem(404, "not_found", "There is nothing here.")
        case PermissionDenied():
            return Problem(403, "permission_denied", "This is not allowed.")
        case RequestDataTooBig():
            return Problem(413, "too_large", "The body is too large.", field="body")
        case SuspiciousOperation() | BadRequest() | MultiPartParserError() | UnreadablePostError():
            return Problem(400, "bad_request", "The request cannot be read.")
        case OperationalError() | InterfaceError() | InternalError() if _is_away(error):
            log.error("database.away", error=type(error).__name__)
            return Problem(
                503, "unavailable", "The database is away; nothing was changed.",
                retry_after_s=DATABASE_RETRY_S,
            )  # fmt: skip
        case _:
            return None


def _is_away(error: Exception) -> bool:
    """A database that can only be read, as after a failover, is as good as away."""
    if not isinstance(error, InternalError):
        return True
    return isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction)


def _headers(problem: Problem, error: Exception) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    wait_s = problem.retry_after_s or getattr(error, "wait", None)
    if wait_s:
        headers["Retry-After"] = str(max(1, round(wait_s)))
    return headers


def _field_errors(detail: Any, path: str = "") -> Iterator[FieldError]:
    """`{"limit": {"value": ["…"]}}` → limit.value, `{"targets": [{}, {…}]}` → targets[1]…"""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _field_errors(inner, _inside(path, name))
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        for number, inner in enumerate(detail):
            inside = path if isinstance(inner, str) else _inside(path, number)
            yield from _field_errors(inner, inside)
    else:
        yield FieldError(path or "body", str(getattr(detail, "code", "invalid")), str(detail))


def _inside(path: str, name: str | int) -> str:
    if name == "non_field_errors":
        return path
    return f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}".strip(".")


def as_response(problem: Problem, *, reference: str = "") -> HttpResponse:
    """For plain Django views."""
    return JsonResponse(
        body_of(problem, reference=reference),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=_headers(problem, problem),
    )


def is_for_machines(request: HttpRequest) -> bool:
    """Whether errors on this path are problem+json, not pages."""
    return request.path.startswith(MACHINE_PATHS)
