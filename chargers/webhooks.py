"""The webhook endpoint: verify, store, 200. Thinking comes later, in `inbox`.

eDRV disables an endpoint that keeps failing, so this does as little as can be: one HMAC, one
INSERT. Anything but 200 means that nothing was stored.
"""

from __future__ import annotations

import hashlib
import time

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from chargers import counters
from chargers.edrv import payloads
from chargers.edrv.signatures import BadSignature, SignedContent, verify
from chargers.problems import Problem
from chargers.tasks import inbox_bell

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 5


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """POST /webhooks/edrv/. 200 with an empty body: stored (or stored before)."""
    signature = request.headers.get("edrv-signature", "")
    body = request.body
    _check_signature(signature, body)
    delivery = _read(body)
    try:
        _store(delivery, signature, body)
    except DatabaseError as error:
        log.error("webhook.not_stored", error=type(error).__name__)
        raise Problem(
            503,
            "not_stored",
            "The delivery could not be stored; send it again.",
            retry_after_s=RETRY_AFTER_S,
        ) from error
    inbox_bell.ring()
    return HttpResponse(status=200)


def _check_signature(signature: str, body: bytes) -> None:
    try:
        verify(
            header=signature,
            body=body,
            secrets=settings.EDRV_WEBHOOK_SECRETS,
            signed_content=SignedContent(settings.EDRV_WEBHOOK_SIGNED_CONTENT),
            now_s=time.time(),
            max_age_s=settings.EDRV_WEBHOOK_MAX_AGE_S,
        )
    except BadSignature as error:
        counters.count("webhook_refused", error.reason)
        log.warning("webhook.refused", reason=error.reason)
        raise Problem(
            401, "bad_signature", _EXPLANATIONS[error.reason], field="edrv-signature"
        ) from error


def _read(body: bytes) -> payloads.Delivery:
    try:
        return payloads.read_delivery(payloads.parse(body))
    except payloads.Unreadable as error:
        counters.count("webhook_refused", "unreadable")
        raise Problem(
            400, "unreadable", f"The body is no webhook: {error}", field="body"
        ) from error


def _store(delivery: payloads.Delivery, signature: str, body: bytes) -> None:
    external_id = delivery.id or hashlib.sha256(body).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            [external_id, delivery.type[:100], body, signature[:400], timezone.now()],
        )


_EXPLANATIONS = {
    "missing": "The header edrv-signature is missing.",
    "malformed": "The header edrv-signature is neither t=<time>,v1=<hex> nor sha256=<hex>.",
    "old": "The signature's time is too far from now.",
    "mismatch": "The signature does not fit the body and any configured secret.",
    "no_secret": "No webhook secret is configured (EDRV_WEBHOOK_SECRETS).",
}

_STORE = """
    INSERT INTO chargers_webhookdelivery (external_id, type, body, signature, received_at)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT (external_id, type) DO NOTHING
"""
