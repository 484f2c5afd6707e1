"""The records of fact: commands, attempts, deliveries, readings (the audit trail is in `trail`).
Nobody adds, changes or deletes one; these pages only show them."""

from __future__ import annotations

import orjson
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, FieldTextFilter

from chargers.admin.pages import BigTableAdmin, PeriodFilter, ReadOnlyInline
from chargers.admin.parts import (
    column,
    edrv_id_column,
    link,
    link_column,
    moment_column,
    preformatted,
    pretty_json,
    quantity_column,
    state_column,
    value_column,
    yes_no_column,
)
from chargers.admin.sessions import COMMAND_COLOURS, percent_text, what_text
from chargers.models import (
    Attempt,
    Command,
    MeterReading,
    WebhookDelivery,
    as_limit,
)
from chargers.wording import GAP, amperes_text, energy_text, limit_text, watts_text, words

DELIVERY_COLOURS = {
    "pending": "info",
    "waiting": "warning",
    "applied": "success",
    "ignored": "",
    "failed": "danger",
}


def _outcome(attempt: Attempt) -> str:
    return words(attempt.outcome) if attempt.outcome else "in flight"


def _attempt_limit(attempt: Attempt) -> str:
    return limit_text(as_limit(attempt.unit, attempt.value))


def _next_step(command: Command) -> str:
    """Once settled, nothing is left to be done: the last step would only mislead."""
    return command.get_step_display() if command.next_attempt_at else GAP


reason_column = value_column("reason", "reason", words)
cause_column = value_column("cause", "because of", lambda cause: cause or GAP)
http_status_column = value_column(
    "http_status", "HTTP status", lambda status: GAP if status is None else str(status)
)
what_column = column("what", "command", what_text)
next_step_column = column("next_step", "next step", _next_step)
outcome_column = column("outcome_text", "outcome", _outcome)
attempt_limit_column = column("limit", "limit", _attempt_limit)


class AttemptInline(ReadOnlyInline):
    model = Attempt
    verbose_name_plural = "attempts"
    fields = (
        column("number_link", "attempt", lambda attempt: link(attempt, attempt.number)),
        "verb",
        attempt_limit_column,
        moment_column("sent_at", "sent"),
        moment_column("answered_at", "answered"),
        http_status_column,
        outcome_column,
    )


@admin.register(Command)
class CommandAdmin(BigTableAdmin):
    list_display = (
        "id",
        what_column,
        link_column("session"),
        link_column("session.chargestation.site", "site"),
        state_column("state", COMMAND_COLOURS),
        reason_column,
        cause_column,
        "attempts",
        moment_column("created_at", "created"),
        moment_column("accepted_at", "accepted"),
    )
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        ("kind", ChoicesCheckboxFilter),
        ("reason", FieldTextFilter),
        ("created_at", PeriodFilter),
    )
    search_fields = ("session__external_id__startswith",)
    search_help_text = "Id of a session, or how it begins"
    inlines = (AttemptInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    what_column,
                    link_column("session"),
                    link_column("session.chargestation", "chargestation"),
                    link_column("session.chargestation.site", "site"),
                    "generation",
                    state_column("state", COMMAND_COLOURS),
                    reason_column,
                    cause_column,
                    quantity_column("expected_relief_w", "expected relief", watts_text),
                )
            },
        ),
        (
            "Course",
            {
                "fields": (
                    next_step_column,
                    moment_column("next_attempt_at", "next step at"),
                    "attempts",
                    "rejections",
                    moment_column("created_at"),
                    moment_column("first_sent_at"),
                    moment_column("accepted_at"),
                    moment_column("settled_at"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Command]:
        found: QuerySet[Command] = super().get_queryset(request)
        return found.select_related("session__chargestation__site")


@admin.register(Attempt)
class AttemptAdmin(BigTableAdmin):
    list_display = (
        "id",
        link_column("command"),
        link_column("session"),
        "number",
        "verb",
        attempt_limit_column,
        moment_column("sent_at", "sent"),
        moment_column("answered_at", "answered"),
        http_status_column,
        outcome_column,
    )
    list_select_related = ("command", "session")
    list_filter = (
        ("verb", ChoicesCheckboxFilter),
        ("outcome", FieldTextFilter),
        ("claimed_at", PeriodFilter),
    )
    search_fields = ("session__external_id__startswith", "action_id__exact")
    search_help_text = "Id of a session or an action"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    link_column("command"),
                    link_column("session"),
                    "number",
                    "verb",
                    attempt_limit_column,
                    outcome_column,
                    yes_no_column("may_have_effect", "may have an effect"),
                )
            },
        ),
        (
            "Course",
            {
                "fields": (
                    moment_column("claimed_at"),
                    moment_column("lease_until"),
                    moment_column("sent_at"),
                    moment_column("answered_at"),
                    moment_column("station_at", "station answered at"),
                )
            },
        ),
        (
            "Answer",
            {
                "fields": (
                    http_status_column,
                    "action_id",
                    value_column("answer", "answer", lambda text: preformatted(text or GAP)),
                )
            },
        ),
    )


@admin.register(MeterReading)
class MeterReadingAdmin(BigTableAdmin):
    list_display = (
        "id",
        link_column("session"),
        moment_column("metered_at"),
        quantity_column("power_w", "power", watts_text),
        quantity_column("current_a", "current", amperes_text),
        quantity_column("meter_wh", "meter", energy_text),
        quantity_column("state_of_charge_percent", "state of charge", percent_text),
    )
    list_select_related = ("session",)
    list_filter = (("metered_at", PeriodFilter),)
    search_fields = ("session__external_id__startswith",)
    search_help_text = "Id of a session, or how it begins"
    fieldsets = ((None, {"fields": list_display[1:]}),)


def _body(delivery: WebhookDelivery) -> str:
    body = bytes(delivery.body)
    try:
        return pretty_json(orjson.loads(body))
    except orjson.JSONDecodeError:
        return preformatted(body.decode(errors="backslashreplace"))


def _signature(delivery: WebhookDelivery) -> str:
    """Enough to compare with a log, too little to send again."""
    return f"{delivery.signature[:12]}… ({len(delivery.signature)} characters)"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(BigTableAdmin):
    list_display = (
        edrv_id_column,
        "type",
        state_column("state", DELIVERY_COLOURS),
        moment_column("received_at", "received"),
        moment_column("applied_at", "applied"),
        "waiting_for",
        "note",
    )
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        ("type", FieldTextFilter),
        ("received_at", PeriodFilter),
    )
    search_fields = ("external_id__startswith", "waiting_for__exact")
    search_help_text = "Id of a delivery, or what it waits for"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    edrv_id_column,
                    "type",
                    state_column("state", DELIVERY_COLOURS),
                    "waiting_for",
                    "note",
                    moment_column("received_at"),
                    moment_column("applied_at"),
                    column("signature_text", "signature", _signature),
                )
            },
        ),
        ("Body, exactly as it came", {"fields": (column("body_text", "body", _body),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        found: QuerySet[WebhookDelivery] = super().get_queryset(request)
        is_list = request.resolver_match is not None and "changelist" in str(
            request.resolver_match.url_name
        )
        return found.defer("body") if is_list else found
