"""Where a thing hangs in the grid, what charges there, and what belongs to it: above and below its
own page."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from chargers import load
from chargers.admin.parts import anchor, change_url, draw_text, link, list_url, moment_at
from chargers.models import ChargeStation, Session, Site
from chargers.numerals import numeral
from chargers.wording import GAP, kilowatts_text, limit_text

MOST_SESSIONS = 25
PLACES = (("zone", "grid_zone"), ("substation", "substation"), ("feeder", "feeder"))


class InTheGrid:
    """Mixed into the ModelAdmin of a thing with `related_tables` and, perhaps, whereabouts."""

    change_form_outer_before_template = "admin/chargers/whereabouts.html"
    change_form_outer_after_template = "admin/chargers/related_tables.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        thing = self.get_object(request, object_id)  # type: ignore[attr-defined]
        told = self.told(request, thing) if thing else {}
        context = {**told, **(extra_context or {})}
        response: HttpResponse = super().change_view(  # type: ignore[misc]
            request, object_id, form_url, context
        )
        return response

    def told(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        """What its page says beside its fields."""
        return {
            "related_tables": self.related_tables(thing),
            "whereabouts": self.whereabouts(thing),
        }

    def related_tables(self, thing: Any) -> list[dict[str, Any]]:
        """What hangs on it: title, table, and where all of it is."""
        return []

    def whereabouts(self, thing: Any) -> dict[str, Any] | None:
        """For whereabouts.html: `path` from the zone down, `figures` of now."""
        return None


def path_of(site: Site, *below: tuple[str, Any]) -> list[tuple[str, str, str]]:
    """Level, name, address; places that are not known are left out. The last one is where we are,
    and has no address."""
    path = [
        (level, getattr(site, field), list_url(Site, q=getattr(site, field)))
        for level, field in PLACES
        if getattr(site, field)
    ]
    path += [(level, str(thing), change_url(thing)) for level, thing in (("site", site), *below)]
    level, name, _ = path[-1]
    return [*path[:-1], (level, name, "")]


def charging_figures(sessions: QuerySet[Session]) -> list[tuple[str, str]]:
    """Cars and kW of those that are charging."""
    fresh = load.fresh(now=timezone.now())
    sums = sessions.aggregate(
        cars=Count("pk"),
        metered=Count("power_w", filter=fresh),
        power_w=Sum("power_w", filter=fresh),
    )
    unmetered = sums["cars"] - sums["metered"]
    told = [("charging", f"{numeral(sums['cars'])}"), ("draw", kilowatts_text(sums["power_w"]))]
    return [*told, ("not metered", f"{numeral(unmetered)}")] if unmetered else told


def sessions_table(sessions: QuerySet[Session], address: str) -> dict[str, Any]:
    """Those that go on, the largest draws first."""
    now = timezone.now()
    shown = sessions.select_related("chargestation__site").order_by("-power_w", "-id")
    rows = [
        [
            link(session),
            link(session.chargestation),
            draw_text(session.power_w, session.metered_at, now=now),
            limit_text(session.wanted),
            limit_text(session.confirmed),
            session.wanted_cause or GAP,
            moment_at(session.metered_at, session.chargestation.site.timezone),
        ]
        for session in shown[:MOST_SESSIONS]
    ]
    headers = ["session", "chargestation", "draws", "wanted", "confirmed", "because of", "metered"]
    return {
        "title": "Charging now, the largest draws first",
        "table": {"headers": headers, "rows": rows},
        "all": anchor(address, "all of its sessions"),
    }


def open_at_site(site: Site) -> QuerySet[Session]:
    return Session.objects.filter(ended_at=None, chargestation__site=site)


def open_at_station(station: ChargeStation) -> QuerySet[Session]:
    return Session.objects.filter(ended_at=None, chargestation=station)


def exempt_table(site: Site) -> dict[str, Any]:
    """What at a site is left alone by every event."""
    stations = ChargeStation.objects.filter(site=site, exempt=True)[:MOST_SESSIONS]
    sessions = open_at_site(site).filter(exempt=True)[:MOST_SESSIONS]
    things: list[tuple[str, Any]] = [("site", site)] if site.exempt else []
    things += [("chargestation", station) for station in stations]
    things += [("session", session) for session in sessions]
    rows = [[kind, link(thing), thing.exempt_reason or GAP] for kind, thing in things]
    return {
        "title": "Exempt from every event",
        "table": {"headers": ["what", "which", "reason"], "rows": rows},
        "all": anchor(list_url(ChargeStation, site__id__exact=site.pk), "its chargestations"),
    }
