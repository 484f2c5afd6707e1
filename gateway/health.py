"""Is it alive, is it ready, and what does it count?

/health/live/ says that this process answers; it is what a load balancer should ask, since
webhooks must be stored even while everything else is down. /health/ready/ says whether the whole
gateway can do its work; it is what an alarm should ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chargers import counters, inbox, inventory, pace
from chargers.models import Command, Heartbeat
from dr_events.pulse import OUTAGE_S, SWEPT
from dr_events.troubles import OVERDUE


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: ok or not, whether the gateway can work without it, and the figure."""

    ok: bool
    detail: str
    essential: bool = True
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "detail": self.detail, "seconds": self.seconds}


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """200 while this process answers."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 while every essential check is ok, else 503; `status` says ready, degraded or down."""
    checks = run_checks(now=timezone.now())
    is_ready = all(check.ok for check in checks.values() if check.essential)
    status = "ready" if all(check.ok for check in checks.values()) else "degraded"
    body = {
        "status": status if is_ready else "down",
        "checks": {name: check.as_json() for name, check in checks.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)


def run_checks(*, now: datetime) -> dict[str, Check]:
    """Every check by name. What needs the database is left out where that is away."""
    checks = {"database": _database(), "redis": redis_check()}
    if checks["database"].ok:
        for check in (_sweep, _oldest_due, _webhooks, _edrv):
            checks[check.__name__.strip("_")] = check(now)
    return checks


def _database() -> Check:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Check(False, type(error).__name__)
    return Check(True, "answers")


def redis_check() -> Check:
    """Whether Redis answers."""
    try:
        counters.connection().ping()
    except redis.RedisError as error:
        return Check(False, type(error).__name__)
    return Check(True, "answers")


def _sweep(now: datetime) -> Check:
    beat = Heartbeat.objects.filter(name=SWEPT).first()
    if beat is None:
        return Check(False, "has never run")
    age_s = (now - beat.at).total_seconds()
    return Check(age_s < OUTAGE_S, "seconds since the last sweep", seconds=round(age_s, 1))


def _oldest_due(now: datetime) -> Check:
    if pace.in_trouble():
        # One outage is one alarm: what waits for eDRV is counted there.
        return Check(True, "commands wait for eDRV: see edrv", essential=False)
    due = Command.due(now=now).order_by("next_attempt_at")
    oldest = due.values_list("next_attempt_at", flat=True).first()
    overdue_s = (now - oldest).total_seconds() if oldest else 0.0
    return Check(
        overdue_s < OVERDUE.total_seconds(),
        "seconds the oldest due command has been waiting",
        essential=False,
        seconds=round(overdue_s, 1),
    )


def _webhooks(now: datetime) -> Check:
    last = inbox.last_received_at()
    silent = inbox.is_silent(now=now)
    return Check(
        not silent,
        "silent while cars are charging" if silent else "seconds since the last webhook",
        essential=False,
        seconds=round((now - last).total_seconds(), 1) if last else None,
    )


def _edrv(now: datetime) -> Check:
    trouble = Heartbeat.objects.filter(name__in=(pace.TROUBLE, pace.UNREAD)).first()
    if not settings.EDRV_API_KEY:
        return Check(False, "no EDRV_API_KEY is set", essential=False)
    if trouble is None:
        answered = Heartbeat.objects.filter(name__in=(pace.OK, inventory.SYNCED)).exists()
        detail = "answers" if answered else "the fleet has not been read yet"
        return Check(answered, detail, essential=False)
    waiting = pace.commands_waiting(now=now)
    detail = f"{trouble.detail}; {waiting:,} commands wait for it" if waiting else trouble.detail
    lasting_s = (now - trouble.at).total_seconds()
    return Check(False, detail, essential=False, seconds=round(lasting_s, 1))
