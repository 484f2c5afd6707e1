"""The fleet in the admin: sites, chargestations, connectors. Sessions are in `sessions`, records
in `records` and `trail`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    AllValuesCheckboxFilter,
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesCheckboxFilter,
    FieldTextFilter,
)

from chargers.admin.pages import OwnFieldsAdmin
from chargers.admin.parts import (
    anchor,
    column,
    edrv_id_column,
    label,
    link_column,
    list_url,
    moment_column,
    quantity_column,
    yes_no_column,
)
from chargers.admin.site_csv import SiteImportMixin
from chargers.admin.whereabouts import (
    InTheGrid,
    charging_figures,
    exempt_table,
    open_at_site,
    open_at_station,
    path_of,
    sessions_table,
)
from chargers.models import ChargeStation, Connector, Session, Site
from chargers.numerals import numeral
from chargers.wording import GAP, amperes_text, watts_text, words


def _volts(voltage_v: float | None) -> str:
    return GAP if voltage_v is None else f"{numeral(voltage_v, 'g')} V"


def _exempt_text(thing: Any) -> str:
    return label(thing.exempt_reason or "exempt", "warning") if thing.exempt else GAP


exempt_column = column("exempt_label", "exempt", _exempt_text, ordering="exempt")
EXEMPTION = ("Exemption", {"fields": ("exempt", "exempt_reason")})


def counted(rows: QuerySet[Any], group_by: str) -> Coalesce:
    """How many of `rows` belong to each row of the outer query; worked out for one page only."""
    grouped = rows.filter(**{group_by: OuterRef("pk")}).order_by().values(group_by)
    numbers = grouped.annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(numbers, output_field=IntegerField()), 0)


def _stations_link(site: Any) -> str:
    address = list_url(ChargeStation, site__id__exact=site.pk)
    return anchor(address, site.station_count)


def _charging_link(site: Any) -> str:
    address = list_url(Session, chargestation__site__id__exact=site.pk, open="yes")
    return anchor(address, site.open_count)


@admin.register(Site)
class SiteAdmin(InTheGrid, SiteImportMixin, OwnFieldsAdmin):
    """eDRV's locations; their place in the grid is ours."""

    list_display = (
        "__str__",
        edrv_id_column,
        "grid_zone",
        "substation",
        "feeder",
        column("stations", "chargestations", _stations_link),
        column("charging", "charging now", _charging_link),
        exempt_column,
    )
    list_filter = (
        ("exempt", BooleanRadioFilter),
        ("grid_zone", AllValuesCheckboxFilter),
        ("substation", FieldTextFilter),
        ("feeder", FieldTextFilter),
    )
    search_fields = ("name", "external_id", "address", "grid_zone", "substation", "feeder")
    fieldsets: Any = (
        ("Place in the grid", {"fields": ("grid_zone", "substation", "feeder", "voltage_v")}),
        EXEMPTION,
        (
            "From eDRV",
            {
                "fields": (
                    edrv_id_column,
                    "name",
                    "address",
                    "timezone",
                    column("stations", "chargestations", _stations_link),
                    column("charging", "charging now", _charging_link),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Site]:
        found: QuerySet[Site] = super().get_queryset(request)
        return found.annotate(
            station_count=counted(ChargeStation.objects.all(), "site"),
            open_count=counted(Session.objects.filter(ended_at=None), "chargestation__site"),
        )

    def whereabouts(self, thing: Site) -> dict[str, Any]:
        return {"path": path_of(thing), "figures": charging_figures(open_at_site(thing))}

    def related_tables(self, thing: Site) -> list[dict[str, Any]]:
        everything = list_url(Session, chargestation__site__id__exact=thing.pk)
        return [sessions_table(open_at_site(thing), everything), exempt_table(thing)]


def _cannot(station: ChargeStation) -> str:
    cannot = [f"no {words(unit)}" for unit in station.refused_units]
    return ", ".join([*cannot, *(["no clear"] if station.refuses_clear else [])]) or GAP


def _online_text(station: ChargeStation) -> str:
    return label("online", "success") if station.online else label("offline", "danger")


online_column = column("online_label", "connection", _online_text, ordering="online")


def _station_sessions(station: ChargeStation) -> str:
    address = list_url(Session, chargestation__id__exact=station.pk)
    return anchor(address, "sessions of this chargestation")


def _station_connectors(station: ChargeStation) -> str:
    address = list_url(Connector, chargestation__id__exact=station.pk)
    return anchor(address, "connectors of this chargestation")


@admin.register(ChargeStation)
class ChargeStationAdmin(InTheGrid, OwnFieldsAdmin):
    """eDRV's chargestations; what their answers taught us can be forgotten here."""

    list_display = (
        column("station", "chargestation", str, ordering="name"),
        edrv_id_column,
        link_column("site"),
        online_column,
        moment_column("online_changed_at", "since"),
        column("cannot", "cannot take", _cannot),
        yes_no_column("is_simulator", "simulated"),
        exempt_column,
    )
    list_select_related = ("site",)
    list_filter = (
        ("online", BooleanRadioFilter),
        ("site", AutocompleteSelectFilter),
        ("refuses_clear", BooleanRadioFilter),
        ("is_simulator", BooleanRadioFilter),
        ("exempt", BooleanRadioFilter),
    )
    search_fields = ("name", "external_id", "site__name", "site__external_id")
    fieldsets: Any = (
        EXEMPTION,
        (
            "What it has refused",
            {
                "fields": ("refused_units", "refuses_clear"),
                "description": "Learnt from its answers to commands. Clear a mark to have the "
                "gateway try again, after a firmware update for instance.",
            },
        ),
        (
            "From eDRV",
            {
                "fields": (
                    edrv_id_column,
                    "name",
                    link_column("site"),
                    "protocol",
                    online_column,
                    moment_column("online_changed_at", "since"),
                    yes_no_column("is_simulator", "simulated"),
                    column("connectors", "connectors", _station_connectors),
                    column("sessions", "sessions", _station_sessions),
                )
            },
        ),
    )

    def whereabouts(self, thing: ChargeStation) -> dict[str, Any]:
        path = path_of(thing.site, ("chargestation", thing))
        return {"path": path, "figures": charging_figures(open_at_station(thing))}

    def related_tables(self, thing: ChargeStation) -> list[dict[str, Any]]:
        everything = list_url(Session, chargestation__id__exact=thing.pk)
        return [sessions_table(open_at_station(thing), everything)]


@admin.register(Connector)
class ConnectorAdmin(OwnFieldsAdmin):
    """eDRV's connectors; volts, phases and greatest current are ours."""

    list_display = (
        edrv_id_column,
        link_column("chargestation"),
        link_column("chargestation.site"),
        "power_type",
        "status",
        quantity_column("max_power_w", "greatest power", watts_text),
        quantity_column("max_current_a", "greatest current", amperes_text),
        "phases",
        quantity_column("voltage_v", "voltage", _volts),
    )
    list_select_related = ("chargestation__site",)
    list_filter = (
        ("power_type", ChoicesCheckboxFilter),
        ("chargestation", AutocompleteSelectFilter),
    )
    search_fields = ("external_id", "chargestation__name", "chargestation__external_id")
    fieldsets = (
        (
            "Circuit",
            {
                "fields": ("voltage_v", "phases", "max_current_a"),
                "description": "Left empty: the site's voltage, three phases (one for one-phase "
                "AC), and 32 A or what the greatest power comes to.",
            },
        ),
        (
            "From eDRV",
            {
                "fields": (
                    edrv_id_column,
                    link_column("chargestation"),
                    link_column("chargestation.site"),
                    "status",
                    "power_type",
                    quantity_column("max_power_w", "greatest power", watts_text),
                )
            },
        ),
    )
