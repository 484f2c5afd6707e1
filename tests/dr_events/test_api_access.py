"""How often one may call, and what everybody else is told. Who may call what:
tests/security/test_scopes.py."""

import uuid

import pytest
from django.core.cache import cache

from gateway.throttling import ClientThrottle, TokenThrottle
from tests.clients import Api, create_client, problem

pytestmark = pytest.mark.django_db


def test_a_token_that_is_none_is_refused(client):
    response = client.get("/api/v1/events/", headers={"Authorization": "Bearer nonsense"})

    problem(response, 401)


def test_a_client_that_asks_too_often_is_told_when_to_come_back(client, capsys, monkeypatch):
    monkeypatch.setattr(ClientThrottle, "THROTTLE_RATES", {"client": "2/min"})
    api = Api(client, create_client(capsys, f"eager-{uuid.uuid4()}"))

    answers = [api.get("events/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem(answers[-1], 429)
    assert int(answers[-1].headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v2/", "/webhooks/other/"])
def test_an_unknown_address_is_a_problem_too(client, path):
    problem(client.get(path), 404)


@pytest.mark.parametrize("method", ["put", "delete", "options"])
@pytest.mark.parametrize("path", ["/api/v1/events/", "/api/v1/sites/"])
def test_what_is_not_served_is_405_to_who_may_come_in(api, client, path, method):
    headers = {"Authorization": f"Bearer {api.token}"}

    problem(getattr(client, method)(path, headers=headers), 405)
    problem(getattr(client, method)(path), 401)


def test_head_is_a_get_without_its_body(api, client):
    response = client.head("/api/v1/sites/", headers={"Authorization": f"Bearer {api.token}"})

    assert (response.status_code, response.content) == (200, b"")


def test_passwords_cannot_be_tried_as_fast_as_one_likes(client, monkeypatch):
    monkeypatch.setattr(TokenThrottle, "rate", "3/min", raising=False)
    cache.clear()

    answers = [
        client.post(
            "/admin/login/",
            {"username": "operator", "password": "guess"},
            # Whoever guesses writes any address into this.
            headers={"X-Forwarded-For": f"192.0.2.{number}"},
        )
        for number in range(4)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    cache.clear()
