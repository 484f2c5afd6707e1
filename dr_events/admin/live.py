"""The parts of an event's page that fetch themselves anew: figures, load curve, sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.http import urlencode

from chargers.admin.parts import draw_text, moment_at
from chargers.wording import clock_text, kilowatts_text, limit_text, time_text
from dr_events import curve, roster
from dr_events.admin.operations import Operations
from dr_events.admin.reasons import reason_text
from dr_events.admin.standing import figures_of
from dr_events.curve import Point
from dr_events.models import Event
from dr_events.roster import MOST_SHOWN, Narrowing, Row

FIGURES = "admin/dr_events/event/figures.html"
CURVE = "admin/dr_events/event/curve.html"
ROSTER = "admin/dr_events/event/roster.html"
# Two points further apart than this have a gap between them.
LONGEST_STRIDE = 4 * curve.SLOT
AHEAD = timedelta(minutes=10)
FILTER_WORDS = {
    "": "all sessions",
    roster.TROUBLE: "in trouble",
    "failed": "failed",
    "unreachable": "unreachable",
    roster.NON_RESPONSIVE: "not responsive",
    "pending": "pending",
    "not_complied": "confirmed, not complied yet",
    "confirmed": "confirmed",
    "exempt": "exempt",
    "ended": "ended",
    roster.UNRESTORED: "limit not proven gone",
}


class Live(Operations):
    """Mixed into a ModelAdmin of Event. A status other than the one the page was drawn for has it
    loaded anew: other things can be done with the event then."""

    def get_urls(self) -> list[URLPattern]:
        views = {"figures": self.figures_view, "curve": self.curve_view, "roster": self.roster_view}
        return [
            *(self.operation_url(name, f"<uuid:event_id>/{name}/", view)
              for name, view in views.items()),
            *super().get_urls(),
        ]  # fmt: skip

    def figures_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Times, counts, reasons."""
        event = self._visible(request, event_id)
        if request.GET.get("status") != event.status:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, FIGURES, figures_of(event, now=timezone.now()))

    def curve_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """The load curve as JSON in a page, and what it says now."""
        event = self._visible(request, event_id)
        return TemplateResponse(request, CURVE, curve_of(event, now=timezone.now()))

    def roster_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """The sessions, the worst first, as they are narrowed down."""
        event = self._visible(request, event_id)
        narrowing = Narrowing.read(request.GET)
        context = roster_of(
            event,
            narrowing,
            now=timezone.now(),
            may_operate=self.has_operate_permission(request),
        )
        return TemplateResponse(request, ROSTER, context)

    def _visible(self, request: HttpRequest, event_id: UUID) -> Event:
        if not request.user.has_perm("dr_events.view_event"):
            raise PermissionDenied
        return get_object_or_404(Event, pk=event_id)


def _times(now: datetime) -> dict[str, str]:
    return {"clock": clock_text(now), "utc": time_text(now, UTC)}


def curve_of(event: Event, *, now: datetime) -> dict[str, Any]:
    """For the chart and the line of figures above it."""
    points = curve.points_of(event, list(event.targets.values_list("type", "value")))
    latest = next((point for point in reversed(points) if point.power_w is not None), None)
    before_w = _before_w(event, points)
    named = {
        "metered": latest.power_w if latest else None,
        "expected": points[-1].expected_w if points else None,
        "limit": points[-1].limit_w if points else None,
        "before": before_w,
    }
    return {
        **_times(now),
        "event": event,
        "is_live": event.status in Event.UNFINISHED,
        "data": curve_json(event, points, before_w, now=now),
        "has_points": bool(points),
        "keys": [(name, kilowatts_text(watts)) for name, watts in named.items()],
    }


def _before_w(event: Event, points: list[Point]) -> float | None:
    """What the scope drew when the event started or, without that, the first that was metered."""
    if event.reference_w is not None:
        return event.reference_w
    return next((point.power_w for point in points if point.power_w is not None), None)


def curve_json(
    event: Event, points: list[Point], before_w: float | None, *, now: datetime
) -> dict[str, Any]:
    """Columns in kW by seconds since 1970, the times between which it is shown, and the bands."""
    shown = _with_gaps(points)
    starts_at = event.activated_at or event.starts_at
    first = shown[0].at if shown else starts_at
    return {
        "at": [point.at.timestamp() for point in shown],
        "metered": [_kilowatts(point.power_w) for point in shown],
        "limit": [_kilowatts(point.limit_w) for point in shown],
        "expected": [_kilowatts(point.expected_w) for point in shown],
        "before": [_kilowatts(before_w) for _ in shown],
        "from": min(first, starts_at).timestamp(),
        "to": _shown_to(event, shown, now).timestamp(),
        "bands": _bands(event),
        "zone": timezone.get_current_timezone_name(),
    }


