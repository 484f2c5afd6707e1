"""Ending, cancelling, restoring and exporting an event from the admin. What it will do is said in
plain words first; it is done by `intake`, the one door. Declaring and amending are in `orders`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from chargers.admin.parts import actor_of, change_url
from chargers.problems import Problem
from dr_events import downloads, exports, intake, reports
from dr_events.admin import consequences
from dr_events.admin.words import release_effects, slope_text
from dr_events.models import Event
from dr_events.tasks import export_bell

STOPPED = {
    Event.Status.RESTORING: "has ended: every limit of it is being lifted",
    Event.Status.COMPLETED: "is completed: no limit of it is left",
    Event.Status.CANCELLED: "is cancelled",
}
RESTORE_PAGE = "admin/dr_events/event/restore_confirm.html"
STOP_PAGE = "admin/dr_events/event/stop_confirm.html"


class Operations:
    """Mixed into a ModelAdmin of Event."""

    admin_site: Any
    opts: Any

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dr_events.operate_event")

    def must_operate(self, request: HttpRequest) -> None:
        if not self.has_operate_permission(request):
            raise PermissionDenied

    def get_urls(self) -> list[URLPattern]:
        views = {
            "end": ("<uuid:event_id>/end/", self.end_view),
            "cancel": ("<uuid:event_id>/cancel/", self.cancel_view),
            "restore": ("<uuid:event_id>/restore/", self.restore_view),
            "report": ("<uuid:event_id>/report/<str:format_>/", require_POST(self.report_view)),
        }
        urls = [self.operation_url(name, route, view) for name, (route, view) in views.items()]
        return [*urls, *super().get_urls()]  # type: ignore[misc]

    def operation_url(self, name: str, route: str, view: Any) -> URLPattern:
        url: URLPattern = path(
            route, self.admin_site.admin_view(view), name=f"dr_events_event_{name}"
        )
        return url

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        everywhere = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**everywhere, **context})

    def end_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """End an active event now."""
        return self._stop(request, event_id, intake.end, "End")

    def cancel_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Cancel a scheduled or active event."""
        return self._stop(request, event_id, intake.cancel, "Cancel")

    def _stop(self, request: HttpRequest, event_id: UUID, stop: Any, verb: str) -> HttpResponse:
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        if request.method != "POST":
            return self._stop_page(request, event, verb)
        try:
            event = stop(event.pk, actor=actor_of(request), now=timezone.now())
        except Problem as problem:
            return refused(request, event, problem.detail)
        messages.success(request, f"“{event}” {STOPPED[event.status]}.")
        return redirect(change_url(event))

    def _stop_page(self, request: HttpRequest, event: Event, verb: str) -> HttpResponse:
        if event.is_over:
            return refused(request, event, f"The event is {event.status} already.")
        if verb == "End" and event.status == Event.Status.SCHEDULED:
            return refused(request, event, "The event has not begun: cancel it instead.")
        context = {
            "title": f"{verb} “{event}”?",
            "event": event,
            "verb": verb,
            "effects": release_effects(consequences.of_ending(event, now=timezone.now())),
            "slope": slope_text(event),
        }
        return self.page(request, STOP_PAGE, context)

    def restore_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Give all power back now, whatever slope was ordered."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        if request.method != "POST":
            return self._restore_page(request, event)
        try:
            self._restore_all(request, event)
        except Problem as problem:
            return refused(request, event, problem.detail)
        messages.success(request, f"“{event}” gives all power back now.")
        return redirect(change_url(event))

    def _restore_all(self, request: HttpRequest, event: Event) -> None:
        """An active event ends first; either both happens, or neither."""
        actor, now = actor_of(request), timezone.now()
        with transaction.atomic():
            if event.status == Event.Status.ACTIVE:
                intake.end(event.pk, actor=actor, now=now)
            intake.restore_at_once(event.pk, actor=actor, now=now)

    def _restore_page(self, request: HttpRequest, event: Event) -> HttpResponse:
        if event.status not in (Event.Status.ACTIVE, Event.Status.RESTORING):
            why = "nothing is limited by it"
            return refused(request, event, f"The event is {event.status}: {why}.")
        if event.restore_w_per_min is None or event.restore_at_once:
            return refused(request, event, "All its power comes back at once in any case.")
        context = {
            "title": f"Restore all of “{event}” now?",
            "event": event,
            "slope": slope_text(event),
            "effects": release_effects(consequences.of_ending(event, now=timezone.now())),
        }
        return self.page(request, RESTORE_PAGE, context)

    def report_view(self, request: HttpRequest, event_id: UUID, format_: str) -> HttpResponseBase:
        """The auditor's export. By POST, since it is recorded who took it. One that takes long is
        made in the background."""
        if not request.user.has_perm("dr_events.export_report"):
            raise PermissionDenied
        event = get_object_or_404(Event, pk=event_id)
        if format_ not in reports.FORMATS:
            raise Http404
        actor, now = actor_of(request), timezone.now()
        if not exports.is_long(event, format_):
            return downloads.report(event, format_, actor=actor, now=now)
        try:
            export = exports.request(event, format_, actor=actor, now=now)
        except Problem as problem:
            return refused(request, event, problem.detail)
        export_bell.ring()
        messages.success(request, "This one takes a while: it is being made, and will be here.")
        return redirect(change_url(export))


def refused(request: HttpRequest, event: Event, text: str) -> HttpResponse:
    """Back to the event, with why not."""
    messages.error(request, text)
    return redirect(change_url(event))
