"""The fields of the event report, each with the SQL that `dr_events.reports` reads it by.

To add one: docs/recipes/add-a-report-field.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from dr_events.evidence import tables
from dr_events.evidence.tables import PERFORMANCE, Kind, Table


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the report: its name, its SQL, of the type of its kind, and what it means to
    an auditor."""

    name: str
    sql: str
    meaning: str
    kind: Kind = Kind.TEXT


COLUMNS = (
    Column("event", "event.id::text", "the gateway's id of the event"),
    Column("event_external_id", "event.external_id", "the declaring system's id of the event"),
    Column("test", "event.test", "true for a drill", Kind.BOOLEAN),
    Column("session", "session.external_id", "eDRV's id of the charging session"),
    Column("connector", "connector.external_id", "eDRV's id of the connector"),
    Column("chargestation", "station.external_id", "eDRV's id of the chargestation"),
    Column("site", "site.external_id", "eDRV's id of the location"),
    Column("site_name", "COALESCE(part.place ->> 'site_name', site.name)", ""),
    Column(
        "site_timezone",
        "COALESCE(part.place ->> 'timezone', site.timezone)",
        "IANA name; all times in this report are UTC",
    ),
    Column("grid_zone", "COALESCE(part.place ->> 'grid_zone', site.grid_zone)", ""),
    Column("substation", "COALESCE(part.place ->> 'substation', site.substation)", ""),
    Column("feeder", "COALESCE(part.place ->> 'feeder', site.feeder)", ""),
    Column("state", "part.state", "where the participation stands, or how it ended"),
    Column("reason", "part.reason", "why it is not confirmed, or what is odd about it"),
    Column(
        "binding", "part.binding", "this event's limit is in force on the session now", Kind.BOOLEAN
    ),
    Column("joined_at", "part.joined_at", "when the session came into the event", Kind.TIME),
    Column(
        "joined_late", "part.joined_late", "the car plugged in while the event ran", Kind.BOOLEAN
    ),
    Column("before_w", "part.before_w", "metered draw when it came in, W", Kind.NUMBER),
    Column("wanted_unit", "part.wanted_unit", "power (W) or current (A per phase)"),
    Column(
        "wanted_value", "part.wanted_value", "the limit wanted last, over all events", Kind.NUMBER
    ),
    Column("wanted_at", "part.wanted_at", "since when that limit was wanted", Kind.TIME),
    Column("confirmed_unit", "part.confirmed_unit", "power (W) or current (A per phase)"),
    Column(
        "confirmed_value",
        "part.confirmed_value",
        "the limit the station accepted last",
        Kind.NUMBER,
    ),
    Column(
        "attempts", "part.attempts", "requests sent to eDRV for this participation", Kind.INTEGER
    ),
    Column("first_sent_at", "part.first_sent_at", "the first of them", Kind.TIME),
    Column(
        "accepted_at", "part.accepted_at", "when the station accepted the wanted limit", Kind.TIME
    ),
    Column(
        "seconds_to_accepted",
        "CASE WHEN part.accepted_at >= part.wanted_at THEN"
        " round(EXTRACT(EPOCH FROM part.accepted_at - part.wanted_at), 3)::float8 END",
        "from wanting the limit to its acceptance, s",
        Kind.NUMBER,
    ),
    Column(
        "complied_at",
        "part.complied_at",
        "first reading at or under the limit after that",
        Kind.TIME,
    ),
    Column(
        "seconds_to_complied",
        "CASE WHEN part.complied_at >= part.wanted_at THEN"
        " round(EXTRACT(EPOCH FROM part.complied_at - part.wanted_at), 3)::float8 END",
        "from wanting the limit to that reading, s",
        Kind.NUMBER,
    ),
    Column(
        "non_responsive_at",
        "part.non_responsive_at",
        "when it was first found to draw more than its limit for longer than it may take",
        Kind.TIME,
    ),
    Column(
        "metered_w",
        "metered.power_w",
        "latest metered draw while in the event, W; from amperes where no power was told",
        Kind.NUMBER,
    ),
    Column("metered_at", "metered.metered_at", "when that was metered", Kind.TIME),
    Column("session_started_at", "session.started_at", "", Kind.TIME),
    Column("session_ended_at", "session.ended_at", "", Kind.TIME),
    Column("released_at", "part.released_at", "when the event let go of the session", Kind.TIME),
    Column(
        "restored_at",
        "part.restored_at",
        "since when the absence of its limit is proven",
        Kind.TIME,
    ),
)

NAMES = [column.name for column in COLUMNS]
# What every format but CSV adds to each participation: how it did against its baseline.
FIGURES = [column for column in PERFORMANCE.columns if column.name not in NAMES]
FIGURE_NAMES = [column.name for column in FIGURES]
REPORT = Table(
    "report",
    "Each participation: what is on record, and its figures.",
    False,
    (*(tables.Column(one.name, one.kind, one.meaning) for one in COLUMNS), *FIGURES),
)
