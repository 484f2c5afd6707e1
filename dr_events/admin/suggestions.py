"""What the fleet offers as targets: for the forms to suggest, and for whoever mistyped one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from django.db.models import Model

from chargers.models import ChargeStation, Site
from dr_events import scope
from dr_events.models import EventTarget
from dr_events.preview import Line, Preview

MOST_SUGGESTED = 500
MOST_NAMED = 12
Type = EventTarget.Type
PLACES = (Type.GRID_ZONE, Type.SUBSTATION, Type.FEEDER)
Known: TypeAlias = list[tuple[str, list[tuple[str, str]]]]


def known_targets() -> Known:
    """(value, label) by type of target: zones, substations and feeders by their names; sites and
    chargestations by eDRV id. Sessions are too many and too short-lived to be suggested."""
    return [
        (Type.GRID_ZONE, _places("grid_zone")),
        (Type.SUBSTATION, _places("substation")),
        (Type.FEEDER, _places("feeder")),
        (Type.SITE, _things(Site)),
        (Type.CHARGESTATION, _things(ChargeStation)),
    ]


def fleet_gap(known: Known) -> str:
    """Why a target cannot be named yet: on a fresh installation there is nothing to name."""
    offered = dict(known)
    if not offered[Type.SITE]:
        return (
            "No site is known yet: the fleet is read from eDRV. An event declared now limits "
            "cars as soon as they are known."
        )
    if not any(offered[place] for place in PLACES):
        return (
            "No site has its place in the grid yet, so no zone, substation or feeder can be "
            "named. Import the places as CSV from the list of sites."
        )
    return ""


def hints_for(targets: Sequence[tuple[str, str]]) -> list[str]:
    """For targets that name nothing: what they could have meant."""
    types = dict.fromkeys(type_ for type_, _ in scope.unmatched(targets))
    return [hint for type_ in types if (hint := _hint(type_))]


def _hint(type_: str) -> str:
    if type_ not in PLACES:
        return ""
    known = [value for value, _ in _places(type_)]
    kind = Type(type_).label.lower()
    if not known:
        return f"No site has a {kind} yet. Import their places as CSV from the list of sites."
    named = ", ".join(known[:MOST_NAMED])
    rest = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"Known as {kind}: {named}{rest}."


def _places(field: str) -> list[tuple[str, str]]:
    named = Site.objects.exclude(**{field: ""}).order_by(field)
    values = named.values_list(field, flat=True).distinct()[:MOST_SUGGESTED]
    return [(value, "") for value in values]


def _things(model: type[Model]) -> list[tuple[str, str]]:
    found: Any = model
    rows = found.objects.order_by("name").values_list("external_id", "name")
    return list(rows[:MOST_SUGGESTED])


def names_of(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """The names of the chargestation and the site of each line of a preview."""
    ids = [line.facts.chargestation for line in lines]
    found = ChargeStation.objects.filter(external_id__in=ids).select_related("site")
    stations = {station.external_id: station for station in found}
    return [
        (str(stations[id_]), str(stations[id_].site)) if id_ in stations else (id_, "")
        for id_ in ids
    ]


def cap_rows(seen: Preview) -> list[dict[str, Any]]:
    """The caps of a preview with the names of their sites, where there are several."""
    told = [cap.as_json() for cap in seen.caps]
    if len(told) < 2:
        return []
    sites = Site.objects.filter(external_id__in=[cap["site"] for cap in told])
    names = {site.external_id: str(site) for site in sites}
    rows = [{**cap, "name": names.get(cap["site"], cap["site"])} for cap in told]
    return sorted(rows, key=lambda row: (row["reachable"], row["name"]))
