"""The OpenAPI description: what drf-spectacular cannot see by itself."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.contrib.django_oauth_toolkit import DjangoOAuthToolkitScheme
from drf_spectacular.openapi import AutoSchema

PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457), each offending field named.",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "reference": {"type": "string"},
    },
}

PROBLEMS_BY_METHOD = {
    "GET": (400, 401, 403, 404, 429),
    "POST": (400, 401, 403, 404, 409, 413, 415, 429),
    "PATCH": (400, 401, 403, 404, 409, 413, 415, 429),
    "PUT": (400, 401, 403, 404, 409, 413, 415, 429),
}


class BearerTokenScheme(DjangoOAuthToolkitScheme):  # type: ignore[no-untyped-call]
    """drf-spectacular finds a scheme by its authentication class."""

    target_class = "gateway.clients.BearerToken"


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation the problems it may answer with."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        for status in PROBLEMS_BY_METHOD[self.method]:
            responses.setdefault(str(status), _PROBLEM_RESPONSE)
        return responses


_PROBLEM_RESPONSE = {
    "description": "Problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def add_problem_schema(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    return result
