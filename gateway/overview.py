"""The admin's first page: what runs now, what the fleet draws, and whether the gateway can do its
work. It is what somebody called at night looks at first, and what may stay open on a wall."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from chargers.admin.parts import list_url
from chargers.models import ChargeStation, Session
from chargers.wording import kilowatts_text, time_text, words
from dr_events import figures
from dr_events.admin.standing import STATUS_COLOURS, times_of
from dr_events.admin.words import order_text, progress_text, scope_text, steps_text
from dr_events.models import Event
from gateway import health

TEMPLATE = "admin/gateway/overview.html"
MOST_EVENTS = 20
NO_KEY = "edrv: no EDRV_API_KEY is set, so no charger can be read or limited"


def context(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """For UNFOLD's DASHBOARD_CALLBACK: to each person what they may see anyway."""
    may = request.user.has_perm
    return {
        **given,
        "title": "Control room",
        "as_of": time_text(timezone.now()),
        "events": events_now() if may("dr_events.view_event") else None,
        "fleet": fleet_now() if may("chargers.view_session") else None,
        "troubles": troubles_now() if may("chargers.view_heartbeat") else None,
        "declare_url": reverse("admin:dr_events_event_add")
        if may("dr_events.operate_event")
        else "",
    }


def events_now() -> list[dict[str, Any]]:
    """Events that run, are being restored or are to come: running ones first."""
    found = Event.objects.filter(status__in=Event.UNFINISHED).prefetch_related(
        "targets", "intervals"
    )
    events = sorted(found.order_by("starts_at")[:MOST_EVENTS], key=_urgency)
    counts = figures.counts_of(event.pk for event in events)
    waiting = figures.waiting_for_edrv(event.pk for event in events)
    now = timezone.now()
    return [
        {
            "event": event,
            "url": reverse("admin:dr_events_event_change", args=[event.pk]),
            "colour": STATUS_COLOURS[event.status],
            "order": steps_text(event.steps) or order_text(event.amount),
            "scope": scope_text([(target.type, target.value) for target in event.targets.all()]),
            "times": [told for told in times_of(event, now=now) if told[0] in ("starts", "ends")],
            "counts": counts[event.pk],
            "progress": progress_text(counts[event.pk]),
            "trouble": counts[event.pk].failed
            + counts[event.pk].unreachable
            - waiting.get(event.pk, 0),
            "waiting": waiting.get(event.pk, 0),
        }
        for event in events
    ]


def _urgency(event: Event) -> int:
    order = (Event.Status.ACTIVE, Event.Status.RESTORING, Event.Status.SCHEDULED)
    return order.index(Event.Status(event.status))


def fleet_now() -> dict[str, Any]:
    """Cars charging, what they draw together, stations that cannot be reached."""
    charging = Session.objects.filter(ended_at=None)
    sums = charging.aggregate(cars=Count("pk"), metered=Count("power_w"), power_w=Sum("power_w"))
    return {
        **sums,
        "power": kilowatts_text(sums["power_w"]),
        "unmetered": sums["cars"] - sums["metered"],
        "limited": charging.filter(may_be_limited=True).count(),
        "offline": ChargeStation.objects.filter(online=False).count(),
        "charging_url": list_url(Session, open="yes"),
        "limited_url": list_url(Session, open="yes", may_be_limited__exact=1),
        "offline_url": list_url(ChargeStation, online__exact=0),
    }


def troubles_now() -> list[str]:
    """What an alarm would be about, in the words of /health/ready/."""
    found = [
        f"{words(name)}: {check.detail}"
        + (f" ({check.seconds:,.0f} s)" if check.seconds is not None else "")
        for name, check in health.run_checks(now=timezone.now()).items()
        if not check.ok
    ]
    return found if settings.EDRV_API_KEY else [*found, NO_KEY]
