"""What time alone does to the fleet: deadlines pass, workers vanish, the unknown becomes known.
Called by the sweep every second; idempotent, and cheap when there is nothing to do."""

from __future__ import annotations

from datetime import datetime

from chargers import dispatch, inbox, settlement
from chargers.models import WebhookDelivery
from chargers.retries import after_deadline
from chargers.tasks import dispatch_bell, inbox_bell


def tick(*, now: datetime) -> None:
    """Move everything whose time has come, and ring for whatever is left to do."""
    settlement.expire_deadlines(now=now, deadline=after_deadline())
    dispatch.close_lost_attempts(now=now)
    inbox.retry_waiting(now=now)
    if dispatch.is_any_due(now=now):
        dispatch_bell.ring()
    if WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING).exists():
        inbox_bell.ring()
