"""The fleet as a tree to pick a scope from: zone → substation → feeder → site → chargestation, a
level at a time, or what a few letters find. Each level is a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from chargers import load
from chargers.models import ChargeStation, Session, Site
from chargers.wording import kilowatts_text, number_of
from dr_events.admin.operations import Operations
from dr_events.models import EventTarget

Type = EventTarget.Type
PAGE = "admin/dr_events/event/places.html"
MOST_SHOWN = 200
MOST_FOUND = 10
# What is under what; the places are fields of a site.
UNDER: dict[str, str] = {
    "": Type.GRID_ZONE,
    Type.GRID_ZONE: Type.SUBSTATION,
    Type.SUBSTATION: Type.FEEDER,
    Type.FEEDER: Type.SITE,
    Type.SITE: Type.CHARGESTATION,
}
PLACES = (Type.GRID_ZONE, Type.SUBSTATION, Type.FEEDER)


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that can be aimed at. `load`: how many cars charge there, and what they draw."""

    type: str
    value: str
    name: str
    load: str
    has_more: bool

    @property
    def label(self) -> str:
        return f"{Type(self.type).label.lower()} {self.name}"

    @property
    def children_url(self) -> str:
        query = urlencode({"type": self.type, "value": self.value})
        return f"{reverse('admin:dr_events_event_places')}?{query}"


class Places(Operations):
    """Mixed into a ModelAdmin of Event."""

    def get_urls(self) -> list[URLPattern]:
        places = self.operation_url("places", "places/", self.places_view)
        return [places, *super().get_urls()]

    def places_view(self, request: HttpRequest) -> HttpResponse:
        """The nodes under the one that the query names, or those that its letters find."""
        if not request.user.has_perm("chargers.view_site"):
            raise PermissionDenied
        text = request.GET.get("find", "").strip()[:64]
        type_, value = request.GET.get("type", ""), request.GET.get("value", "")[:64]
        nodes = found(text) if text else nodes_under(type_, value)
        context = {"nodes": nodes[:MOST_SHOWN], "text": text, "more": len(nodes) > MOST_SHOWN}
        return TemplateResponse(request, PAGE, context)


def nodes_under(type_: str = "", value: str = "") -> list[Node]:
    """What is next in the tree; sites without a place stand beside the zones."""
    below = UNDER.get(type_)
    if below is None:
        return []
    if type_ == "":
        return [*_places(Type.GRID_ZONE, Site.objects.all()), *_sites(_unplaced())]
    if below in PLACES:
        under = Site.objects.filter(**{type_: value})
        # A site may have a zone and no substation: it must not vanish from the tree.
        return [*_places(below, under), *_sites(under.filter(**{below: ""}))]
    if below == Type.SITE:
        return _sites(Site.objects.filter(feeder=value))
    return _stations(ChargeStation.objects.filter(site__external_id=value))


def found(text: str) -> list[Node]:
    """By part of a name, or by the beginning of eDRV's id."""
    nodes: list[Node] = []
    for place in PLACES:
        nodes += _places(place, Site.objects.filter(**{f"{place}__icontains": text}))[:MOST_FOUND]
    named = Q(name__icontains=text) | Q(external_id__startswith=text)
    sites = Site.objects.filter(named | Q(address__icontains=text))
    nodes += _sites(sites, most=MOST_FOUND)
    nodes += _stations(ChargeStation.objects.filter(named), most=MOST_FOUND)
    sessions = Session.objects.filter(ended_at=None, external_id__startswith=text)
    return [
        *nodes,
        *(Node(Type.SESSION, s.external_id, s.external_id, _draw_of(s), False)
          for s in sessions[:MOST_FOUND]),
    ]  # fmt: skip


def _unplaced() -> QuerySet[Site]:
    return Site.objects.filter(grid_zone="")


def _places(field: str, sites: QuerySet[Site]) -> list[Node]:
    named = sites.exclude(**{field: ""}).order_by(field).values_list(field, flat=True)
    values = list(named.distinct()[: MOST_SHOWN + 1])
    loads = _loads(f"chargestation__site__{field}", values)
    return [Node(field, value, value, loads.get(value, ""), True) for value in values]


def _sites(sites: QuerySet[Site], most: int = MOST_SHOWN + 1) -> list[Node]:
    return _things(Type.SITE, "chargestation__site", list(sites[:most]), has_more=True)


def _stations(stations: QuerySet[ChargeStation], most: int = MOST_SHOWN + 1) -> list[Node]:
    return _things(Type.CHARGESTATION, "chargestation", list(stations[:most]), has_more=False)


def _things(type_: str, field: str, things: Iterable[Model], *, has_more: bool) -> list[Node]:
    shown: list[Any] = list(things)
    loads = _loads(field, [thing.pk for thing in shown])
    return [
        Node(type_, thing.external_id, str(thing), loads.get(thing.pk, ""), has_more)
        for thing in shown
    ]


def _draw_of(session: Session) -> str:
    is_fresh = load.is_fresh(session.metered_at, now=timezone.now())
    return kilowatts_text(session.power_w if is_fresh else None)


def _loads(field: str, keys: list[Any]) -> dict[Any, str]:
    """36 cars, 446.9 kW, by key; nothing where no car is charging."""
    charging = Session.objects.filter(ended_at=None, status="started", **{f"{field}__in": keys})
    grouped = (
        charging.order_by()
        .values(field)
        .annotate(cars=Count("pk"), watts=Sum("power_w", filter=load.fresh(now=timezone.now())))
    )
    return {
        row[field]: f"{number_of(row['cars'], 'car')}, {kilowatts_text(row['watts'])}"
        for row in grouped
    }
