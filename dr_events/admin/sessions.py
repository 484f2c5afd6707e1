"""What events mean to a session, on the session's own page: why it is at its limit, and its
timeline in one picture. Both follow while the session goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from chargers.admin.parts import anchor, draw_text, link, list_url, moment
from chargers.admin.pictures import picture_of
from chargers.admin.sessions import LATEST, SessionAdmin
from chargers.models import Session
from chargers.numerals import numeral
from chargers.wording import clock_text, limit_text, number_of, time_text, watts_text, words
from dr_events import explanation, roster
from dr_events.admin import lifting
from dr_events.admin.reasons import reason_text
from dr_events.explanation import Explanation
from dr_events.models import Event, Participation

OPERATE = "dr_events.operate_event"
LIVE = "admin/dr_events/session/live.html"


def told_of(session: Session, *, now: datetime, may_operate: bool) -> dict[str, Any]:
    """Why it is at its limit, who else would limit it, which caps it shares; and its picture."""
    explained = explanation.explain(session, now=now)
    plan = explained.plan
    runners_up = plan.runners_up if plan else ()
    binding = plan.binding if plan else None
    names = _names(ruling.event_id for ruling in runners_up) | _names([binding] if binding else [])
    return {
        "session": session,
        "is_live": session.is_open,
        "clock": clock_text(now),
        "utc": time_text(now, UTC),
        "why": explained.text,
        **_standing(session, binding, now=now, may_operate=may_operate),
        "binding": _event_link(binding, names) if binding else "",
        "runners_up": [
            (_event_link(one.event_id, names), limit_text(one.limit), watts_text(one.limit_w))
            for one in runners_up
        ],
        "caps": _caps(explained),
        "wanted": limit_text(session.wanted),
        "confirmed": limit_text(session.confirmed),
        "draws": draw_text(session.power_w, session.metered_at, now=now),
        "picture": picture_of(session, now=now),
    }


def _standing(
    session: Session, binding: UUID | None, *, now: datetime, may_operate: bool
) -> dict[str, str]:
    """Where it stands in the event that decides, and what can be done about it."""
    running = Participation.objects.filter(session=session, released_at=None)
    part = running.filter(event_id=binding).first() if binding else None
    if part is None:
        return {"standing": "", "state": "", "retry_url": ""}
    in_trouble = part.state in ("failed", "unreachable") or part.reason == roster.NON_RESPONSIVE
    address = reverse("admin:dr_events_event_retry", args=[binding])
    query = urlencode({"q": session.external_id})
    return {
        "standing": reason_text(part, session, now=now),
        "state": part.state,
        "retry_url": f"{address}?{query}" if in_trouble and may_operate else "",
    }


def _names(event_ids: Any) -> dict[UUID, str]:
    wanted = list(event_ids)
    return dict(Event.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}


def _event_link(event_id: UUID, names: dict[UUID, str]) -> str:
    address = reverse("admin:dr_events_event_change", args=[event_id])
    return anchor(address, names.get(event_id, event_id))


def _caps(explained: Explanation) -> list[str]:
    return [
        f"{name}: {watts_text(state.cap_w)} for {number_of(state.cars, 'session')}, of which "
        f"{numeral(state.paused)} paused; {watts_text(state.allowed_w)} shared out, "
        f"{watts_text(state.free_w)} drawn by who cannot be held"
        for name, state in explained.caps
    ]


def participation_rows(session: Session) -> dict[str, Any]:
    """The latest participations of a session, as unfold's table takes them."""
    found = Participation.objects.filter(session=session).select_related("event").order_by("-id")
    rows = [
        [
            link(part.event),
            link(part, part.get_state_display()),
            words(part.reason),
            "yes" if part.binding else "no",
            limit_text(part.wanted),
            limit_text(part.confirmed),
            moment(part.joined_at),
            moment(part.released_at),
        ]
        for part in found[:LATEST]
    ]
    headers = ["event", "state", "reason", "decides", "wanted", "confirmed", "joined", "released"]
    return {"headers": headers, "rows": rows}


class SessionInEventsAdmin(SessionAdmin):
    """A session, with why it is at its limit. `chargers` has never heard of an event, so this
    stands here, in the place of its own page."""

    change_form_outer_before_template = "admin/dr_events/session/before.html"

    def get_urls(self) -> list[URLPattern]:
        live = self.admin_site.admin_view(self.live_view)
        lift = self.admin_site.admin_view(self.lift_again_view)
        return [
            path("<int:session_id>/live/", live, name="chargers_session_live"),
            path("lift-again/", lift, name="chargers_session_lift_again"),
            *super().get_urls(),
        ]

    def lift_again_view(self, request: HttpRequest) -> HttpResponse:
        """Try again to lift the limits that an event left behind, or that are of no event."""
        if not request.user.has_perm(OPERATE):
            raise PermissionDenied
        everywhere = {**self.admin_site.each_context(request), "opts": self.opts}
        return lifting.view(request, everywhere)

    def live_view(self, request: HttpRequest, session_id: int) -> HttpResponse:
        """What changes on its page, alone."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        session = get_object_or_404(self.get_queryset(request), pk=session_id)
        return TemplateResponse(
            request,
            LIVE,
            told_of(
                session,
                now=timezone.now(),
                may_operate=request.user.has_perm(OPERATE),
            ),
        )

    def told(self, request: HttpRequest, thing: Session) -> dict[str, Any]:
        may_operate = request.user.has_perm(OPERATE)
        live = told_of(thing, now=timezone.now(), may_operate=may_operate)
        return {**super().told(request, thing), "live": live}

    def related_tables(self, thing: Session) -> list[dict[str, Any]]:
        everything = list_url(Participation, session__id__exact=thing.pk)
        mine = {
            "title": "Latest events it takes part in",
            "table": participation_rows(thing),
            "all": anchor(everything, "all participations"),
        }
        return [mine, *super().related_tables(thing)]


admin.site.unregister(Session)
admin.site.register(Session, SessionInEventsAdmin)
