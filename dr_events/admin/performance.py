"""How a site or chargestation has done in past events, on its own page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from chargers import sql
from chargers.admin.fleet import ChargeStationAdmin
from chargers.admin.parts import anchor, change_url, list_url, moment
from chargers.models import ChargeStation, Site
from chargers.numerals import numeral
from chargers.wording import GAP, kilowatts_text, number_of
from dr_events.admin.words import target_text
from dr_events.models import Event, OptOut, Participation

MOST_EVENTS = 20
MOST_OPT_OUTS = 20


def of_site(site: Site) -> list[dict[str, Any]]:
    """Its events and its opt-outs, as tables."""
    everything = list_url(Participation, session__chargestation__site__id__exact=site.pk)
    stations = ChargeStation.objects.filter(site=site).values_list("external_id", flat=True)
    own = [f"site {site.external_id}", *(f"chargestation {station}" for station in stations)]
    return [_performance("station.site_id", site.pk, everything), _opt_outs(own)]


def of_station(station: ChargeStation) -> list[dict[str, Any]]:
    """The same of one chargestation."""
    everything = list_url(Participation, session__chargestation__id__exact=station.pk)
    own = [f"chargestation {station.external_id}"]
    return [_performance("station.id", station.pk, everything), _opt_outs(own)]


def _performance(column: str, key: int, address: str) -> dict[str, Any]:
    found = sql.rows(_PERFORMANCE.format(column=column), {"key": key, "most": MOST_EVENTS})
    counts = ("sessions", "accepted", "complied", "failed")
    headers = ["event", "started", *counts, "half complied within", "drew before"]
    return {
        "title": f"Past performance: {_in_a_sentence(found)}",
        "table": {"headers": headers, "rows": [_row(row) for row in found]},
        "all": anchor(address, "all participations"),
    }


def _row(row: dict[str, Any]) -> list[Any]:
    event = Event(pk=row["id"], name=row["name"])
    half_s = row["half_s"]
    return [
        anchor(change_url(event), event.name),
        moment(row["starts_at"]),
        f"{numeral(row['sessions'])}",
        f"{numeral(row['accepted'])}",
        f"{numeral(row['complied'])}",
        f"{numeral(row['failed'])}",
        GAP if half_s is None else f"{numeral(half_s, ',.0f')} s",
        kilowatts_text(row["before_w"]),
    ]


def _in_a_sentence(found: list[dict[str, Any]]) -> str:
    """94 % of 36 sessions complied, in 3 events."""
    asked = sum(row["asked"] for row in found)
    if not asked:
        return "no event has limited it yet"
    share = sum(row["complied"] for row in found) / asked
    events = number_of(len(found), "event")
    return f"{share:.0%} of {number_of(asked, 'session')} complied, in the last {events}"


def _opt_outs(budgets: list[str]) -> dict[str, Any]:
    """Found by whose budget they are of: that of a session is its chargestation's."""
    of_them = OptOut.objects.filter(budget_of__in=budgets).select_related("event")
    found = of_them.order_by("-id")[:MOST_OPT_OUTS]
    rows = [
        [
            target_text(opted.type, opted.value),
            opted.get_kind_display(),
            anchor(change_url(opted.event), opted.event),
            opted.reason or GAP,
            moment(opted.declared_at),
            moment(opted.withdrawn_at) if opted.withdrawn_at else GAP,
        ]
        for opted in found
    ]
    headers = ["what", "how", "event", "reason", "when", "withdrawn"]
    return {
        "title": "Opt-outs and exemptions of single events",
        "table": {"headers": headers, "rows": rows},
        "all": anchor(list_url(OptOut), "all opt-outs"),
    }


_PERFORMANCE = """
    SELECT event.id, event.name, event.starts_at, count(*) AS sessions,
           count(*) FILTER (WHERE part.state <> 'exempt') AS asked,
           count(part.accepted_at) AS accepted,
           count(part.complied_at) FILTER (
               WHERE part.state NOT IN ('exempt', 'pending', 'failed', 'unreachable')) AS complied,
           count(*) FILTER (WHERE part.state = 'failed') AS failed,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY
               EXTRACT(EPOCH FROM part.complied_at - part.wanted_at)::float8)
               FILTER (WHERE part.complied_at >= part.wanted_at) AS half_s,
           sum(part.before_w) AS before_w
      FROM chargers_chargestation AS station
      JOIN chargers_session AS session ON session.chargestation_id = station.id
      JOIN dr_events_participation AS part ON part.session_id = session.id
      JOIN dr_events_event AS event ON event.id = part.event_id
     WHERE {column} = %(key)s
     GROUP BY event.id ORDER BY event.starts_at DESC LIMIT %(most)s
"""


class ChargeStationInEventsAdmin(ChargeStationAdmin):
    """A chargestation, with how it has done in events."""

    def related_tables(self, thing: ChargeStation) -> list[dict[str, Any]]:
        return [*super().related_tables(thing), *of_station(thing)]


admin.site.unregister(ChargeStation)
admin.site.register(ChargeStation, ChargeStationInEventsAdmin)
