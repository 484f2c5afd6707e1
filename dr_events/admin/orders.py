"""Declaring and amending from the admin: a form, then a page that says what will happen, then
the deed. The form is posted twice, to be previewed and to be confirmed."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from rest_framework.serializers import ValidationError

from chargers.admin.parts import actor_of, change_url, draw_text
from chargers.problems import Problem
from dr_events import declarations, intake, preview
from dr_events.admin import consequences, presets
from dr_events.admin.approving import must_propose, proposed
from dr_events.admin.form_errors import place_errors
from dr_events.admin.forms import AmendForm, DeclareForm, zone_text
from dr_events.admin.headlines import amendment_headline, declaration_headline
from dr_events.admin.operations import Operations, refused
from dr_events.admin.order_sheets import (
    OrderSheet,
    amendment,
    declaration,
    new_sheet,
    sheet_of,
)
from dr_events.admin.places import nodes_under
from dr_events.admin.suggestions import cap_rows, fleet_gap, hints_for, known_targets, names_of
from dr_events.admin.terms import changed_terms, declared_terms
from dr_events.admin.words import effects, release_effects
from dr_events.models import Event

SESSIONS_SHOWN = 25
FORM_PAGE = "admin/dr_events/event/order_form.html"
CONFIRM_PAGE = "admin/dr_events/event/order_confirm.html"
NOT_CARRIED = ("csrfmiddlewaretoken", "step")


class Orders(Operations):
    """Operations with a form."""

    def get_urls(self) -> list[URLPattern]:
        amend = self.operation_url("amend", "<uuid:event_id>/amend/", self.amend_view)
        return [amend, *super().get_urls()]

    # --- declare --------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Declare an event."""
        self.must_operate(request)
        sheet = new_sheet(request)
        if request.method != "POST":
            return self._form_page(request, sheet, key=uuid.uuid4().hex)
        key, now = _key_of(request), timezone.now()
        is_ready = sheet.is_valid() and request.POST.get("step") != "edit"
        data = declaration(sheet)
        try:
            if is_ready:
                return self._declare_or_confirm(request, data, key, now)
            declarations.read_new(data, now=now)
        except ValidationError as error:
            place_errors(sheet, error.detail)
        except Problem as problem:
            _place_problem(sheet.form, problem)
            key = uuid.uuid4().hex
        return self._form_page(request, sheet, key=key)

    def _declare_or_confirm(
        self, request: HttpRequest, data: dict[str, Any], key: str, now: datetime
    ) -> HttpResponse:
        if request.POST.get("step") != "confirm":
            return self._declare_confirm_page(request, data, now)
        if settings.APPROVAL_ROLES:
            seen = preview.preview(data, now=now)
            if must_propose(request, seen):
                declared = declarations.read_new(data, now=now)
                return proposed(
                    request,
                    data,
                    lambda: f"{declared.name}: {declaration_headline(seen, declared, now=now)}",
                    key=key,
                )
        done_by = actor_of(request)
        made = intake.declare(data, actor=done_by, now=now, idempotency_key=key)
        done = "is declared" if made.created else "had been declared already"
        messages.success(request, f"“{made.event}” {done}.")
        return redirect(change_url(made.event))

    def _declare_confirm_page(
        self, request: HttpRequest, data: dict[str, Any], now: datetime
    ) -> HttpResponse:
        seen = preview.preview(data, now=now)
        declared = declarations.read_new(data, now=now)
        amounts = [interval.amount for interval in declared.intervals] or [declared.amount]
        context = {
            "title": f"Declare “{declared.name}”?",
            "headline": declaration_headline(seen, declared, now=now),
            "must_propose": must_propose(request, seen),
            "terms": declared_terms(declared, now=now),
            "effects": effects(seen, declared.amount),
            "is_later": declared.starts_at is not None and declared.starts_at > now,
            "has_steps": len(amounts) > 1,
            "is_pause": seen.pausing or any(amount.is_pause for amount in amounts),
            "confirm_label": "Declare event",
            "leave_label": "Do not declare it",
            "hints": hints_for(declared.targets),
        }
        return self._confirm_page(request, seen, context)

    # --- amend ----------------------------------------------------------------------------

    def amend_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Amend a scheduled or active event."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        if event.is_over:
            return refused(request, event, f"The event is {event.status}: too late to amend it.")
        sheet = sheet_of(event, request)
        if request.method != "POST":
            return self._form_page(request, sheet, event=event)
        if sheet.is_valid() and request.POST.get("step") != "edit":
            try:
                return self._amend_or_confirm(request, event, sheet)
            except ValidationError as error:
                place_errors(sheet, error.detail)
            except Problem as problem:
                return refused(request, event, problem.detail)
        return self._form_page(request, sheet, event=event)

    def _amend_or_confirm(
        self, request: HttpRequest, event: Event, sheet: OrderSheet[AmendForm]
    ) -> HttpResponse:
        now = timezone.now()
        if event.revision != sheet.form.cleaned_data["revision"]:
            messages.error(
                request,
                "Nothing was changed: the event has changed since you opened this form. Here it "
                "is as it stands now.",
            )
            return redirect(request.path)
        data = amendment(sheet, event, now=now)
        if not data:
            messages.info(request, "Nothing was changed: the form says what the event says.")
            return redirect(change_url(event))
        if request.POST.get("step") != "confirm":
            return self._amend_confirm_page(request, event, data, now)
        if settings.APPROVAL_ROLES:
            found = consequences.of_amending(event.pk, data, actor=actor_of(request), now=now)
            if must_propose(request, found.seen):
                return proposed(
                    request, data, lambda: f"{event}: {amendment_headline(found)}", event
                )
        return self._amend(request, event, data, now)

    def _amend(
        self, request: HttpRequest, event: Event, data: dict[str, Any], now: datetime
    ) -> HttpResponse:
        with transaction.atomic():
            current = Event.objects.select_for_update(no_key=True).get(pk=event.pk)
            if current.revision != event.revision:
                raise Problem(409, "changed", "Nothing was changed: the event has just changed.")
            amended = intake.amend(event.pk, data, actor=actor_of(request), now=now)
        messages.success(request, f"“{amended}” is amended.")
        return redirect(change_url(event))

    def _amend_confirm_page(
        self, request: HttpRequest, event: Event, data: dict[str, Any], now: datetime
    ) -> HttpResponse:
        found = consequences.of_amending(event.pk, data, actor=actor_of(request), now=now)
        context = {
            "title": f"Amend “{event}”?",
            "event": event,
            "headline": amendment_headline(found),
            "must_propose": must_propose(request, found.seen),
            "terms": changed_terms(found, now=now),
            "effects": effects(found.seen, found.amount),
            "leaving": release_effects(found.released) if found.released.sessions else [],
            "is_later": found.event.status == Event.Status.SCHEDULED,
            "has_steps": bool(found.steps),
            "is_pause": found.seen.pausing or any(amount.is_pause for amount in found.amounts),
            "confirm_label": "Amend event",
            "leave_label": "Leave it as it is",
            "hints": hints_for(found.targets),
        }
        return self._confirm_page(request, found.seen, context)

    # --- pages ----------------------------------------------------------------------------

    def _form_page(
        self,
        request: HttpRequest,
        sheet: OrderSheet[Any],
        *,
        key: str = "",
        event: Event | None = None,
    ) -> HttpResponse:
        known = known_targets()
        context = {
            "title": f"Amend “{event}”" if event else "Declare event",
            "event": event,
            "sheet": sheet,
            "form": sheet.form,
            "targets": sheet.targets,
            "steps": sheet.steps,
            "key": key,
            "known": known,
            "limit_presets": presets.LIMITS,
            "duration_presets": presets.DURATIONS,
            "roots": nodes_under(),
            "preview_url": reverse("admin:dr_events_event_preview_amend", args=[event.pk])
            if event
            else reverse("admin:dr_events_event_preview"),
            "fleet_gap": fleet_gap(known),
            "zone": zone_text(),
        }
        return self.page(request, FORM_PAGE, context)

    def _confirm_page(
        self, request: HttpRequest, seen: preview.Preview, context: dict[str, Any]
    ) -> HttpResponse:
        lines = seen.lines[:SESSIONS_SHOWN]
        found = {
            "warnings": [warning["detail"] for warning in seen.warnings],
            "lines": [
                (line, names, _draw_of(line))
                for line, names in zip(lines, names_of(lines), strict=True)
            ],
            "more_lines": max(0, len(seen.lines) - SESSIONS_SHOWN),
            "caps": cap_rows(seen),
            "carried": _carried(request),
        }
        return self.page(request, CONFIRM_PAGE, {**context, **found})


def _draw_of(line: preview.Line) -> str:
    metering = line.facts.metering
    return draw_text(metering.power_w, metering.metered_at, now=timezone.now())


def _key_of(request: HttpRequest) -> str:
    """The idempotency key that was made with the form."""
    key = request.POST.get("key", "")
    return key if re.fullmatch("[0-9a-f]{32}", key) else uuid.uuid4().hex


def _carried(request: HttpRequest) -> list[tuple[str, str]]:
    """What was typed, to be posted again with the confirmation."""
    return [(name, str(request.POST[name])) for name in request.POST if name not in NOT_CARRIED]


def _place_problem(form: DeclareForm, problem: Problem) -> None:
    """A 409: the form's key or the id already stands for another event."""
    fields = {error.field for error in problem.errors}
    if "external_id" in fields:
        form.add_error("external_id", problem.detail)
    elif problem.code == "already_proposed":
        form.add_error(
            None,
            "This form was sent before, with other content, and that was proposed. Sent again, it "
            "makes a second proposal.",
        )
    elif "Idempotency-Key" in fields:
        form.add_error(
            None,
            "This form was sent before, with other content, and that event was declared. Sent "
            "again, it declares a second event.",
        )
    else:
        form.add_error(None, problem.detail)
