"""Lifting again what limits were left behind: what will happen is said first, and asked once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from chargers.admin.parts import actor_of, list_url
from chargers.models import Session
from chargers.wording import number_of
from dr_events import retrying, troubles
from dr_events.models import Event
from dr_events.roster import UNRESTORED

PAGE = "admin/dr_events/session/lift_confirm.html"


def view(request: HttpRequest, everywhere: dict[str, Any]) -> HttpResponse:
    """By GET how many sessions it would be, by POST done. `event` in the query string: whose
    limits; without it, those of no event."""
    event = _event_of(request)
    event_id = event.pk if event else None
    now = timezone.now()
    if request.method == "POST":
        done = retrying.lift_again(event_id, actor=actor_of(request), now=now)
        tried = done.sent_anew + done.hurried
        sessions = number_of(tried, "limit is", "limits are")
        said = f"{sessions} being lifted again now." if tried else "Each of them is on its way."
        messages.success(request, said)
        return redirect("admin:index")
    count = len(troubles.stuck_ids(event_id, now=now))
    if not count:
        messages.success(request, "No limit is left behind any more.")
        return redirect("admin:index")
    sessions = number_of(count, "session")
    context = {
        "title": f"Lift the limits of {sessions} again?",
        "event": event,
        "which_url": _which_url(event),
    }
    them = number_of(count, "session has", "sessions have")
    return TemplateResponse(request, PAGE, {**everywhere, **context, "sessions": them})


def _which_url(event: Event | None) -> str:
    if event is None:
        return list_url(Session, open="yes", may_be_limited__exact=1)
    address = reverse("admin:dr_events_event_change", args=[event.pk])
    return f"{address}?{urlencode({'state': UNRESTORED})}"


def _event_of(request: HttpRequest) -> Event | None:
    told = request.GET.get("event")
    if not told:
        return None
    try:
        event = Event.objects.filter(pk=UUID(told)).first()
    except ValueError:
        event = None
    if event is None:
        raise Http404
    return event
