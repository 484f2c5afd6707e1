"""OWASP API2:2023 broken authentication, API5:2023 broken function level authorization, API9:2023
improper inventory management: each call against each scope, over the URL configuration."""

from uuid import uuid4

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from gateway.models import ApiClient
from tests.clients import ALL_SCOPES, Api, create_client, problem
from tests.dr_events.story import declare
from tests.fleet import make_session, make_site
from tests.security.routes import API, rest_calls, walk

pytestmark = pytest.mark.django_db

# What each call asks for. A call that is not here fails the test below it.
SCOPES = {
    ("GET", "events/"): "events:read",
    ("POST", "events/"): "events:write",
    ("POST", "events/preview/"): "events:write",
    ("GET", "events/{}/"): "events:read",
    ("PATCH", "events/{}/"): "events:write",
    ("POST", "events/{}/end/"): "events:write",
    ("POST", "events/{}/cancel/"): "events:write",
    ("POST", "events/{}/restore/"): "events:write",
    ("GET", "events/{}/report/"): "reports:read",
    ("GET", "exports/{}/"): "reports:read",
    ("GET", "exports/{}/file/"): "reports:read",
    ("GET", "exports/{}/manifest/"): "reports:read",
    ("GET", "events/{}/participations/"): "events:read",
    ("GET", "events/{}/opt_outs/"): "events:read",
    ("POST", "events/{}/opt_outs/"): "events:write",
    ("DELETE", "events/{}/opt_outs/{}/"): "events:write",
    ("GET", "sites/"): "fleet:read",
    ("GET", "sites/{}/"): "fleet:read",
    ("GET", "sites/{}/available_power/"): "fleet:read",
    ("PUT", "sites/{}/available_power/"): "events:write",
    ("DELETE", "sites/{}/available_power/"): "events:write",
    ("GET", "chargestations/"): "fleet:read",
    ("GET", "chargestations/{}/"): "fleet:read",
    ("GET", "sessions/"): "fleet:read",
    ("GET", "sessions/{}/"): "fleet:read",
}
# The description itself says nothing of this gateway's data.
OPEN = {("GET", "schema/"), ("GET", "docs/")}
NOT_DESCRIBED = {
    "": "leads to the admin",
    "admin/login/": "people",
    "login/second-factor/": "people",
    "login/second-factor/enrol/": "people",
    "login/sso/": "people",
    "login/sso/callback/": "the provider of single sign-on",
    "api/v1/schema/": "the description",
    "api/v1/docs/": "the same, for people",
    "oauth/token/": "OAuth2: described as the security scheme",
    "webhooks/edrv/": "eDRV alone, by its signature",
    "health/live/": "operations, inside the network",
    "health/ready/": "operations, inside the network",
    "metrics": "operations, inside the network",
}
OPEN_IN_THE_ADMIN = {"admin/login/", "admin/logout/"}


def test_every_call_is_known_with_its_scope():
    assert rest_calls() == {*SCOPES, *OPEN}


def test_every_scope_is_asked_for_somewhere():
    assert set(SCOPES.values()) == set(ALL_SCOPES)


def test_every_address_is_described_or_on_the_list_of_those_that_are_not():
    described = {
        _plain(path.removeprefix("/"))
        for path in SchemaGenerator().get_schema(request=None, public=True)["paths"]
    }
    served = {
        route for route, _ in walk() if not route.startswith("admin/") or route in NOT_DESCRIBED
    }

    assert served == described | set(NOT_DESCRIBED)


def _plain(path):
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@pytest.fixture
def apis(client, capsys):
    """A client for each scope, each with that scope alone."""
    return {
        scope: Api(client, create_client(capsys, f"may {scope.replace(':', ' ')}", scope))
        for scope in ALL_SCOPES
    }


def address_of(route):
    """The route with things that are there."""
    kind = route.partition("/")[0]
    ids = {"events": declare, "sites": make_site, "sessions": make_session}
    thing = ids.get(kind, make_site)()
    if kind == "exports":
        return route.replace("{}", str(uuid4()))
    first = str(thing.pk) if kind == "events" else thing.external_id
    return route.replace("{}", first, 1).replace("{}", "1")


@pytest.mark.parametrize(("method", "route"), SCOPES, ids=lambda part: part)
def test_a_call_is_done_with_its_scope_and_with_no_other(apis, method, route):
    path = address_of(route)

    for scope, api in apis.items():
        answer = api.call(method, path)
        if scope == SCOPES[method, route]:
            assert answer.status_code in (200, 201, 204, 400, 404, 409), answer.content
        else:
            problem(answer, 403)


@pytest.mark.parametrize(("method", "route"), SCOPES, ids=lambda part: part)
def test_nobody_comes_in_without_a_token(client, method, route):
    address = f"/{API}{address_of(route)}"

    for said in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp4"}):
        answer = client.generic(method, address, headers=said)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_scope_that_was_taken_from_a_client_gives_no_new_token(client, capsys):
    credentials = create_client(capsys, "scada", "events:read", "events:write")
    ApiClient.objects.update(scopes="events:read")

    assert Api(client, credentials).call("POST", "events/").status_code == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_page_of_the_admin_asks_for_a_log_in(method):
    pages = {route for route, _ in walk() if route.startswith("admin/")} - OPEN_IN_THE_ADMIN
    assert len(pages) > 60

    for route in sorted(pages):
        answer = Client().generic(method, "/" + route.replace("{}", "1"))
        assert answer.status_code in (302, 404), route
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/admin/login/"), route
