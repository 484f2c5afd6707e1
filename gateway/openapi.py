"""The OpenAPI description: what drf-spectacular cannot see by itself."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.contrib.django_oauth_toolkit import DjangoOAuthToolkitScheme
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance

from chargers.problems import MOST_TOLD
from dr_events.fields import Strict

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
            "description": f"The first {MOST_TOLD}; `detail` says how many more there are.",
            "maxItems": MOST_TOLD,
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
    "DELETE": (400, 401, 403, 404, 409, 429),
}


# What a call is called in lists of calls; its description is what its view says.
SUMMARIES = {
    "chargestations_list": "List chargestations",
    "chargestations_retrieve": "Read a chargestation",
    "events_list": "List events",
    "events_create": "Declare an event",
    "events_retrieve": "Read an event",
    "events_partial_update": "Amend an event",
    "events_cancel_create": "Cancel an event",
    "events_end_create": "End an event",
    "events_restore_create": "Restore all power of an event at once",
    "events_preview_create": "Preview an event",
    "events_report_retrieve": "Export the report of an event",
    "events_participations_list": "List the participations of an event",
    "events_opt_outs_list": "List the opt-outs of an event",
    "events_opt_outs_create": "Opt out of an event",
    "events_opt_outs_destroy": "Withdraw an opt-out",
    "exports_retrieve": "Read how far an export is",
    "exports_file_retrieve": "Download an export",
    "exports_manifest_retrieve": "Download the manifest of an export",
    "sessions_list": "List sessions",
    "sessions_retrieve": "Read a session and why it is at its limit",
    "sites_list": "List sites",
    "sites_retrieve": "Read a site",
    "sites_available_power_retrieve": "Read the capacity of a site",
    "sites_available_power_update": "Set the capacity of a site",
    "sites_available_power_destroy": "Take the capacity of a site back",
}


class BearerTokenScheme(DjangoOAuthToolkitScheme):  # type: ignore[no-untyped-call]
    """drf-spectacular finds a scheme by its authentication class."""

    target_class = "gateway.clients.BearerToken"


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation the problems it may answer with (a view names in `also_answers` those
    that are not usual for its method), and says of each body that takes no unknown members that it
    does not."""

    def _map_serializer(
        self, serializer: Any, direction: Literal["request", "response"], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        mapped: dict[str, Any] = super()._map_serializer(  # type: ignore[no-untyped-call]
            serializer, direction, *args, **kwargs
        )
        if isinstance(force_instance(serializer), Strict):  # type: ignore[no-untyped-call]
            mapped["additionalProperties"] = False
        return mapped

    def get_summary(self) -> str:
        return SUMMARIES[self.get_operation_id()]

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        also = getattr(self.view, "also_answers", ())
        for status in (*PROBLEMS_BY_METHOD[self.method], *also):
            responses.setdefault(str(status), _PROBLEM_RESPONSE)
        return responses


_PROBLEM_RESPONSE = {
    "description": "Problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _say_null(schema: Any) -> None:
    """`nullable` is of OpenAPI 3.0: 3.1 has "null" among the types."""
    inside = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and schema.pop("nullable", False) is True:
        schema["type"] = [schema["type"], "null"]
    for member in inside if isinstance(schema, dict | list) else ():
        _say_null(member)


def add_problem_schema(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular; it also says in 3.1's words what may be null."""
    _say_null(result)
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    return result


# What answers, where in it the id stands, and below which address the calls are that take it.
LINKS = (
    ("EventDetail", "$response.body#/id", "/api/v1/events/{"),
    ("PaginatedEventRepresentationList", "$response.body#/results/0/id", "/api/v1/events/{"),
    ("PaginatedSiteRepresentationList", "$response.body#/results/0/external_id",
     "/api/v1/sites/{"),
    ("PaginatedChargeStationRepresentationList", "$response.body#/results/0/external_id",
     "/api/v1/chargestations/{"),
    ("PaginatedSessionRepresentationList", "$response.body#/results/0/external_id",
     "/api/v1/sessions/{"),
    ("OptOutRepresentation", "$response.body#/id",
     "/api/v1/events/{event_id}/opt_outs/{"),
)  # fmt: skip


def add_links(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: from what was answered to what can be done with
    it, as links of OpenAPI."""
    for path, calls in result["paths"].items():
        for call in calls.values():
            for status, response in call["responses"].items():
                if status.startswith("2") and (links := _links_from(response, path, result)):
                    response["links"] = links
    return result


def _links_from(response: dict[str, Any], path: str, result: dict[str, Any]) -> dict[str, Any]:
    answered = _component_of(response)
    return {
        call["operationId"]: {
            "operationId": call["operationId"],
            "parameters": _parameters(call, place, path),
        }
        for component, place, below in LINKS
        if component == answered
        for target, calls in result["paths"].items()
        if target.startswith(below) and target.count("{") == below.count("{")
        for call in calls.values()
    }


def _component_of(response: dict[str, Any]) -> str:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _parameters(call: dict[str, Any], place: str, path: str) -> dict[str, str]:
    """Of the target's ids the last stands in the answer; those before it were asked for."""
    names = [each["name"] for each in call["parameters"] if each["in"] == "path"]
    return {**{name: f"$request.path.{name}" for name in names[:-1]}, names[-1]: place}
