"""OWASP API8:2023, security misconfiguration: what every answer says to a browser, and what it
does not say to anybody."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

PAGES = ["/admin/login/", "/api/v1/docs/"]
DATA = [
    "/api/v1/events/",
    "/api/v1/schema/",
    "/api/v1/nothing/",
    "/health/live/",
    "/metrics",
    "/oauth/token/",
    "/webhooks/edrv/",
]
FILES = ["/static/unfold/js/app.js", "/static/control/order.js"]


def policy_of(response):
    said = response.headers["Content-Security-Policy"].split("; ")
    return {name: sources.split() for name, _, sources in (part.partition(" ") for part in said)}


@pytest.mark.parametrize("address", [*PAGES, *DATA, *FILES])
def test_every_answer_keeps_the_browser_to_what_it_is(client, address):
    headers = client.get(address).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize("address", [*PAGES, *DATA, "/nothing/"])
def test_nothing_can_be_shown_inside_another_site(client, address):
    response = client.get(address)

    assert policy_of(response)["frame-ancestors"] == ["'none'"]
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("address", PAGES)
def test_scripts_come_from_this_host_alone(client, address):
    response = client.get(address)
    page = response.content.decode()

    policy = policy_of(response)
    assert policy["default-src"] == ["'none'"]
    assert set(policy["script-src"]) <= {"'self'", "'unsafe-eval'"}
    assert 'src="http' not in page
    assert 'src="//' not in page
    assert 'href="http' not in page


@pytest.mark.parametrize("address", DATA)
def test_what_is_for_machines_may_do_nothing_in_a_browser(client, address):
    assert set(map(tuple, policy_of(client.get(address)).values())) == {("'none'",)}


def test_only_the_admin_needs_eval(client):
    assert "'unsafe-eval'" in policy_of(client.get("/admin/login/"))["script-src"]
    assert policy_of(client.get("/api/v1/docs/"))["script-src"] == ["'self'"]


def test_behind_tls_the_cookies_and_the_host_are_tls_s_alone(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    User.objects.create_superuser("anna", password="correct horse")
    # The middleware reads its settings when it is made.
    browser = Client()

    plain = browser.get("/admin/login/")
    form = {"username": "anna", "password": "correct horse"}
    entered = browser.post("/admin/login/", form, secure=True)

    assert plain.headers["Location"] == "https://testserver/admin/login/"
    assert entered.headers["Strict-Transport-Security"] == (
        "max-age=31536000; includeSubDomains; preload"
    )
    session = entered.cookies["sessionid"]
    assert (session["secure"], session["httponly"], session["samesite"]) == (True, True, "Lax")


@pytest.fixture
def behind_tls(settings):
    """A browser that has not heard of it; the middleware reads its settings when it is made."""
    settings.SECURE_SSL_REDIRECT = True
    return Client()


@pytest.mark.parametrize("address", [*PAGES, *FILES, "/api/v1/events/?a=b", "/webhooks/edrv/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_comes_without_tls_is_sent_there_as_what_it_is(behind_tls, method, address):
    sent_on = getattr(behind_tls, method)(address)

    assert (sent_on.status_code, sent_on.headers["Location"]) == (
        308,
        f"https://testserver{address}",
    )
    assert policy_of(sent_on)["frame-ancestors"] == ["'none'"]
    assert sent_on.headers["X-Frame-Options"] == "DENY"
    assert sent_on.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("address", ["/health/live/", "/metrics"])
def test_the_watch_inside_the_network_needs_no_tls(behind_tls, address):
    assert behind_tls.get(address).status_code == 200


def test_a_host_that_is_not_ours_is_not_answered(client):
    assert client.get("/api/v1/events/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("address", ["/api/v1/events/", "/webhooks/edrv/", "/admin/"])
def test_nor_is_it_sent_anywhere(behind_tls, address):
    refused = behind_tls.get(address, headers={"Host": "evil.example"})

    assert (refused.status_code, "Location" in refused.headers) == (400, False)
    assert policy_of(refused)["frame-ancestors"] == ["'none'"]
    assert refused.headers["X-Frame-Options"] == "DENY"
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    is_for_machines = address != "/admin/"
    assert (refused.headers["Content-Type"] == "application/problem+json") == is_for_machines


@pytest.mark.parametrize("address", ["//evil.example/admin", "/\\evil.example/admin"])
def test_a_missing_slash_sends_nobody_to_another_host(client, address):
    location = client.get(address).headers.get("Location", "")

    assert not location.startswith(("//", "http", "/\\"))


def test_no_other_site_may_read_an_answer(client):
    answer = client.get("/api/v1/events/", headers={"Origin": "https://evil.example"})

    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
