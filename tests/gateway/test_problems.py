"""Whatever goes wrong on a machine's path answers application/problem+json, and nothing of our
inside gets out."""

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import IntegrityError, InternalError, OperationalError
from django.http import Http404, HttpResponse
from django.urls import path
from psycopg.errors import ReadOnlySqlTransaction
from rest_framework import exceptions
from rest_framework.views import APIView

from chargers.problems import FieldError, Problem
from gateway import urls

INSIDE = "password=hunter2 in /srv/gateway"
ERRORS = {
    "problem": Problem(409, "conflict", "Already so.", field="name"),
    "many": Problem.invalid([FieldError("a", "x", "is odd"), FieldError("b[1]", "y", "is even")]),
    "wait": Problem(503, "not_now", "Later.", retry_after_s=7),
    "missing": Http404("no row 17"),
    "forbidden": PermissionDenied("rule 12"),
    "suspicious": SuspiciousOperation("oddity"),
    "bad": BadRequest("oddity"),
    "throttled": exceptions.Throttled(wait=3.2),
    "nested": exceptions.ValidationError({"limit": {"value": ["is not a number"]}, "x": ["odd"]}),
    "list": exceptions.ValidationError({"targets": [{}, {"type": ["is unknown"]}]}),
    "bug": RuntimeError(INSIDE),
    "row": IntegrityError(INSIDE),
    "database": OperationalError(INSIDE),
    "read_only": InternalError(INSIDE),
}
ERRORS["read_only"].__cause__ = ReadOnlySqlTransaction(INSIDE)


def plain(request, name):
    raise ERRORS[name]


class Rest(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, request, name):
        raise ERRORS[name]


urlpatterns = [
    path("api/plain/<name>/", plain),
    path("api/rest/<name>/", Rest.as_view()),
    path("api/page/", lambda request: HttpResponse("<p>no</p>", status=418)),
    path("elsewhere/<name>/", plain),
    *urls.urlpatterns,
]
ours = pytest.mark.urls(__name__)
either = pytest.mark.parametrize("kind", ["plain", "rest"])


def problem(response):
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    return body


@ours
@either
@pytest.mark.parametrize(
    ("name", "status", "code", "fields"),
    [
        ("problem", 409, "conflict", ["name"]),
        ("many", 400, "invalid", ["a", "b[1]"]),
        ("wait", 503, "not_now", []),
        ("missing", 404, "not_found", []),
        ("forbidden", 403, "permission_denied", []),
        ("suspicious", 400, "bad_request", []),
        ("bad", 400, "bad_request", []),
        ("throttled", 429, "throttled", []),
        ("nested", 400, "invalid", ["limit.value", "x"]),
        ("list", 400, "invalid", ["targets[1].type"]),
        ("database", 503, "unavailable", []),
        ("read_only", 503, "unavailable", []),
    ],
)
def test_an_exception_is_a_problem_that_names_each_field(client, kind, name, status, code, fields):
    body = problem(client.get(f"/api/{kind}/{name}/"))

    assert (body["status"], body["code"]) == (status, code)
    assert [error["field"] for error in body["errors"]] == fields


@ours
@pytest.mark.parametrize(
    ("name", "after"),
    [("plain/wait", "7"), ("rest/wait", "7"), ("rest/throttled", "4"), ("rest/database", "5")],
)
def test_a_problem_that_passes_says_when(client, name, after):
    assert client.get(f"/api/{name}/").headers["Retry-After"] == after


@ours
@either
@pytest.mark.parametrize("name", ["bug", "row"])
def test_a_failure_of_ours_tells_a_reference_and_nothing_else(client, kind, name, log_lines):
    response = client.get(f"/api/{kind}/{name}/")

    body = problem(response)
    assert (body["status"], body["code"], body["errors"]) == (500, "internal", [])
    for telling in ("hunter2", "srv", "RuntimeError", "IntegrityError", "Traceback", "django"):
        assert telling not in response.content.decode()
    failed = next(line for line in log_lines() if line["event"] == "request.failed")
    assert failed["reference"] == body["reference"]
    assert body["reference"] in body["detail"]
    assert failed["path"] == f"/api/{kind}/{name}/"
    assert "Traceback" in failed["exception"]


class Broken:
    """A middleware that fails, where no view's error handling reaches."""

    def __init__(self, get_response):
        pass

    def __call__(self, request):
        raise RuntimeError(INSIDE)


def test_a_failure_outside_of_any_view_is_a_problem_too(client, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Broken"]
    client.raise_request_exception = False

    response = client.get("/api/v1/events/")

    assert (problem(response)["status"], problem(response)["code"]) == (500, "internal")
    assert "hunter2" not in response.content.decode()


@ours
def test_any_page_meant_for_people_is_replaced_for_machines(client):
    assert problem(client.get("/api/page/"))["code"] == "bad_request"


@ours
def test_people_get_pages(client):
    client.raise_request_exception = False

    missing, failed = client.get("/elsewhere/missing/"), client.get("/elsewhere/bug/")

    assert (missing.status_code, failed.status_code) == (404, 500)
    for page in (missing, failed):
        assert page.headers["Content-Type"].startswith("text/html")
        assert "hunter2" not in page.content.decode()


@pytest.mark.parametrize(
    "address",
    ["/api/", "/api/v1", "/api/v1/nothing/", "/api/v1/%ff%fe/", "/api/v1/events/%00/",
     "/oauth/authorize/", "/oauth/applications/", "/webhooks/", "/health/", "/metrics/x"],
)  # fmt: skip
def test_an_address_where_nothing_is_is_a_problem(client, address):
    assert problem(client.get(address))["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [
        ("get", "/oauth/token/", {"POST"}),
        ("delete", "/oauth/token/", {"POST"}),
        ("get", "/webhooks/edrv/", {"POST"}),
        ("put", "/webhooks/edrv/", {"POST"}),
        ("post", "/metrics", {"GET", "HEAD"}),
        ("delete", "/health/ready/", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client, method, address, allowed):
    response = getattr(client, method)(address)

    assert problem(response)["code"] == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) - {"OPTIONS"} == allowed


@pytest.mark.parametrize("address", ["/api/v1/events/", "/oauth/token/", "/webhooks/edrv/"])
def test_a_body_is_refused_by_its_length_before_it_is_read(client, address):
    response = client.post(address, b"x" * 1_000_001, content_type="application/json")

    body = problem(response)
    assert (body["status"], body["code"], body["errors"][0]["field"]) == (413, "too_large", "body")
    assert "1,000,000 bytes" in body["detail"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"grant_type=client_credentials", "application/x-www-form-urlencoded; charset=latin-1"),
        (b"grant_type=client_credentials", "application/x-www-form-urlencoded; charset=utf-16"),
        (b"no parts", "multipart/form-data"),
        (b"\xff\xfe", "multipart/form-data; boundary=\xe9"),
        (b"&".join(b"a%d=1" % number for number in range(2000)),
         "application/x-www-form-urlencoded"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_read_is_the_sender_s_fault(client, body, content_type):
    response = client.post("/oauth/token/", body, content_type=content_type)

    assert response.status_code == 400
    assert response.headers["Content-Type"] in ("application/problem+json", "application/json")


def test_a_host_that_is_not_ours_is_refused(client):
    response = client.get("/health/live/", headers={"Host": "evil.example.com"})

    assert problem(response)["status"] == 400
    assert "evil" not in response.content.decode()
