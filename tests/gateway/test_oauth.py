"""Getting in: client credentials for a token, the token in its header and nowhere else."""

import base64
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from gateway.models import ApiClient
from gateway.throttling import ClientThrottle, TokenThrottle
from tests.clients import Api, create_client

pytestmark = pytest.mark.django_db

TOKEN_URL = "/oauth/token/"
EVENTS = "/api/v1/events/"


@pytest.fixture
def reader(capsys):
    """May read events and the fleet."""
    return create_client(capsys, "reader", "events:read", "fleet:read")


def ask(client, credentials, **changes):
    """For a token, with the secret in the body."""
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials["client_id"],
        "client_secret": credentials["client_secret"],
        **changes,
    }
    return client.post(TOKEN_URL, form)


def basic(client_id, secret):
    said = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {said}"}


def test_a_client_gets_a_token_for_an_hour_with_all_its_scopes(client, reader):
    response = ask(client, reader)

    said = response.json()
    assert (response.status_code, said["token_type"], said["expires_in"]) == (200, "Bearer", 3600)
    assert set(said["scope"].split()) == {"events:read", "fleet:read"}
    assert "refresh_token" not in said
    assert response.headers["Cache-Control"] == "no-store"


def test_the_secret_may_come_in_the_header_instead(client, reader):
    headers = basic(reader["client_id"], reader["client_secret"])

    response = client.post(TOKEN_URL, {"grant_type": "client_credentials"}, headers=headers)

    assert response.status_code == 200


def test_a_token_may_be_asked_for_with_less_than_all_scopes(client, reader):
    said = ask(client, reader, scope="events:read").json()
    headers = {"Authorization": f"Bearer {said['access_token']}"}

    assert said["scope"] == "events:read"
    assert client.get(EVENTS, headers=headers).status_code == 200
    refused = client.get("/api/v1/sessions/", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert refused.json()["detail"] == "This needs a token with the scope fleet:read."


@pytest.mark.parametrize("scope", ["events:read reports:read", "everything", "events:*"])
def test_a_scope_that_is_not_the_client_s_gives_no_token_at_all(client, reader, scope):
    refused = ask(client, reader, scope=scope)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(
    "changes",
    [{"client_secret": "guess"}, {"client_secret": ""}, {"client_id": "guess"}],
)
def test_whoever_cannot_prove_itself_is_401(client, reader, changes):
    refused = ask(client, reader, **changes)

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("headers", [{}, basic("\x00", "\x00")])
def test_an_id_no_database_can_hold_is_the_sender_s_fault(client, headers):
    form = {} if headers else {"client_id": "\x00", "client_secret": "\x00"}

    refused = client.post(TOKEN_URL, {"grant_type": "client_credentials", **form}, headers=headers)

    assert refused.status_code in (400, 401)


@pytest.mark.parametrize(
    "grant",
    [
        "password",
        "authorization_code",
        "implicit",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth",
        "",
    ],
)
def test_there_is_no_other_way_to_a_token(client, reader, grant):
    refused = ask(client, reader, grant_type=grant, username="x" * 300, password="x", code="x")

    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")
    assert refused.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "place",
    [
        lambda client, token: client.get(EVENTS, {"access_token": token}),
        lambda client, token: client.generic(
            "GET", EVENTS, urlencode({"access_token": token}), "application/x-www-form-urlencoded"
        ),
        lambda client, token: client.post(f"{EVENTS}?access_token={token}", {}, "application/json"),
        lambda client, token: client.get(EVENTS, headers={"Authorization": f"Basic {token}"}),
        lambda client, token: client.get(EVENTS, headers={"Authorization": token}),
        lambda client, token: client.get(EVENTS, headers={"Cookie": f"access_token={token}"}),
    ],
    ids=["query", "body", "query of a post", "basic", "bare", "cookie"],
)
def test_a_token_counts_in_the_bearer_header_alone(client, reader, place):
    token = ask(client, reader).json()["access_token"]

    refused = place(client, token)

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_is_kept_as_a_hash(client, reader):
    token = ask(client, reader).json()["access_token"]

    assert token not in str(list(get_access_token_model().objects.values()))
    assert ApiClient.objects.get().client_secret != reader["client_secret"]


def test_a_token_ends_after_its_hour(client, reader):
    api = Api(client, reader)
    assert api.get("events/").status_code == 200

    with time_machine.travel(timezone.now() + timedelta(seconds=3601)):
        late = api.get("events/")

    assert (late.status_code, late.json()["code"]) == (401, "invalid_token")
    assert late.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_client_that_is_gone_takes_its_tokens_with_it(client, reader):
    api = Api(client, reader)

    ApiClient.objects.all().delete()

    assert api.get("events/").status_code == 401


# --- how often ----------------------------------------------------------------------------


@pytest.fixture
def two_a_minute(monkeypatch):
    """For each kind of caller."""
    for throttle in (TokenThrottle, ClientThrottle):
        monkeypatch.setattr(throttle, "THROTTLE_RATES", {"token": "2/min", "client": "2/min"})


def from_address(client, address, **headers):
    """A guess at somebody's secret."""
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
    return client.post(TOKEN_URL, form, REMOTE_ADDR=address, headers=headers)


def test_an_address_that_guesses_secrets_is_slowed_down(client, two_a_minute):
    answers = [from_address(client, "198.51.100.1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    throttled = answers[-1]
    assert throttled.headers["Content-Type"] == "application/problem+json"
    assert throttled.json()["code"] == "throttled"
    assert 1 <= int(throttled.headers["Retry-After"]) <= 61
    assert from_address(client, "198.51.100.2").status_code == 401


def test_nobody_gets_more_guesses_by_claiming_other_addresses(client, two_a_minute):
    answers = [
        from_address(client, "198.51.100.3", **{"X-Forwarded-For": f"203.0.113.{number}"})
        for number in range(3)
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_behind_a_proxy_the_address_is_the_one_the_proxy_saw(client, two_a_minute, settings):
    settings.BEHIND_PROXY = True

    def through_proxy(seen, claimed):
        header = {"X-Forwarded-For": f"{claimed}, {seen}"}
        return from_address(client, "10.0.0.1", **header).status_code

    guesses = [through_proxy("198.51.100.4", f"203.0.113.{number}") for number in range(3)]
    assert guesses == [401, 401, 429]
    assert through_proxy("198.51.100.5", "203.0.113.1") == 401


def test_without_redis_everybody_passes_and_the_log_says_so(
    client, reader, two_a_minute, redis_away, log_lines
):
    api = Api(client, reader)

    assert [api.get("events/").status_code for _ in range(4)] == [200] * 4
    assert [ask(client, reader).status_code for _ in range(3)] == [200] * 3
    opened = [line for line in log_lines() if line["event"] == "throttle.open"]
    assert len(opened) == 8
