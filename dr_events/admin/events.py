"""The list of events and the page of each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import (
    BooleanRadioFilter,
    ChoicesCheckboxFilter,
    FieldTextFilter,
)
from unfold.views import ChangeList

from chargers.admin.pages import PeriodFilter, ReadOnlyAdmin, ReadOnlyInline
from chargers.admin.parts import (
    column,
    label,
    moment_column,
    state_column,
    value_column,
    yes_no_column,
)
from chargers.numerals import numeral
from dr_events import figures
from dr_events.admin.forms import KIND_WORDS
from dr_events.admin.leaving import OptOuts
from dr_events.admin.live import Live, curve_of, roster_of
from dr_events.admin.orders import Orders
from dr_events.admin.places import Places
from dr_events.admin.previews import Previews
from dr_events.admin.standing import (
    STATUS_COLOURS,
    end_text,
    operations_of,
    reports_of,
    standing_of,
)
from dr_events.admin.steering import Steering
from dr_events.admin.words import (
    below_minimum_text,
    priority_text,
    progress_text,
    scope_text,
    short_order_text,
    slope_text,
)
from dr_events.figures import Counts
from dr_events.models import Event, EventTarget
from dr_events.roster import Narrowing


class CountedChangeList(ChangeList):
    """The events of one page get their counts in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        counts = figures.counts_of(event.pk for event in self.result_list)
        for event in self.result_list:
            event.counts = counts[event.pk]


def _scope(event: Event) -> str:
    return scope_text([(target.type, target.value) for target in event.targets.all()])


def _trouble(event: Any) -> str:
    counts: Counts = event.counts
    trouble = counts.failed + counts.unreachable
    return label(f"{numeral(trouble)}", "danger") if trouble else "0"


def _name(event: Event) -> str:
    return f"{event.name} (drill)" if event.test else event.name


class TargetInline(ReadOnlyInline):
    model = EventTarget
    verbose_name_plural = "scope"
    fields = ("type", "value")


@admin.register(Event)
class EventAdmin(Orders, OptOuts, Steering, Places, Previews, Live, ReadOnlyAdmin):
    """Events are declared, amended, ended and cancelled, never edited or deleted."""

    list_display = (
        column("name_text", "name", _name, ordering="name"),
        state_column("status", STATUS_COLOURS),
        column("limit_words", "limit", lambda event: short_order_text(event.amount, event.steps)),
        column("scope", "scope", _scope),
        moment_column("starts_at", "starts"),
        column("ends_at", "ends", end_text, ordering=Coalesce("ended_at", "ends_at")),
        column("progress", "confirmed", lambda event: progress_text(event.counts)),
        column("trouble", "failed or unreachable", _trouble),
        "priority",
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        ("test", BooleanRadioFilter),
        ("starts_at", PeriodFilter),
        ("declared_by", FieldTextFilter),
    )
    search_fields = ("name", "external_id", "reason", "targets__value")
    date_hierarchy = "starts_at"
    inlines = (TargetInline,)
    fieldsets = (
        (
            "Declaration",
            {
                "fields": (
                    "reason",
                    "external_id",
                    column("id_text", "id", lambda event: str(event.id)),
                    column("priority_words", "priority", lambda e: priority_text(e.priority)),
                    value_column("below_minimum", "a limit below 6 A becomes", below_minimum_text),
                    yes_no_column("test", "drill"),
                    value_column("limit_kind", "kind of limit", KIND_WORDS.__getitem__),
                    column("comes_back", "power comes back", lambda e: slope_text(e) or "at once"),
                    "declared_by",
                    moment_column("declared_at"),
                )
            },
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CountedChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        found: QuerySet[Event] = super().get_queryset(request)
        return found.prefetch_related("targets", "intervals")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method == "POST":
            # Else `_saveasnew` would be taken for a declaration that no intake has seen.
            raise PermissionDenied
        event = self.get_object(request, object_id)
        context = {**(self._told(request, event) if event else {}), **(extra_context or {})}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def _told(self, request: HttpRequest, event: Event) -> dict[str, Any]:
        may_operate = self.has_operate_permission(request)
        may_export = request.user.has_perm("dr_events.export_report")
        now = timezone.now()
        narrowing = Narrowing.read(request.GET)
        return {
            **standing_of(event, now=now),
            "curve": curve_of(event, now=now),
            "roster": roster_of(event, narrowing, now=now, may_operate=may_operate),
            "operations": operations_of(event) if may_operate else [],
            "may_leave": may_operate and not event.is_over,
            "reports": reports_of(event) if may_export else [],
        }
