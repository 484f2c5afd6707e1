"""Signatures, against the specification's own example and its reference library."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from dr_events.notices import signing

# From the test vectors that the libraries of Standard Webhooks share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
AT = datetime.fromtimestamp(1614265330, UTC)


def test_the_specification_s_example_is_signed_as_it_says() -> None:
    found = signing.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, secret=SECRET, now=AT)

    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_reference_library_accepts_a_signature_and_no_other_body() -> None:
    secret, now = signing.new_secret(), datetime.now(UTC)
    headers = signing.headers("msg_1", BODY, secret=secret, now=now)

    assert Webhook(secret).verify(BODY, headers) == {"test": 2432232314}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(BODY, headers)


def test_a_secret_has_as_many_bytes_as_the_specification_asks_for() -> None:
    key = base64.b64decode(signing.new_secret().removeprefix("whsec_"), validate=True)

    assert 24 <= len(key) <= 64
    assert signing.new_secret() != signing.new_secret()
