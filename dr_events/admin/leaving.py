"""Taking a session, chargestation or site out of an event, and back in: a form, a page that says
what will happen, then the deed, which `opt_outs` does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern
from django.utils import timezone
from rest_framework.serializers import ValidationError
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from chargers.admin.parts import actor_of, change_url
from chargers.problems import Problem
from dr_events import opt_outs
from dr_events.admin import consequences
from dr_events.admin.operations import Operations, refused
from dr_events.admin.standing import can_return
from dr_events.admin.suggestions import known_targets
from dr_events.admin.words import leaving_effects, returning_effects, target_text
from dr_events.models import Event, OptOut

FORM_PAGE = "admin/dr_events/event/opt_out_form.html"
CONFIRM_PAGE = "admin/dr_events/event/opt_out_confirm.html"


class OptOutForm(forms.Form):
    """Who leaves, and why."""

    type = forms.ChoiceField(
        label="What",
        choices=OptOut.Type.choices,
        initial=OptOut.Type.SESSION,
        widget=UnfoldAdminSelectWidget({"data-target-type": ""}),
    )
    value = forms.CharField(
        label="eDRV id",
        max_length=64,
        widget=UnfoldAdminTextInputWidget({"data-target-value": "", "autocomplete": "off"}),
    )
    kind = forms.ChoiceField(
        label="Why",
        choices=[
            (OptOut.Kind.OPT_OUT, "its driver or owner opts out (counts among those of the year)"),
            (OptOut.Kind.EXEMPTION, "we exempt it"),
        ],
        initial=OptOut.Kind.OPT_OUT,
        widget=UnfoldAdminRadioSelectWidget,
    )
    reason = forms.CharField(
        label="Reason",
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="For whoever reads the report later.",
    )


class OptOuts(Operations):
    """Mixed into a ModelAdmin of Event."""

    def get_urls(self) -> list[URLPattern]:
        views = {
            "opt_out": ("<uuid:event_id>/opt_out/", self.opt_out_view),
            "withdraw": ("<uuid:event_id>/opt_out/<int:opt_out_id>/", self.withdraw_view),
        }
        urls = [self.operation_url(name, route, view) for name, (route, view) in views.items()]
        return [*urls, *super().get_urls()]

    def opt_out_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Take something out of a scheduled or active event."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        if event.is_over:
            return refused(request, event, f"The event is {event.status}: too late to leave it.")
        if request.method != "POST":
            asked_for = {
                name: request.GET[name] for name in ("type", "value", "kind") if name in request.GET
            }
            return self._opt_out_form(request, event, OptOutForm(initial=asked_for))
        form = OptOutForm(request.POST)
        if form.is_valid() and request.POST.get("step") != "edit":
            try:
                return self._opt_out_or_confirm(request, event, form.cleaned_data)
            except ValidationError as error:
                _place_errors(form, error.detail)
            except Problem as problem:
                form.add_error(None, problem.detail)
        return self._opt_out_form(request, event, form)

    def _opt_out_or_confirm(
        self, request: HttpRequest, event: Event, data: dict[str, Any]
    ) -> HttpResponse:
        what = target_text(data["type"], data["value"])
        actor, now = actor_of(request), timezone.now()
        if request.POST.get("step") != "confirm":
            leaving = consequences.of_opting_out(event.pk, data, actor=actor, now=now)
            context = {
                "title": f"Take {what} out of “{event}”?",
                "event": event,
                "effects": leaving_effects(leaving),
                "confirm_label": f"Take {what.partition(' ')[0]} out",
                "carried": data.items(),
            }
            return self.page(request, CONFIRM_PAGE, context)
        done = opt_outs.opt_out(event.pk, data, actor=actor, now=now)
        is_new = f"is {done.opt_out.get_kind_display()}" if done.created else "had left already"
        messages.success(request, f"{what.capitalize()} {is_new}: “{event}” leaves it alone.")
        return redirect(change_url(event))

    def _opt_out_form(self, request: HttpRequest, event: Event, form: OptOutForm) -> HttpResponse:
        offered = dict(known_targets())
        context = {
            "title": f"Take out of “{event}”",
            "event": event,
            "form": form,
            "known": [(type_, offered[type_]) for type_ in OptOut.Type if type_ in offered],
        }
        return self.page(request, FORM_PAGE, context)

    def withdraw_view(self, request: HttpRequest, event_id: UUID, opt_out_id: int) -> HttpResponse:
        """Have the event limit it again."""
        self.must_operate(request)
        opted = get_object_or_404(OptOut, pk=opt_out_id, event_id=event_id)
        event, actor, now = opted.event, actor_of(request), timezone.now()
        what = target_text(opted.type, opted.value)
        if not can_return(opted, event):
            why = f"the event is {event.status}" if event.is_over else "it is withdrawn already"
            return refused(request, event, f"Nothing was changed: {why}.")
        if request.method == "POST":
            opt_outs.withdraw(event.pk, opted.pk, actor=actor, now=now)
            messages.success(request, f"“{event}” aims at {what} again.")
            return redirect(change_url(event))
        returning = consequences.of_withdrawing(opted, actor=actor, now=now)
        context = {
            "title": f"Take {what} back into “{event}”?",
            "event": event,
            "effects": returning_effects(returning, opted),
            "confirm_label": "Withdraw it",
            "carried": (),
        }
        return self.page(request, CONFIRM_PAGE, context)


def _place_errors(form: OptOutForm, detail: Any) -> None:
    for name, texts in detail.items():
        for text in texts:
            form.add_error(name if name in form.fields else None, text[:1].upper() + text[1:])
