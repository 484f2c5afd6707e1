"""The admin's first page: what runs now, what the fleet draws, and whether the gateway can do its
work. It is what somebody called at night looks at first, and what may stay open on a wall."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from chargers import load
from chargers.admin.grid import grid_rows
from chargers.admin.parts import list_url, moment
from chargers.models import ChargeStation, Session
from chargers.wording import clock_text, kilowatts_text, time_text
from dr_events import figures, scope
from dr_events.admin.standing import STATUS_COLOURS, bar_of, times_of
from dr_events.admin.words import order_text, progress_text, scope_text, steps_text, unknown_text
from dr_events.figures import Counts
from dr_events.models import Event
from dr_events.scope import Target
from gateway import attention

TEMPLATE = "admin/gateway/overview.html"
LIVE_TEMPLATE = "admin/gateway/overview_live.html"
MOST_EVENTS = 20
SHOWN_TIMES = ("starts", "ends", "ended")


def context(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """For UNFOLD's DASHBOARD_CALLBACK: to each person what they may see anyway."""
    return {**given, "title": "Control room", **told(request, now=timezone.now())}


def live(request: HttpRequest) -> HttpResponse:
    """What changes on the first page, alone, for the page that shows it."""
    return TemplateResponse(request, LIVE_TEMPLATE, told(request, now=timezone.now()))


def told(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """All that the first page says, in as many queries for one event and feeder as for many."""
    may = request.user.has_perm
    return {
        "as_of": moment(now),
        "clock": clock_text(now),
        "utc": time_text(now, UTC),
        "needs": attention.needs_now(request, now=now),
        "may_see_health": may("chargers.view_heartbeat"),
        "events": events_now() if may("dr_events.view_event") else None,
        "fleet": fleet_now(now=now) if may("chargers.view_session") else None,
        "grid": grid_rows(now=now) if may("chargers.view_site") else None,
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
    unknown = set(scope.unmatched([target for event in events for target in targets_of(event)]))
    now = timezone.now()
    return [
        {
            "event": event,
            "url": reverse("admin:dr_events_event_change", args=[event.pk]),
            "colour": STATUS_COLOURS[event.status],
            "order": steps_text(event.steps) or order_text(event.amount),
            "scope": scope_text(targets_of(event)),
            "gap": gap_text(event, counts[event.pk], unknown),
            "times": [told for told in times_of(event, now=now) if told[0] in SHOWN_TIMES],
            "counts": counts[event.pk],
            "progress": progress_text(counts[event.pk]),
            "bar": bar_of(counts[event.pk]),
            "trouble": counts[event.pk].failed
            + counts[event.pk].unreachable
            - waiting.get(event.pk, 0),
            "waiting": waiting.get(event.pk, 0),
        }
        for event in events
    ]


def targets_of(event: Event) -> list[Target]:
    """As they were read with the event."""
    return [(target.type, target.value) for target in event.targets.all()]


def gap_text(event: Event, counts: Counts, unknown: set[Target]) -> str:
    """Why an event holds nobody, or not all that it was meant to."""
    if event.is_over:
        return ""
    is_idle = event.status == Event.Status.ACTIVE and not counts.targeted
    told = unknown_text(targets_of(event), unknown)
    return told or ("Nobody takes part yet." if is_idle else "")


def _urgency(event: Event) -> int:
    order = (Event.Status.ACTIVE, Event.Status.RESTORING, Event.Status.SCHEDULED)
    return order.index(Event.Status(event.status))


def fleet_now(*, now: datetime) -> dict[str, Any]:
    """Cars charging, what they draw together, stations that cannot be reached."""
    charging, fresh = Session.objects.filter(ended_at=None), load.fresh(now=now)
    sums = charging.aggregate(
        cars=Count("pk"),
        metered=Count("power_w", filter=fresh),
        power_w=Sum("power_w", filter=fresh),
    )
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
