"""Opt-outs and exemptions on record, withdrawn or not. They are made on the pages of events."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter

from chargers.admin.pages import BigTableAdmin, PeriodFilter
from chargers.admin.parts import (
    anchor,
    column,
    link_column,
    list_url,
    moment_column,
    state_column,
    value_column,
)
from chargers.wording import GAP
from dr_events import opt_outs
from dr_events.admin.standing import OPT_OUT_COLOURS
from dr_events.admin.words import target_text
from dr_events.models import OptOut


def _found(opted: OptOut) -> str:
    """By a search: the id is eDRV's, not ours."""
    address = list_url(opt_outs.MODELS[opted.type], q=opted.value)
    return anchor(address, opted.value)


what = column("what", "what", lambda opted: target_text(opted.type, opted.value))
kind = state_column("kind", OPT_OUT_COLOURS)
reason = value_column("reason", "reason", lambda text: text or GAP)


@admin.register(OptOut)
class OptOutAdmin(BigTableAdmin):
    list_display = (
        what,
        kind,
        link_column("event"),
        reason,
        "declared_by",
        moment_column("declared_at"),
        moment_column("withdrawn_at"),
    )
    list_filter = (
        ("kind", ChoicesCheckboxFilter),
        ("type", ChoicesCheckboxFilter),
        ("event", AutocompleteSelectFilter),
        ("declared_at", PeriodFilter),
    )
    search_fields = ("value__startswith", "budget_of__exact")
    search_help_text = "Id of a session, chargestation or site"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    link_column("event"),
                    kind,
                    "type",
                    column("value_link", "id at eDRV", _found),
                    reason,
                    value_column("budget_of", "budget of", lambda text: text or GAP),
                    "declared_by",
                    moment_column("declared_at"),
                    moment_column("withdrawn_at"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[OptOut]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found.select_related("event")
