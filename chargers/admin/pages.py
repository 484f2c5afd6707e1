"""What the admin's pages have in common: who may do what, and how big tables are paged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import Field, MultipleChoiceField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_time
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from chargers import own_fields
from chargers.admin.parts import actor_of

MOST_COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts to MOST_COUNTED and no further: nobody reads page 101, and counting ten million
    rows to say so takes seconds. What lies beyond is found by search and filters."""

    template_name = "admin/chargers/pagination_bounded.html"
    most = MOST_COUNTED

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.most + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.most)

    @cached_property
    def has_more(self) -> bool:
        return self._counted > self.most


class PeriodFilter(RangeDateTimeFilter):
    """From and to, in the gateway's zone; a day without a time begins at midnight."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        bounds = {"gte": self._bound("from"), "lt": self._bound("to")}
        return queryset.filter(
            **{f"{self.field_path}__{name}": time for name, time in bounds.items() if time}
        )

    def _bound(self, name: str) -> datetime | None:
        day, time = (
            str(self.used_parameters.get(f"{self.parameter_name}_{name}_{part}") or "")
            for part in (0, 1)
        )
        try:
            date, clock = parse_date(day), parse_time(time or "00:00")
        except ValueError:
            return None
        return timezone.make_aware(datetime.combine(date, clock)) if date and clock else None


class ReadOnlyAdmin(ModelAdmin):
    """Rows that may be read and nothing else, by anybody. Their pages show `fieldsets`."""

    actions = None
    list_per_page = 50
    list_filter_submit = True
    compressed_fields = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[Any]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))


class BoundedChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Or else the heading says "10000 results (Show all)", which is not so.
        self.full_result_count = self.result_count


class BigTable:
    """Mixed into the admin of a table of millions: newest first by primary key, never counted,
    sorted or faceted whole."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by: Sequence[str] = ()
    ordering: Sequence[str] = ("-pk",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList


class BigTableAdmin(BigTable, ReadOnlyAdmin):
    """A table of millions of records."""


OWN_FIELD_LABELS = {
    "voltage_v": "Voltage (V)",
    "max_current_a": "Greatest current (A)",
    "refused_units": "Refuses units",
    "refuses_clear": "Refuses to clear",
}


class OwnFieldsAdmin(ModelAdmin):
    """A thing of eDRV's of which people here edit OWN_FIELDS. Things come and go with eDRV, so
    none is added or deleted by hand."""

    actions = None
    list_per_page = 50
    list_filter_submit = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @property
    def own_fields(self) -> tuple[str, ...]:
        return own_fields.OWN_FIELDS[self.model]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[Any]:
        shown = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [field for field in shown if field not in self.own_fields]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return super().get_form(request, obj, change, labels=OWN_FIELD_LABELS, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Not `obj.save()`: that would write back all that eDRV and the planner have changed
        since the page was opened."""
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        own_fields.change(obj, values, actor=actor_of(request), now=timezone.now())

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Field | None:
        if db_field.name == "refused_units":
            return MultipleChoiceField(
                label=OWN_FIELD_LABELS["refused_units"],
                choices=[("power", "power (W)"), ("current", "current (A)")],
                required=False,
                widget=UnfoldAdminCheckboxSelectMultipleWidget,
            )
        field: Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        return field


class ReadOnlyInline(TabularInline):
    """Rows under another thing's page, to be read."""

    extra = 0
    per_page = 50
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[Any]:
        return list(self.fields)