def _with_gaps(points: list[Point]) -> list[Point]:
    """Where nothing was sampled for some time, a point of nothing: no line is drawn across it."""
    if len(points) < 2:
        return points
    strides = sorted(b.at - a.at for a, b in pairwise(points))
    longest = max(LONGEST_STRIDE, 3 * strides[len(strides) // 2])
    shown = [points[0]]
    for point in points[1:]:
        if point.at - shown[-1].at > longest:
            shown.append(Point(shown[-1].at + curve.SLOT, None))
        shown.append(point)
    return shown


def _kilowatts(watts: float | None) -> float | None:
    return None if watts is None else round(watts / 1000, 3)


def _shown_to(event: Event, points: list[Point], now: datetime) -> datetime:
    """To the end of the event, unless what has happened would be a sliver of that."""
    last = points[-1].at if points else now
    if event.ended_at:
        return max(last, event.ended_at) + timedelta(seconds=30)
    if event.ends_at is None:
        return now + AHEAD / 2
    elapsed = now - (points[0].at if points else event.starts_at)
    return min(event.ends_at + AHEAD / 5, now + max(AHEAD, elapsed))


def _bands(event: Event) -> list[list[float | None]]:
    """From, to: the event or, where it has steps, each of them; in seconds since 1970."""
    ended_at = event.ended_at or event.ends_at
    if not event.steps:
        begins = event.activated_at or event.starts_at
        return [[begins.timestamp(), ended_at.timestamp() if ended_at else None]]
    bands: list[list[float | None]] = []
    for step in event.steps:
        until = event.starts_at + step.ends_after if step.ends_after else ended_at
        if until and event.ended_at:
            until = min(until, event.ended_at)
        begins = event.starts_at + step.starts_after
        bands.append([begins.timestamp(), until.timestamp() if until else None])
    return bands


def roster_of(
    event: Event, narrowing: Narrowing, *, now: datetime, may_operate: bool
) -> dict[str, Any]:
    """The table of sessions, and what can be done with those it is narrowed down to."""
    rows = roster.rows_of(event.pk, narrowing)
    shown = rows[:MOST_SHOWN]
    can_retry = may_operate and event.status == Event.Status.ACTIVE
    retry_url = reverse("admin:dr_events_event_retry", args=[event.pk])
    return {
        **_times(now),
        "event": event,
        "is_live": event.status in Event.UNFINISHED,
        "narrowing": narrowing,
        "filters": [{"value": value, "words": FILTER_WORDS[value]} for value in FILTER_WORDS],
        "rows": [_shown_row(event, row, now=now, may_operate=may_operate) for row in shown],
        "more": len(rows) > MOST_SHOWN,
        "retry_url": _with_query(retry_url, narrowing.as_query())
        if can_retry and any(row.is_retriable for row in shown)
        else "",
    }


def _with_query(address: str, query: dict[str, str]) -> str:
    return f"{address}?{urlencode(query)}" if query else address


def _gone_text(row: Row) -> str:
    if row.is_running or not row.was_limited:
        return ""
    return f"The limit of this event is {'not proven gone yet' if row.is_unrestored else 'gone'}."


def _shown_row(event: Event, row: Row, *, now: datetime, may_operate: bool) -> dict[str, Any]:
    may_steer = may_operate and row.is_running and event.status == Event.Status.ACTIVE
    retry_url = reverse("admin:dr_events_event_retry", args=[event.pk])
    leave_url = reverse("admin:dr_events_event_opt_out", args=[event.pk])
    leaving = {"type": "session", "value": row.session, "kind": "exemption"}
    return {
        "row": row,
        "reason": f"{reason_text(row, row, now=now)} {_gone_text(row)}".strip(),
        "limit": limit_text(row.wanted if row.is_running else None),
        # A limit in watts is confirmed in amperes: whether it is, its state says.
        "is_open": row.is_running and row.wanted is not None and row.state != "confirmed",
        "draws": draw_text(row.power_w, row.metered_at, now=now),
        "metered_at": moment_at(row.metered_at, row.timezone),
        "retry_url": f"{retry_url}?{urlencode({'q': row.session})}"
        if may_steer and row.is_retriable
        else "",
        "exempt_url": f"{leave_url}?{urlencode(leaving)}"
        if may_steer and row.state != "exempt"
        else "",
    }
