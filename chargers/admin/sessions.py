"""Charging sessions. `dr_events.admin` adds the events they take part in."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesCheckboxFilter,
    RadioFilter,
)

from chargers.admin.pages import BigTable, OwnFieldsAdmin
from chargers.admin.parts import (
    anchor,
    column,
    draw_column,
    edrv_id_column,
    limit_column,
    link,
    link_column,
    list_url,
    moment,
    moment_at,
    moment_column,
    quantity_column,
    state_column,
    value_column,
    yes_no_column,
)
from chargers.admin.whereabouts import InTheGrid, path_of
from chargers.models import Command, MeterReading, Session
from chargers.wording import GAP, amperes_text, energy_text, limit_text, watts_text, words

LATEST = 10
STATUS_COLOURS = {"created": "info", "started": "success", "ended": "", "cancelled": ""}
COMMAND_COLOURS = {
    "due": "info",
    "sent": "info",
    "unconfirmed": "warning",
    "accepted": "success",
    "rejected": "danger",
}


class OpenFilter(RadioFilter):
    """Sessions that go on, or are over."""

    title = "open"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> QuerySet[Session]:
        if self.value() in ("yes", "no"):
            return queryset.filter(ended_at__isnull=self.value() == "yes")
        return queryset


def local_moment(field: str, description: str) -> Any:
    """A session's time in the gateway's zone and at its site."""
    return column(
        field,
        description,
        lambda session: moment_at(getattr(session, field), session.chargestation.site.timezone),
    )


def percent_text(percent: float | None) -> str:
    """80 %."""
    return GAP if percent is None else f"{percent:.0f} %"


def what_text(command: Command) -> str:
    """set 4,200 W, or clear."""
    return f"{command.kind} {limit_text(command.limit)}" if command.limit else command.kind


def command_rows(session: Session) -> dict[str, Any]:
    """The latest commands of a session, as unfold's table takes them."""
    rows = [
        [
            link(command, what_text(command)),
            command.get_state_display(),
            words(command.reason),
            command.cause or GAP,
            command.attempts,
            moment(command.created_at),
            moment(command.accepted_at),
        ]
        for command in Command.objects.filter(session=session)[:LATEST]
    ]
    headers = ["command", "state", "reason", "caused by", "sent", "created", "accepted"]
    return {"headers": headers, "rows": rows}


def reading_rows(session: Session) -> dict[str, Any]:
    """The latest meter readings of a session."""
    latest = MeterReading.objects.filter(session=session).order_by("-metered_at")[:LATEST]
    rows = [
        [
            moment(reading.metered_at),
            watts_text(reading.power_w),
            amperes_text(reading.current_a),
            energy_text(reading.meter_wh),
            percent_text(reading.state_of_charge_percent),
        ]
        for reading in latest
    ]
    return {"headers": ["metered at", "power", "current", "meter", "state of charge"], "rows": rows}


cause_column = value_column("wanted_cause", "because of", lambda cause: cause or GAP)


@admin.register(Session)
class SessionAdmin(InTheGrid, BigTable, OwnFieldsAdmin):
    """Exempt may be changed for as long as the session is open."""

    list_display: Any = (
        edrv_id_column,
        state_column("status", STATUS_COLOURS),
        draw_column("power_w", "draws"),
        limit_column("wanted_", "wanted"),
        limit_column("confirmed_", "confirmed"),
        cause_column,
        link_column("chargestation.site", "site"),
        link_column("chargestation"),
        moment_column("metered_at", "metered"),
    )
    list_filter: Any = (
        OpenFilter,
        ("status", ChoicesCheckboxFilter),
        ("may_be_limited", BooleanRadioFilter),
        ("exempt", BooleanRadioFilter),
        ("chargestation__site", AutocompleteSelectFilter),
        ("chargestation", AutocompleteSelectFilter),
    )
    search_fields = ("external_id__startswith", "chargestation__external_id__startswith")
    search_help_text = "Id of a session or a chargestation"
    fieldsets: Any = (
        (
            "Limit",
            {
                "fields": (
                    limit_column("wanted_", "wanted"),
                    cause_column,
                    limit_column("confirmed_", "confirmed"),
                    local_moment("confirmed_at", "confirmed at"),
                    yes_no_column("may_be_limited", "may be limited"),
                )
            },
        ),
        ("Exemption", {"fields": ("exempt", "exempt_reason")}),
        (
            "Charging",
            {
                "fields": (
                    edrv_id_column,
                    link_column("chargestation.site", "site"),
                    link_column("chargestation"),
                    link_column("connector"),
                    state_column("status", STATUS_COLOURS),
                    local_moment("started_at", "started at"),
                    local_moment("ended_at", "ended at"),
                    local_moment("heard_at", "heard of at"),
                )
            },
        ),
        (
            "Latest metering",
            {
                "fields": (
                    quantity_column("power_w", "power", watts_text),
                    quantity_column("current_a", "current", amperes_text),
                    quantity_column("energy_wh", "energy", energy_text),
                    quantity_column("state_of_charge_percent", "state of charge", percent_text),
                    local_moment("metered_at", "metered at"),
                )
            },
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        is_open = not isinstance(obj, Session) or obj.is_open
        return bool(is_open and super().has_change_permission(request, obj))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        found: QuerySet[Session] = super().get_queryset(request)
        return found.select_related("chargestation__site", "connector")

    def whereabouts(self, thing: Session) -> dict[str, Any]:
        station = thing.chargestation
        path = path_of(station.site, ("chargestation", station), ("session", thing))
        return {"path": path, "figures": []}

    def related_tables(self, thing: Session) -> list[dict[str, Any]]:
        session = thing
        return [
            {
                "title": "Latest commands",
                "table": command_rows(session),
                "all": anchor(list_url(Command, session__id__exact=session.pk), "all commands"),
            },
            {
                "title": "Latest meter readings",
                "table": reading_rows(session),
                "all": anchor(
                    list_url(MeterReading, session__id__exact=session.pk), "all readings"
                ),
            },
        ]
