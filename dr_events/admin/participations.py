"""Participations: one session in one event, from the first command to the proof of its end."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesCheckboxFilter,
)

from chargers.admin.pages import BigTableAdmin, PeriodFilter
from chargers.admin.parts import (
    anchor,
    column,
    draw_column,
    limit_column,
    link_column,
    list_url,
    moment_column,
    quantity_column,
    state_column,
    value_column,
    yes_no_column,
)
from chargers.models import Command
from chargers.wording import watts_text, words
from dr_events.models import OptOut, Participation

STATE_COLOURS = {
    "pending": "info",
    "confirmed": "success",
    "failed": "danger",
    "unreachable": "warning",
    "exempt": "",
    "ended": "",
}


def _commands(part: Participation) -> str:
    return anchor(list_url(Command, session__id__exact=part.session_id), "commands of this session")


def ways_out(part: Participation) -> list[dict[str, str]]:
    """What of this participation can be taken out of its event; nothing once that is over."""
    if part.event.is_over or part.released_at:
        return []
    address = reverse("admin:dr_events_event_opt_out", args=[part.event_id])
    station = part.session.chargestation
    named = {
        OptOut.Type.SESSION: part.session.external_id,
        OptOut.Type.CHARGESTATION: station.external_id,
        OptOut.Type.SITE: station.site.external_id,
    }
    return [
        {"what": str(type_), "url": f"{address}?{urlencode({'type': type_, 'value': value})}"}
        for type_, value in named.items()
    ]


reason_column = value_column("reason", "reason", words)
state = state_column("state", STATE_COLOURS)


@admin.register(Participation)
class ParticipationAdmin(BigTableAdmin):
    change_form_outer_before_template = "admin/dr_events/participation/ways_out.html"
    list_display = (
        state,
        reason_column,
        link_column("session"),
        limit_column("wanted_", "wanted"),
        limit_column("confirmed_", "confirmed"),
        quantity_column("before_w", "before", watts_text),
        draw_column("session.power_w", "now"),
        link_column("session.chargestation.site", "site"),
        link_column("event"),
        yes_no_column("binding", "decides"),
        moment_column("accepted_at", "accepted"),
    )
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        ("event", AutocompleteSelectFilter),
        ("binding", BooleanRadioFilter),
        ("joined_late", BooleanRadioFilter),
        ("joined_at", PeriodFilter),
    )
    search_fields = ("session__external_id__startswith", "reason__exact")
    search_help_text = "Id of a session, or a reason"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    link_column("event"),
                    link_column("session"),
                    link_column("session.chargestation", "chargestation"),
                    link_column("session.chargestation.site", "site"),
                    state,
                    reason_column,
                    yes_no_column("binding", "decides"),
                )
            },
        ),
        (
            "Limit",
            {
                "fields": (
                    limit_column("wanted_", "wanted"),
                    moment_column("wanted_at", "wanted since"),
                    limit_column("confirmed_", "confirmed"),
                    "attempts",
                    moment_column("next_attempt_at", "next attempt at"),
                    moment_column("first_sent_at"),
                    moment_column("accepted_at"),
                    column("commands", "commands", _commands),
                )
            },
        ),
        (
            "Metering",
            {
                "fields": (
                    quantity_column("before_w", "draw when it came in", watts_text),
                    draw_column("session.power_w", "draw now"),
                    moment_column("complied_at"),
                    moment_column("over_limit_since"),
                    moment_column("non_responsive_at", "first found non-responsive"),
                )
            },
        ),
        (
            "Course",
            {
                "fields": (
                    moment_column("joined_at"),
                    yes_no_column("joined_late", "joined late"),
                    moment_column("released_at"),
                    yes_no_column("was_limited", "was limited"),
                    moment_column("restored_at"),
                )
            },
        ),
    )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        part = self.get_object(request, object_id)
        may_operate = request.user.has_perm("dr_events.operate_event")
        told = {"ways_out": ways_out(part) if part and may_operate else []}
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**told, **(extra_context or {})}
        )
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A reason is found as it is shown: `station offline` is `station_offline`."""
        term = search_term.strip().replace(" ", "_")
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, term)
        return found

    def get_queryset(self, request: HttpRequest) -> QuerySet[Participation]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found.select_related("event", "session__chargestation__site")
