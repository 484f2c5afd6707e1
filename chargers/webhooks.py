"""The webhook endpoint: verify, store, 200. Thinking comes later, in `inbox`.

eDRV disables an endpoint that keeps failing, so this does as little as can be: one HMAC, and one
INSERT that those who come at the same time share. 200 is said once it is committed, and nothing
else is a promise that it is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from chargers import counters, sql
from chargers.edrv import payloads
from chargers.edrv.signatures import BadSignature, SignedContent, verify
from chargers.group_commit import GroupCommit, Outcomes
from chargers.problems import Problem
from chargers.tasks import inbox_bell

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 5
# Bytes of bodies that one INSERT takes: as text it is more than twice as long.
MOST_AT_ONCE = 4_000_000
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it is stored."""

    external_id: str
    type: str
    body: bytes
    signature: str
    received_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Waiting(Generic[Outcome]):
    """A delivery on its way into the database, and the future that is told of it."""

    row: Row
    outcome: Outcome


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """POST /webhooks/edrv/ at the port of the pages, where there is only one address to be given.
    200 with an empty body: stored (or stored before)."""
    try:
        row = read(request.headers.get("edrv-signature", ""), request.body)
    except (BadSignature, payloads.Unreadable) as error:
        raise refused(error) from error
    if trouble := store(row):
        raise not_stored(trouble) from trouble
    inbox_bell.ring_now()
    return HttpResponse(status=200)


def refused(error: BadSignature | payloads.Unreadable) -> Problem:
    """What its sender is told; counted and logged."""
    if isinstance(error, payloads.Unreadable):
        counters.count("webhook_refused", "unreadable")
        return Problem(400, "unreadable", f"The body is no webhook: {error}", field="body")
    counters.count("webhook_refused", error.reason)
    log.warning("webhook.refused", reason=error.reason)
    return Problem(401, "bad_signature", _EXPLANATIONS[error.reason], field="edrv-signature")


def read(signature: str, body: bytes) -> Row:
    """A delivery whose signature is good. Raises BadSignature, Unreadable."""
    verify(
        header=signature,
        body=body,
        secrets=settings.EDRV_WEBHOOK_SECRETS,
        signed_content=SignedContent(settings.EDRV_WEBHOOK_SIGNED_CONTENT),
        now_s=time.time(),
        max_age_s=settings.EDRV_WEBHOOK_MAX_AGE_S,
    )
    return row_of(payloads.read_delivery(payloads.parse(body)), signature, body)


def row_of(delivery: payloads.Delivery, signature: str, body: bytes) -> Row:
    """What has no id is known by its content."""
    external_id = delivery.id or hashlib.sha256(body).hexdigest()
    return Row(external_id, delivery.type[:100], body, signature[:400], timezone.now())


def not_stored(error: BaseException) -> Problem:
    """What its sender is told; logged."""
    log.error("webhook.not_stored", error=type(error).__name__)
    detail = "The delivery could not be stored; send it again."
    return Problem(503, "not_stored", detail, retry_after_s=RETRY_AFTER_S)


def commits(tell: Callable[[Outcomes[Waiting[Outcome]]], object]) -> GroupCommit[Waiting[Outcome]]:
    """Stores deliveries that come at the same time together, on one connection for all of them:
    however many come, they leave the others of the process to everything else."""
    return GroupCommit(
        lambda waiting: insert([one.row for one in waiting]),
        tell=tell,
        weight=lambda one: len(one.row.body),
        most=MOST_AT_ONCE,
    )


def store(row: Row) -> BaseException | None:
    """Returns once it is stored, with None, or with what has kept it from that."""
    one = Waiting(row, Future[BaseException | None]())
    _commits.submit(one)
    return one.outcome.result()


def _tell(outcomes: Outcomes[Waiting[Future[BaseException | None]]]) -> None:
    for one, error in outcomes:
        one.outcome.set_result(error)


def insert(rows: Sequence[Row]) -> None:
    """In one order everywhere: two processes that were sent the same would otherwise wait for each
    other."""
    ordered = sorted(rows, key=lambda row: (row.external_id, row.type))
    records = [
        (row.external_id, row.type, row.body, row.signature, row.received_at) for row in ordered
    ]
    sql.run(_STORE, sql.columns(records, 5))


_commits = commits(_tell)

_EXPLANATIONS = {
    "missing": "The header edrv-signature is missing.",
    "malformed": "The header edrv-signature is neither t=<time>,v1=<hex> nor sha256=<hex>.",
    "old": "The signature's time is too far from now.",
    "mismatch": "The signature does not fit the body and any configured secret.",
    "no_secret": "No webhook secret is configured (EDRV_WEBHOOK_SECRETS).",
}

# Why a delivery may be refused.
REFUSALS = (*_EXPLANATIONS, "unreadable")

_STORE = """
    INSERT INTO chargers_webhookdelivery (external_id, type, body, signature, received_at)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::timestamptz[])
        ON CONFLICT (external_id, type) DO NOTHING
"""
