"""The standing capacity of sites, as their feeds say it by REST; nobody sets it here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RadioFilter

from chargers.admin.fleet import SiteAdmin
from chargers.admin.pages import ReadOnlyAdmin
from chargers.admin.parts import (
    Column,
    column,
    label,
    link_column,
    moment,
    moment_column,
    quantity_column,
)
from chargers.models import Site
from chargers.wording import GAP, watts_text
from dr_events.admin import performance
from dr_events.models import SiteCapacity


def _feed(capacity: SiteCapacity) -> str:
    if capacity.is_silent(timezone.now()):
        return label("silent: the safe value holds", "danger")
    return label("heard", "success")


def _power_now(capacity: SiteCapacity) -> str:
    return watts_text(capacity.power_at(timezone.now()))


feed = column("feed", "feed", _feed)
power_now = column("power_now", "holds now", _power_now)
said = quantity_column("power_w", "said", watts_text)
safe = quantity_column("safe_power_w", "safe value", watts_text)


class SilentFilter(RadioFilter):
    """Sites whose feed has fallen silent, or is heard."""

    title = "silent"
    parameter_name = "silent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[SiteCapacity]
    ) -> QuerySet[SiteCapacity]:
        now: datetime = timezone.now()
        match self.value():
            case "yes":
                return queryset.filter(valid_until__lte=now)
            case "no":
                return queryset.filter(valid_until__gt=now)
            case _:
                return queryset


@admin.register(SiteCapacity)
class SiteCapacityAdmin(ReadOnlyAdmin):
    list_display = (
        link_column("site"),
        power_now,
        feed,
        said,
        moment_column("valid_until"),
        safe,
        "declared_by",
        moment_column("declared_at"),
    )
    list_filter = (SilentFilter,)
    list_select_related = ("site",)
    search_fields = ("site__name", "site__external_id")
    fieldsets = ((None, {"fields": list_display}),)


def _of_site(name: str, description: str, show: Column) -> Column:
    """Something about a site's capacity; a gap where nothing is said of it."""

    def shown(site: Site) -> Any:
        capacity = SiteCapacity.objects.filter(site=site).first()
        return show(capacity) if capacity else GAP

    return column(name, description, shown)


class SiteWithCapacityAdmin(SiteAdmin):
    """A site, with its standing capacity. `chargers` has never heard of one, so this stands
    here, in the place of its own page."""

    fieldsets = (
        *SiteAdmin.fieldsets[:2],
        (
            "Standing capacity",
            {
                "fields": (
                    _of_site("capacity_now", "holds now", _power_now),
                    _of_site("capacity_feed", "feed", _feed),
                    _of_site("capacity_w", "said", lambda one: watts_text(one.power_w)),
                    _of_site("capacity_until", "valid until", lambda one: moment(one.valid_until)),
                    _of_site(
                        "capacity_safe", "safe value", lambda one: watts_text(one.safe_power_w)
                    ),
                ),
                "description": "What the site may import, beside and above all events. Its feed "
                "says it by REST, again and again; when it falls silent, the safe value holds.",
            },
        ),
        *SiteAdmin.fieldsets[2:],
    )

    def related_tables(self, thing: Site) -> list[dict[str, Any]]:
        return [*super().related_tables(thing), *performance.of_site(thing)]


admin.site.unregister(Site)
admin.site.register(Site, SiteWithCapacityAdmin)
