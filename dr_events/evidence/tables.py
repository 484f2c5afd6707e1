"""The tables of the evidence: one definition of their columns, with units and meaning, from which
every file format and the data dictionary come. Pure.

A raw table holds what was recorded; a computed one follows from raw ones alone (`computation`).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Row = tuple[Any, ...]


class Kind(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Its unit is in its name; a missing value is empty, never zero."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table. `key`: how many of the first columns name a row. `added`: how many of the last
    ones packages may lack that were made before there were any."""

    name: str
    meaning: str
    is_raw: bool
    columns: tuple[Column, ...]
    key: int = 1
    added: int = 0
    row: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", namedtuple(self.name, self.names))

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def file_name(self) -> str:
        return f"{self.name}.csv"


def _columns(text: str) -> tuple[Column, ...]:
    """Lines of `name kind: meaning`."""
    found = []
    for line in text.strip().splitlines():
        head, _, meaning = line.strip().partition(": ")
        name, kind = head.split()
        found.append(Column(name, Kind(kind), meaning))
    return tuple(found)


PARTICIPATIONS = Table(
    "participations",
    "Each session in the event, as the gateway recorded it.",
    True,
    _columns("""
    participation integer: the gateway's number of the participation
    session text: eDRV's id of the charging session
    connector text: eDRV's id of the connector
    chargestation text: eDRV's id of the chargestation
    site text: eDRV's id of the location
    site_name text: its name
    site_timezone text: IANA name
    grid_zone text: its place in the grid when the session came into the event
    substation text: the same
    feeder text: the same
    voltage_v number: volts per phase of its circuit
    phases integer: phases of its circuit
    state text: where the participation stands, or how it ended
    reason text: why it is not confirmed, or what is odd about it
    joined_at time: when the session came into the event
    joined_late boolean: the car plugged in while the event ran
    before_w number: metered draw when it came in, W
    wanted_unit text: power (W) or current (A per phase)
    wanted_value number: the limit wanted last, over all events
    wanted_at time: since when that limit was wanted
    confirmed_unit text: power (W) or current (A per phase)
    confirmed_value number: the limit the station accepted last
    attempts integer: requests sent to eDRV for it
    first_sent_at time: the first of them
    accepted_at time: when the station accepted the wanted limit
    complied_at time: first reading at or under the limit after that
    released_at time: when the event let go of the session
    was_limited boolean: at its release a limit may have been in force
    restored_at time: since when the absence of its limit is proven
    session_started_at time: when the session started
    session_ended_at time: when the session ended
    non_responsive_at time: when it was first found to draw more than its limit for too long
    """),
    added=1,
)
COMMANDS = Table(
    "commands",
    "Each change of the limit wanted of these sessions: a set or a clear.",
    True,
    _columns("""
    participation integer: of which participation
    command integer: the gateway's number of the command
    generation integer: counts the changes of the session's wanted limit
    kind text: set or clear
    unit text: power (W) or current (A per phase)
    value number: the limit; empty for a clear
    cause text: the event or standing capacity that decided it
    state text: how it stands
    reason text: what kept it from being accepted
    created_at time: since when the limit was wanted
    first_sent_at time: when it was first sent
    accepted_at time: when the station accepted it
    settled_at time: when nothing more was to come of it
    """),
    key=2,
)
ATTEMPTS = Table(
    "attempts",
    "Each request to eDRV for these commands, and what became of it.",
    True,
    _columns("""
    participation integer: of which participation
    attempt integer: the gateway's number of the attempt
    command integer: of which command
    number integer: how many times the command had been sent
    verb text: set, clear, or a look
    unit text: as it was sent
    value number: as it was sent
    claimed_at time: when it was committed, before it was sent
    sent_at time: when it went out
    answered_at time: when eDRV answered
    http_status integer: eDRV's answer
    action text: eDRV's id of the action
    outcome text: what the station or eDRV said
    station_at time: when the station spoke, by eDRV's clock
    """),
    key=2,
)
READINGS = Table(
    "readings",
    "Each energy report of these sessions, from half an hour before to an hour after.",
    True,
    _columns("""
    participation integer: of which participation
    metered_at time: when it was metered
    power_w number: draw, W
    current_a number: current, A per phase
    meter_wh number: the meter's own register, Wh
    """),
    key=2,
)
OPT_OUTS = Table(
    "opt_outs",
    "Who left the event, or was exempted from it.",
    True,
    _columns("""
    opt_out integer: the gateway's number
    kind text: opt_out or exemption
    type text: site, chargestation or session
    value text: eDRV's id of it
    reason text: as it was said
    declared_by text: by whom
    declared_at time: when
    withdrawn_at time: when it was taken back
    """),
)
SITE_HISTORY = Table(
    "site_history",
    "The load of each site in quarters of an hour, cut where the event began and ended, on its day "
    "and those before it.",
    True,
    _columns("""
    site text: eDRV's id of the location
    starts_at time: when the quarter starts
    ends_at time: when it ends, or is cut
    energy_wh number: metered energy of all sessions in it, Wh; 0 where none was there
    completeness_percent number: how much of the sessions' time in it was metered
    held boolean: another event was on at the site
    """),
    key=2,
)
AUDIT = Table(
    "audit",
    "The audit entries of the event and of its commands, with their links in the hash chain.",
    True,
    _columns("""
    position integer: its place in the chain, from 1
    at time: when
    actor text: who
    origin text: from where
    action text: what was done
    subject text: to what kind of thing
    subject_ids text: to which ones; JSON
    before text: as it was; JSON
    after text: as it became; JSON
    """),
)
CHAIN = Table(
    "chain",
    "The chain from the event's first entry to its last: what every entry's digest makes of it.",
    True,
    _columns("""
    position integer: from 1, without gaps
    digest text: SHA-256 of the entry's canonical JSON (RFC 8785)
    hash text: SHA-256 of the hash before it and the digest
    """),
)
PERFORMANCE = Table(
    "performance",
    "What each participation did, against its baseline.",
    False,
    _columns("""
    participation integer: the gateway's number of the participation
    session text: eDRV's id of the charging session
    site text: eDRV's id of the location
    outcome text: how it ended, in one word: complied, non_responsive, rejected, left…
    outcome_reason text: the reason behind it
    baseline_method text: how the baseline was found
    baseline_w number: what would have been drawn, W
    baseline_problem text: why there is none, or what to mind about it
    event_s number: how long it was in the event, s
    baseline_kwh number: over the intervals that count, kWh
    ordered_kwh number: reduction that was ordered in them, kWh
    metered_kwh number: all that was metered while in the event, kWh
    delivered_kwh number: baseline less metered, over the intervals that count, kWh
    deficiency_kwh number: ordered and not delivered, interval by interval, kWh
    performance_percent number: delivered of what was ordered
    register_kwh number: the same by the meter's own register, first to last reading, kWh
    over_limit_kwh number: metered above the ordered limit, kWh
    completeness_percent number: how much of its time in the event was metered
    intervals integer: intervals it was in the event
    intervals_missing integer: those of them with too little metered to count
    intervals_bad integer: those with readings that cannot be true
    rebound_kwh number: metered above the baseline in the hour after, kWh; negative: still less
    rebound_completeness_percent number: how much of that hour was metered
    seconds_to_accepted number: from wanting the limit to its acceptance, s
    seconds_to_complied number: from wanting the limit to the first reading at or under it, s
    seconds_to_restored number: from the release to the proof that no limit is left, s
    joined_at_local text: by the site's clock, with its offset
    released_at_local text: the same
    restored_at_local text: the same
    """),
)
INTERVALS = Table(
    "intervals",
    "Each participation in intervals, from half an hour before to an hour after.",
    False,
    _columns("""
    participation integer: the gateway's number of the participation
    starts_at time: when the interval starts
    ends_at time: when it ends (exclusive)
    starts_at_local text: by the site's clock, with its offset
    hour text: the local hour; X marks the second of two equal ones
    phase text: before, event or after
    baseline_w number: what would have been drawn, W
    limit_w number: the mean of the limits that were wanted, W
    ordered_w number: the reduction that was ordered, W
    metered_w number: mean draw, W; empty where too little was metered
    delivered_w number: baseline less metered, W
    deficiency_w number: ordered and not delivered, W
    energy_wh number: metered energy, Wh
    completeness_percent number: how much of it was metered
    reading_type text: direct (power) or estimated (from amperes)
    quality text: ok, missing or bad
    """),
    key=2,
)
BASELINES = Table(
    "baselines",
    "Every baseline that was asked for, side by side.",
    False,
    _columns("""
    scope text: session or site
    id text: eDRV's id of it
    method text: which method
    version text: its version
    grade text: whether it may be settled by
    baseline_kwh number: over the event, kWh
    metered_kwh number: over the same intervals, kWh
    delivered_kwh number: baseline less metered, kWh
    adjustment number: a factor (CAISO), or W (PJM)
    days_used text: by date
    days_excluded text: by date, with the reason
    days_short integer: how many days the method is short of
    problem text: why there is none, or what to mind about it
    """),
    key=3,
)
SITES = Table(
    "sites",
    "The event at each site: counts and sums over its participations.",
    False,
    _columns("""
    site text: eDRV's id of the location
    site_name text: its name
    feeder text: its place in the grid
    participations integer: sessions in the event
    complied integer: those that complied
    exceptions integer: non-responsive, rejected, unreachable or unproven
    left_alone integer: exempt or opted out
    ordered_kwh number: reduction that was ordered, kWh
    metered_kwh number: metered while in the event, kWh
    delivered_kwh number: reduction that was delivered, kWh
    deficiency_kwh number: ordered and not delivered, kWh
    performance_percent number: delivered of what was ordered
    rebound_kwh number: above the baseline in the hour after, kWh
    intervals_missing integer: intervals with too little metered to count
    """),
)
LOAD = Table(
    "load",
    "The load curve: all participations together.",
    False,
    _columns("""
    starts_at time: when the interval starts
    sessions integer: sessions in it
    missing integer: those of which too little of it was metered to count
    metered_kw number: mean draw of all that was metered, kW
    baseline_kwh number: of those in the event that count, kWh
    ordered_kwh number: the same
    metered_kwh number: the same
    delivered_kwh number: the same
    deficiency_kwh number: the same
    """),
)
SUMMARY = Table(
    "summary",
    "The figures of the event.",
    False,
    _columns("""
    figure text: its name
    value number: its value
    unit text: its unit
    """),
)

