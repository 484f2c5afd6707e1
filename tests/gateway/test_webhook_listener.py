"""The listener of the webhooks, as its server calls it (ASGI)."""

import asyncio
import json
import threading
import time

import pytest

from chargers import webhooks
from chargers.edrv.signatures import sign
from chargers.models import WebhookDelivery
from gateway import webhook_listener
from gateway.webhook_door import PATH
from gateway.webhook_listener import Listener
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

BODY = b'{"_id": "d1", "type": "session.updated", "data": {"_id": "s1"}}'


def scope(body, *, path=PATH, method="POST", scheme="http", **headers):
    signature = f"t={int(time.time())},v1={sign('new-secret', body)}"
    said = {"edrv-signature": signature, **headers}
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in said.items()]
    return {"type": "http", "path": path, "method": method, "scheme": scheme, "headers": pairs}


async def asked(listener, asked_scope, pieces, *, hangs_up=False):
    """Status, headers and body of the answer; None where there is none."""
    messages = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) or hangs_up}
        for number, piece in enumerate(pieces, start=1)
    ]
    sent = []

    async def receive():
        if not messages:
            return {"type": "http.disconnect"}
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await listener(asked_scope, receive, send)
    if not sent:
        return None
    start, end = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, end["body"]


def post(body=BODY, *, pieces=None, hangs_up=False, **about):
    return asyncio.run(asked(Listener(), scope(body, **about), pieces or [body], hangs_up=hangs_up))


def test_a_good_webhook_is_stored_and_its_bell_rung(monkeypatch):
    rung = []
    monkeypatch.setattr(webhook_listener.inbox_bell, "ring_now", lambda: rung.append(1))

    assert post() == (200, {"content-length": "0"}, b"")

    stored = WebhookDelivery.objects.get()
    assert (stored.external_id, bytes(stored.body), stored.state) == ("d1", BODY, "pending")
    wait_until(lambda: rung == [1])


def test_a_body_may_come_in_pieces():
    assert post(pieces=[BODY[:10], b"", BODY[10:]])[0] == 200
    assert bytes(WebhookDelivery.objects.get().body) == BODY


@pytest.mark.parametrize(
    ("body", "about", "status", "code"),
    [
        (BODY, {"edrv_signature": "nonsense"}, 401, "bad_signature"),
        (BODY, {"edrv_signature": ""}, 401, "bad_signature"),
        (b"no JSON", {}, 400, "unreadable"),
        (b"x" * 1_000_001, {}, 413, "too_large"),
        (BODY, {"method": "GET"}, 405, "method_not_allowed"),
        (BODY, {"path": "/admin/"}, 404, "not_found"),
        (BODY, {"path": "/webhooks/edrv"}, 404, "not_found"),
    ],
)
def test_all_others_are_told_what_is_wrong(body, about, status, code):
    headers = {name.replace("_", "-"): text for name, text in about.items()}
    answered, headers, problem = post(body, **headers)

    assert (answered, json.loads(problem)["code"]) == (status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(problem))
    assert not WebhookDelivery.objects.exists()


def test_of_one_that_hangs_up_before_its_end_nothing_is_stored():
    assert post(pieces=[BODY], hangs_up=True) is None
    assert not WebhookDelivery.objects.exists()


def test_one_that_does_not_come_to_its_end_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(webhook_listener, "BODY_WITHIN_S", 0.05)
    sent = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    asyncio.run(Listener()(scope(BODY), receive, send))

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in list(sent[0]["headers"])


def test_what_could_not_be_stored_is_to_be_sent_again(monkeypatch):
    monkeypatch.setattr(webhooks, "_STORE", "INSERT INTO nowhere SELECT %s, %s, %s, %s, %s")

    status, headers, body = post()

    assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "5", "not_stored")


def test_who_comes_when_all_places_are_taken_is_told_at_once_to_come_again(monkeypatch):
    may_store, insert = threading.Event(), webhooks.insert
    monkeypatch.setattr(webhooks, "insert", lambda rows: (may_store.wait(20), insert(rows)))

    async def three_for_two_places():
        listener = Listener(places=2)
        waiting = [asyncio.create_task(asked(listener, scope(BODY), [BODY])) for _ in range(2)]
        while listener._inside < 2:
            await asyncio.sleep(0)
        turned_away = await asked(listener, scope(BODY), [BODY])
        may_store.set()
        return turned_away, [(await one)[0] for one in waiting]

    (status, headers, body), others = asyncio.run(three_for_two_places())

    assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "2", "overloaded")
    assert others == [200, 200]


def test_a_place_is_free_again_whatever_became_of_it():
    async def one_after_the_other():
        listener = Listener(places=1)
        for bad in (b"no JSON", BODY[:-1]):
            await asked(listener, scope(bad), [bad])
        return await asked(listener, scope(BODY), [BODY])

    assert asyncio.run(one_after_the_other())[0] == 200


@pytest.mark.parametrize(
    ("behind_proxy", "about", "is_taken"),
    [
        (False, {}, False),
        (False, {"x-forwarded-proto": "https"}, False),
        (False, {"scheme": "https"}, True),
        (True, {"x-forwarded-proto": "https"}, True),
        (True, {"x-forwarded-proto": "http"}, False),
    ],
)
def test_where_tls_is_asked_for_nothing_is_taken_without(settings, behind_proxy, about, is_taken):
    settings.SECURE_SSL_REDIRECT = True
    settings.BEHIND_PROXY = behind_proxy
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    status, _, _ = post(**about)

    assert status == (200 if is_taken else 403)
    assert WebhookDelivery.objects.exists() == is_taken


def test_it_says_that_it_is_alive():
    assert post(path="/health/live/", method="GET")[0] == 200
