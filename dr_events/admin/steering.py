"""Retrying and extending from an event's page: what will happen is said first, and asked once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern
from django.utils import timezone
from rest_framework.serializers import ValidationError

from chargers.admin.parts import actor_of, change_url
from chargers.limits import TriedAgain
from chargers.problems import Problem
from chargers.wording import number_of, time_text
from dr_events import intake, retrying, roster
from dr_events.admin import consequences
from dr_events.admin.approving import must_propose, proposed
from dr_events.admin.headlines import amendment_headline
from dr_events.admin.operations import Operations, refused
from dr_events.admin.words import duration_text
from dr_events.models import Event
from dr_events.roster import Narrowing

RETRY_PAGE = "admin/dr_events/event/retry_confirm.html"
EXTEND_PAGE = "admin/dr_events/event/extend.html"
EXTENSIONS_MIN = (15, 30, 60, 120)


class Steering(Operations):
    """Mixed into a ModelAdmin of Event."""

    def get_urls(self) -> list[URLPattern]:
        views = {"retry": self.retry_view, "extend": self.extend_view}
        return [
            *(self.operation_url(name, f"<uuid:event_id>/{name}/", view)
              for name, view in views.items()),
            *super().get_urls(),
        ]  # fmt: skip

    def retry_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Try again at those of its sessions that the query string narrows down to."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        narrowing = Narrowing.read(request.GET)
        if request.method == "POST":
            try:
                done = retrying.retry(
                    event.pk, narrowing, actor=actor_of(request), now=timezone.now()
                )
            except Problem as problem:
                return refused(request, event, problem.detail)
            messages.success(request, retried_text(done))
            return redirect(change_url(event))
        sessions = len(roster.retriable_ids(event.pk, narrowing))
        if event.status != Event.Status.ACTIVE or not sessions:
            return refused(request, event, "None of these sessions is to be retried.")
        context = {
            "title": f"Try again at {number_of(sessions, 'session')}?",
            "event": event,
            "sessions": number_of(sessions, "session is", "sessions are"),
        }
        return self.page(request, RETRY_PAGE, context)

    def extend_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Let an active event end later."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        if event.status != Event.Status.ACTIVE:
            return refused(request, event, f"The event is {event.status}: it cannot be extended.")
        if event.ends_at is None:
            return refused(request, event, "It goes on until somebody ends it.")
        if event.steps:
            return refused(request, event, "It has steps: amend it to give them other times.")
        if request.method == "POST":
            return self._extend(request, event)
        context: dict[str, Any] = {
            "title": f"Extend “{event}”",
            "event": event,
            "ends": time_text(event.ends_at),
            "choices": [
                (minutes, f"by {duration_text(timedelta(minutes=minutes))}",
                 time_text(event.ends_at + timedelta(minutes=minutes)))
                for minutes in EXTENSIONS_MIN
            ],
        }  # fmt: skip
        return self.page(request, EXTEND_PAGE, context)

    def _extend(self, request: HttpRequest, event: Event) -> HttpResponse:
        """By what was shown: from the end that the page told, which may have moved since."""
        minutes = request.POST.get("minutes", "")
        assert event.ends_at is not None
        if minutes not in map(str, EXTENSIONS_MIN) or request.POST.get("ends") != time_text(
            event.ends_at
        ):
            return refused(request, event, "Nothing was changed: its end has moved meanwhile.")
        ends_at = event.ends_at + timedelta(minutes=int(minutes))
        data, actor, now = {"ends_at": ends_at.isoformat()}, actor_of(request), timezone.now()
        try:
            if settings.APPROVAL_ROLES:
                found = consequences.of_amending(event.pk, data, actor=actor, now=now)
                if must_propose(request, found.seen):
                    return proposed(
                        request, data, lambda: f"{event}: {amendment_headline(found)}", event
                    )
            intake.amend(event.pk, data, actor=actor, now=now)
        except Problem as problem:
            return refused(request, event, problem.detail)
        except ValidationError as error:
            return refused(request, event, f"Nothing was changed: {error.detail}")
        messages.success(request, f"“{event}” ends at {time_text(ends_at)}.")
        return redirect(change_url(event))


def retried_text(done: TriedAgain) -> str:
    """What became of it."""
    tried = done.sent_anew + done.hurried
    if not tried:
        return "Nothing is to be tried again: each of them is on its way."
    return f"{number_of(tried, 'session is', 'sessions are')} tried again now."