SEASON = Table(
    "season",
    "Over the events of a period: each site, each declaring client, the programme.",
    False,
    _columns("""
    scope text: site, client or programme
    id text: eDRV's id of the location, or the client
    name text: the site's name
    events integer: events it took part in
    events_unmeasured integer: of these, those of which nobody knows what was delivered
    hours number: their hours together
    participations integer: sessions in them
    exceptions integer: non-responsive, rejected, unreachable or unproven
    opt_outs integer: opt-outs from them
    ordered_kwh number: reduction that was ordered, kWh
    delivered_kwh number: reduction that was delivered, kWh
    performance_percent number: delivered of what was ordered
    fatigue_points number: performance in the earlier half of the events less that in the later
    """),
    key=2,
)

# Rows of any table, each with its table.
Stream = Iterable[tuple[Table, Row]]
RAW = (PARTICIPATIONS, COMMANDS, ATTEMPTS, READINGS, OPT_OUTS, SITE_HISTORY, AUDIT, CHAIN)
COMPUTED = (SUMMARY, SITES, PERFORMANCE, INTERVALS, LOAD, BASELINES)
TABLES = (*COMPUTED, *RAW)


def dictionary() -> Iterator[Row]:
    """The data dictionary: table, whether it is raw, column, kind, meaning."""
    for table in TABLES:
        said = "raw" if table.is_raw else "computed"
        for column in table.columns:
            yield (table.name, said, column.name, str(column.kind), column.meaning)
