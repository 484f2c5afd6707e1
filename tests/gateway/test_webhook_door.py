"""The door of the webhooks: the short way for good ones, and the line before it."""

import io
import json
import threading
import time

import pytest

from chargers import webhooks
from chargers.edrv.signatures import sign
from chargers.models import WebhookDelivery
from gateway.webhook_door import PATH, Shedding, ShortWay
from gateway.wsgi import application
from tests.waiting import wait_until


class Busy:
    """An application that answers when it is told to, and counts who is inside."""

    def __init__(self):
        self.may_answer = threading.Event()
        self.inside = self.most_inside = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.may_answer.wait(30)
        with self.lock:
            self.inside -= 1
        start_response("200 OK", [])
        return [b""]


class Broken:
    def __call__(self, environ, start_response):
        raise RuntimeError("no")


def call(application, path=PATH):
    said = {}

    def start_response(status, headers):
        said.update(status=status, headers=dict(headers))

    body = b"".join(application({"PATH_INFO": path}, start_response))
    return said["status"], said["headers"], body


@pytest.fixture
def busy():
    return Busy()


@pytest.fixture
def crowd(busy):
    """Five in line: nobody else fits."""
    line = Shedding(busy, places=5)
    answers = []
    callers = [threading.Thread(target=lambda: answers.append(call(line)[0])) for _ in range(5)]
    for caller in callers:
        caller.start()
    wait_until(lambda: busy.inside == 5)
    yield line
    busy.may_answer.set()
    for caller in callers:
        caller.join()
    assert answers == ["200 OK"] * 5


def test_who_comes_when_the_line_is_full_is_told_at_once_to_come_again(crowd):
    status, headers, body = call(crowd)

    assert status == "503 Service Unavailable"
    assert headers["Retry-After"] == "2"
    assert headers["Content-Length"] == str(len(body))
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (503, "overloaded")


def test_nobody_else_stands_in_that_line(crowd, busy):
    threading.Timer(0.2, busy.may_answer.set).start()

    assert call(crowd, "/health/live/")[0] == "200 OK"


def test_a_place_in_line_is_free_again_whatever_became_of_it():
    line = Shedding(Broken(), places=1)

    for _ in range(3):
        with pytest.raises(RuntimeError):
            call(line)


# --- the short way ---------------------------------------------------------------------------

BODY = b'{"_id": "d1", "type": "session.updated", "data": {"_id": "s1"}}'


def post(body=BODY, *, through=application, **environ):
    """Through the door as granian opens it: status, headers, body."""
    said = {}

    def start_response(status, headers, *_):
        said.update(status=int(status[:3]), headers=dict(headers))

    asked = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_EDRV_SIGNATURE": f"t={int(time.time())},v1={sign('new-secret', body)}",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        **environ,
    }
    answer = b"".join(through(asked, start_response))
    return said["status"], said["headers"], answer


def nobody(environ, start_response):
    raise AssertionError("asked for something that the short way should have answered")


@pytest.mark.django_db(transaction=True)
def test_a_good_webhook_is_stored_without_asking_django():
    assert post(through=ShortWay(nobody)) == (200, {"Content-Length": "0"}, b"")

    stored = WebhookDelivery.objects.get()
    assert (stored.external_id, bytes(stored.body), stored.state) == ("d1", BODY, "pending")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("body", "environ", "status", "code"),
    [
        (BODY, {"HTTP_EDRV_SIGNATURE": "nonsense"}, 401, "bad_signature"),
        (b"no JSON", {}, 400, "unreadable"),
        (b"x" * 1_000_001, {}, 413, "too_large"),
        (BODY, {"REQUEST_METHOD": "GET"}, 405, "method_not_allowed"),
        (BODY, {"CONTENT_LENGTH": ""}, 401, "bad_signature"),
    ],
)
def test_django_says_what_is_wrong_with_all_others(body, environ, status, code):
    answered, headers, problem = post(body, **environ)

    assert (answered, json.loads(problem)["code"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("body", "environ", "status"),
    [(BODY, {"HTTP_EDRV_SIGNATURE": "sha256=0"}, 401), (b"no JSON", {}, 400)],
)
def test_what_the_door_refuses_is_not_checked_again_behind_it(monkeypatch, body, environ, status):
    checked = []
    verify = webhooks.verify
    monkeypatch.setattr(webhooks, "verify", lambda **what: checked.append(what) or verify(**what))

    assert post(body, **environ)[0] == status
    assert len(checked) == 1


@pytest.mark.django_db(transaction=True)
def test_what_could_not_be_stored_is_to_be_sent_again(monkeypatch):
    monkeypatch.setattr(webhooks, "_STORE", "INSERT INTO nowhere SELECT %s, %s, %s, %s, %s")

    status, headers, body = post()

    assert (status, headers["Retry-After"], json.loads(body)["code"]) == (503, "5", "not_stored")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("behind_proxy", "environ", "is_taken"),
    [
        (False, {}, False),
        (False, {"HTTP_X_FORWARDED_PROTO": "https"}, False),
        (False, {"wsgi.url_scheme": "https"}, True),
        (True, {"HTTP_X_FORWARDED_PROTO": "https"}, True),
        (True, {"HTTP_X_FORWARDED_PROTO": "http"}, False),
    ],
)
def test_where_tls_is_asked_for_nothing_is_taken_without(settings, behind_proxy, environ, is_taken):
    settings.SECURE_SSL_REDIRECT = True
    settings.BEHIND_PROXY = behind_proxy
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    passed_on = []

    def redirecting(asked, start_response):
        passed_on.append(asked)
        start_response("301 Moved Permanently", [])
        return [b""]

    status, _, _ = post(through=ShortWay(redirecting), **environ)

    assert (status == 200, not passed_on) == (is_taken, is_taken)
    assert WebhookDelivery.objects.exists() == is_taken
