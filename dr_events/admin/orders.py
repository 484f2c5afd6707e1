"""Declaring and amending from the admin: a form, then a page that says what will happen, then
the deed. The form is posted twice, to be previewed and to be confirmed."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern
from django.utils import timezone
from rest_framework.serializers import ValidationError

from chargers.admin.parts import actor_of, change_url
from chargers.problems import Problem
from dr_events import declarations, intake, preview
from dr_events.admin import consequences
from dr_events.admin.form_errors import place_errors
from dr_events.admin.forms import (
    MOST_TARGET_ROWS,
    AmendForm,
    DeclareForm,
    TargetRows,
    Targets,
    zone_text,
)
from dr_events.admin.operations import Operations, refused
from dr_events.admin.suggestions import fleet_gap, hints_for, known_targets, names_of
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
        if request.method != "POST":
            return self._form_page(request, DeclareForm(), TargetRows(), key=uuid.uuid4().hex)
        form, targets, key = DeclareForm(request.POST), TargetRows(request.POST), _key_of(request)
        is_ready, now = _are_ready(request, form, targets), timezone.now()
        data = {**form.declaration(), "targets": targets.as_json()}
        try:
            if is_ready:
                return self._declare_or_confirm(request, data, key, now)
            declarations.read_new(data, now=now)
        except ValidationError as error:
            place_errors(form, targets, error.detail)
        except Problem as problem:
            _place_problem(form, problem)
            key = uuid.uuid4().hex
        return self._form_page(request, form, targets, key=key)

    def _declare_or_confirm(
        self, request: HttpRequest, data: dict[str, Any], key: str, now: datetime
    ) -> HttpResponse:
        if request.POST.get("step") != "confirm":
            return self._declare_confirm_page(request, data, now)
        declared = intake.declare(data, actor=actor_of(request), now=now, idempotency_key=key)
        done = "is declared" if declared.created else "had been declared already"
        messages.success(request, f"“{declared.event}” {done}.")
        return redirect(change_url(declared.event))

    def _declare_confirm_page(
        self, request: HttpRequest, data: dict[str, Any], now: datetime
    ) -> HttpResponse:
        seen = preview.preview(data, now=now)
        declaration = declarations.read_new(data, now=now)
        context = {
            "title": f"Declare “{declaration.name}”?",
            "terms": declared_terms(declaration, now=now),
            "effects": effects(seen, declaration.amount),
            "is_later": declaration.starts_at is not None and declaration.starts_at > now,
            "is_pause": declaration.amount.is_pause,
            "confirm_label": "Declare event",
            "leave_label": "Do not declare it",
            "hints": hints_for(declaration.targets),
        }
        return self._confirm_page(request, seen, context)

    # --- amend ----------------------------------------------------------------------------

    def amend_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Amend a scheduled or active event."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        if event.is_over:
            return refused(request, event, f"The event is {event.status}: too late to amend it.")
        if request.method != "POST":
            return self._form_page(request, AmendForm(event=event), _rows_of(event), event=event)
        form, targets = AmendForm(request.POST, event=event), _rows_of(event, request)
        if _are_ready(request, form, targets):
            try:
                return self._amend_or_confirm(request, event, form, targets)
            except ValidationError as error:
                place_errors(form, targets, error.detail)
            except Problem as problem:
                return refused(request, event, problem.detail)
        return self._form_page(request, form, targets, event=event)

    def _amend_or_confirm(
        self, request: HttpRequest, event: Event, form: AmendForm, targets: Targets | None
    ) -> HttpResponse:
        now = timezone.now()
        if event.revision != form.cleaned_data["revision"]:
            messages.error(
                request,
                "Nothing was changed: the event has changed since you opened this form. Here it "
                "is as it stands now.",
            )
            return redirect(request.path)
        data = {**form.amendment(now=now), **_changed_targets(event, targets)}
        if not data:
            messages.info(request, "Nothing was changed: the form says what the event says.")
            return redirect(change_url(event))
        if request.POST.get("step") != "confirm":
            return self._amend_confirm_page(request, event, data, now)
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
            "terms": changed_terms(found, now=now),
            "effects": effects(found.seen, found.event.amount),
            "leaving": release_effects(found.released) if found.released.sessions else [],
            "is_later": found.event.status == Event.Status.SCHEDULED,
            "is_pause": found.event.amount.is_pause,
            "confirm_label": "Amend event",
            "leave_label": "Leave it as it is",
            "hints": hints_for(found.targets),
        }
        return self._confirm_page(request, found.seen, context)

    # --- pages ----------------------------------------------------------------------------

    def _form_page(
        self,
        request: HttpRequest,
        form: DeclareForm | AmendForm,
        targets: Targets | None,
        *,
        key: str = "",
        event: Event | None = None,
    ) -> HttpResponse:
        known = known_targets()
        context = {
            "title": f"Amend “{event}”" if event else "Declare event",
            "event": event,
            "form": form,
            "targets": targets,
            "key": key,
            "known": known,
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
            "lines": list(zip(lines, names_of(lines), strict=True)),
            "more_lines": max(0, len(seen.lines) - SESSIONS_SHOWN),
            "carried": _carried(request),
        }
        return self.page(request, CONFIRM_PAGE, {**context, **found})


def _are_ready(
    request: HttpRequest, form: DeclareForm | AmendForm, targets: Targets | None
) -> bool:
    """Valid, and not come back to be edited. Both are looked at, so that all that is wrong is
    shown at once."""
    valid = [form.is_valid(), targets is None or targets.is_valid()]
    return all(valid) and request.POST.get("step") != "edit"


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
    elif "Idempotency-Key" in fields:
        form.add_error(
            None,
            "This form was sent before, with other content, and that event was declared. Sent "
            "again, it declares a second event.",
        )
    else:
        form.add_error(None, problem.detail)


def _rows_of(event: Event, request: HttpRequest | None = None) -> Targets | None:
    """The rows of an event's scope; None for more than a form can hold."""
    rows = list(event.targets.values("type", "value"))
    if len(rows) >= MOST_TARGET_ROWS:
        return None
    return TargetRows(request.POST) if request else TargetRows(initial=rows)


def _changed_targets(event: Event, targets: Targets | None) -> dict[str, Any]:
    if targets is None:
        return {}
    told = targets.as_json()
    stands = set(event.targets.values_list("type", "value"))
    is_changed = {(row["type"], row["value"] or "") for row in told} != stands
    return {"targets": told} if is_changed else {}
