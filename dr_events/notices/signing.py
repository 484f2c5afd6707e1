"""Signatures of outgoing webhooks, by the Standard Webhooks specification (version 1.0.0,
standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

PREFIX = "whsec_"
KEY_BYTES = 32  # the specification asks for 24 to 64


def new_secret() -> str:
    """`whsec_` and the key in base64, as receivers' libraries take it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def headers(message_id: str, body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
    """The three headers of one attempt: the id stays the same when a message is sent again, the
    time does not."""
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
