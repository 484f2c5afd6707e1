"""POST /webhooks/edrv/: 200 means stored, anything else means not."""

import time

import orjson
import pytest
from django.db import transaction

from chargers import counters, webhooks
from chargers.edrv.signatures import sign
from chargers.models import WebhookDelivery

# Another thread commits.
pytestmark = pytest.mark.django_db(transaction=True)

URL = "/webhooks/edrv/"
BODY = orjson.dumps({"_id": "d1", "type": "session.updated", "data": {"_id": "s1"}})


def signature(body=BODY, secret="new-secret", at=None):
    return f"t={int(at or time.time() * 1000)},v1={sign(secret, body)}"


def post(client, body=BODY, header=None):
    return client.post(
        URL,
        data=body,
        content_type="application/json",
        headers={"edrv-signature": header or signature(body)},
    )


def problem(response):
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    return response.status_code, body["code"], [error["field"] for error in body["errors"]]


def test_a_delivery_is_stored_as_it_came_and_answered_with_nothing(client):
    response = post(client)

    stored = WebhookDelivery.objects.get()
    assert (response.status_code, response.content) == (200, b"")
    assert (stored.external_id, stored.type, bytes(stored.body)) == ("d1", "session.updated", BODY)
    assert stored.state == "pending"


@pytest.mark.parametrize("secret", ["new-secret", "old-secret"])
def test_the_old_secret_holds_until_it_is_taken_away(client, settings, secret):
    assert post(client, header=signature(secret=secret)).status_code == 200

    settings.EDRV_WEBHOOK_SECRETS = ["new-secret"]
    rotated = post(client, header=signature(secret=secret)).status_code
    assert rotated == (200 if secret == "new-secret" else 401)


def test_the_same_delivery_again_is_stored_once(client):
    for _ in range(3):
        assert post(client).status_code == 200

    assert WebhookDelivery.objects.count() == 1


def test_a_delivery_without_an_id_is_known_by_its_content(client):
    body = orjson.dumps({"type": "session.updated", "data": {}})
    post(client, body)
    post(client, body)

    assert len(WebhookDelivery.objects.get().external_id) == 64


@pytest.mark.parametrize(
    ("header", "reason"),
    # Signed when the test runs: one signed at collection has grown old by then.
    [
        (lambda: "nonsense", "malformed"),
        (lambda: signature(secret="guessed"), "mismatch"),
        (lambda: signature(at=(time.time() - 600) * 1000), "old"),
        (lambda: signature(b"another body"), "mismatch"),
    ],
    ids=["malformed", "secret", "old", "body"],
)
def test_a_bad_signature_stores_nothing_and_is_counted(client, header, reason):
    before = counters.all_counts().get(("webhook_refused", reason), 0)

    response = post(client, header=header())

    assert problem(response) == (401, "bad_signature", ["edrv-signature"])
    assert not WebhookDelivery.objects.exists()
    assert counters.all_counts()["webhook_refused", reason] == before + 1


def test_a_missing_signature_is_a_bad_one(client):
    response = client.post(URL, data=BODY, content_type="application/json")

    assert problem(response) == (401, "bad_signature", ["edrv-signature"])


def test_without_secrets_nobody_is_believed(client, settings):
    settings.EDRV_WEBHOOK_SECRETS = []

    assert problem(post(client, header=signature(secret="")))[0] == 401


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe", b"[]", b'"text"', b"", b"NaN"])
def test_a_signed_body_that_is_no_webhook_is_said_so(client, body):
    assert problem(post(client, body)) == (400, "unreadable", ["body"])
    assert not WebhookDelivery.objects.exists()


def test_a_body_that_is_too_large_is_not_read(client):
    assert problem(post(client, b"x" * 1_000_001)) == (413, "too_large", ["body"])


def test_only_post_is_for_webhooks(client):
    assert client.get(URL).status_code == 405


def test_what_could_not_be_stored_is_not_answered_200(client, monkeypatch):
    monkeypatch.setattr(webhooks, "_STORE", "INSERT INTO nowhere SELECT %s, %s, %s, %s, %s")

    with transaction.atomic():
        response = post(client)
        transaction.set_rollback(True)

    assert problem(response) == (503, "not_stored", [])
    assert response.headers["Retry-After"] == "5"


def test_csrf_is_no_matter_to_edrv():
    from django.test import Client

    assert post(Client(enforce_csrf_checks=True)).status_code == 200


# --- forgery and replay ---------------------------------------------------------------------


def test_a_captured_delivery_takes_no_effect_again_under_a_new_time(client):
    """Where the body alone is signed anybody can put another time in front of the signature."""
    post(client)

    for seconds in (1, 2, 3):
        header = signature(at=(time.time() + seconds) * 1000)
        assert post(client, header=header).status_code == 200

    assert WebhookDelivery.objects.count() == 1


def test_a_captured_delivery_cannot_be_given_a_new_time_where_the_time_is_signed(client, settings):
    settings.EDRV_WEBHOOK_SIGNED_CONTENT = "t.body"
    at = int(time.time() * 1000)
    signed = sign("new-secret", f"{at}.".encode() + BODY)

    assert post(client, header=f"t={at},v1={signed}").status_code == 200
    assert post(client, header=f"t={at + 1000},v1={signed}").status_code == 401


def test_a_stored_delivery_is_not_overwritten_by_another_of_its_id(client):
    post(client)
    forged = orjson.dumps({"_id": "d1", "type": "session.updated", "data": {"_id": "other"}})

    assert post(client, forged).status_code == 200
    assert bytes(WebhookDelivery.objects.get().body) == BODY


@pytest.mark.parametrize(
    "changed", [BODY + b" ", BODY[:-1], BODY.replace(b"d1", b"d2"), BODY.swapcase(), b"{}"]
)
def test_a_signature_holds_for_its_body_to_the_byte(client, changed):
    assert problem(post(client, changed, header=signature()))[0] == 401


@pytest.mark.parametrize("given", ["", "0" * 63, "0" * 64, "0" * 65, "é" * 64])
def test_a_signature_of_any_length_is_compared_and_refused(client, given):
    assert problem(post(client, header=f"t={int(time.time())},v1={given}"))[0] == 401
