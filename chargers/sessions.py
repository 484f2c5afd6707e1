"""Charging sessions and their energy reports, from webhooks and look-ups alike.

A status only moves forward (created, started, ended or cancelled) and a report counts by its own
time, so it does not matter in which order, or how often, they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from chargers import circuits, news, settlement, sql
from chargers.edrv.payloads import EnergyReport, SessionData

UNHEARD_AFTER = timedelta(minutes=10)
STATUS_RANK = {None: -1, "created": 0, "started": 1, "ended": 2, "cancelled": 2}


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a session, and when; `at` stands in for times it does not have."""

    session: SessionData
    at: datetime


@transaction.atomic
def apply(said: Sequence[Said], *, now: datetime) -> dict[str, str]:
    """Create or update sessions and store their energy reports.

    Returns, for each session that could not be placed, the id of the chargestation or connector
    (or its own, where it names none) that is not known yet.
    """
    if not said:
        return {}
    # The known before the new, which have the highest ids: so everybody locks in one order.
    known_ids = set(sql.texts(_LOCK, [[one.session.id for one in said]]))
    missing = _create([one for one in said if one.session.id not in known_ids], now)
    known = [one for one in said if one.session.id not in missing]
    _place(known)
    _move(known, now)
    _store_reports(known, now)
    return missing


def _create(unknown: Sequence[Said], now: datetime) -> dict[str, str]:
    """Create the unknown sessions that can be placed; returns what the others wait for."""
    if not unknown:
        return {}
    records = [(external_id, *place) for external_id, place in _places(unknown).items()]
    created = set(sql.texts(_CREATE, [now, *sql.columns(records, 3)]))
    return {
        external_id: station_id or connector_id or external_id
        for external_id, station_id, connector_id in records
        if external_id not in created
    }


def _places(said: Sequence[Said]) -> dict[str, tuple[str | None, str | None]]:
    """Each session's chargestation and connector, the last that were named: not every word of a
    session names them."""
    places: dict[str, tuple[str | None, str | None]] = {}
    for one in said:
        station_id, connector_id = places.get(one.session.id, (None, None))
        places[one.session.id] = (
            one.session.chargestation_id or station_id,
            one.session.connector_id or connector_id,
        )
    return places


def _place(said: Sequence[Said]) -> None:
    """A session heard of before its connector was known hangs on it now."""
    records = {
        (one.session.id, one.session.connector_id) for one in said if one.session.connector_id
    }
    news.tell(sql.ids(_PLACE, sql.columns(sorted(records), 2)))


def _move(said: Sequence[Said], now: datetime) -> None:
    furthest: dict[str, Said] = {}
    for one in said:
        other = furthest.setdefault(one.session.id, one)
        if STATUS_RANK[one.session.status] > STATUS_RANK[other.session.status]:
            furthest[one.session.id] = one
    records = [
        (
            external_id,
            one.session.status,
            one.session.started_at or one.at,
            one.session.ended_at or one.at,
        )
        for external_id, one in furthest.items()
    ]
    sql.run(_HEARD, {"now": now, "ids": list(furthest)})
    moved = sql.rows(_MOVE, sql.columns(records, 4))
    settlement.end_sessions([row["id"] for row in moved if row["ended_at"]], now=now)
    news.tell(row["id"] for row in moved if not row["ended_at"])


def _store_reports(said: Sequence[Said], now: datetime) -> None:
    reports = {
        (one.session.id, _reported_at(one, report, now)): (*_values(report), one.session.energy_wh)
        for one in said
        if (report := one.session.report) and not report.is_empty
    }
    if not reports:
        return
    columns = sql.columns(((*key, *values) for key, values in reports.items()), 7)
    sql.run(_STORE_READINGS, columns[:6])
    newly_metered = sql.rows(_LATEST_READING, columns)
    news.tell_standing(row["id"] for row in newly_metered if row["wanted_unit"])


def _reported_at(said: Said, report: EnergyReport, now: datetime) -> datetime:
    at = report.metered_at or said.session.updated_at or said.at
    # A report from further ahead has a wrong clock; believed, it would outdate all after it.
    return min(at, said.at) if at > now + settlement.MAX_CLOCK_AHEAD else at


def _values(report: EnergyReport) -> tuple[float | None, ...]:
    return (report.power_w, report.current_a, report.meter_wh, report.state_of_charge_percent)


def forget(external_ids: Iterable[str], *, now: datetime) -> None:
    """eDRV knows no such sessions (any more): they have ended."""
    gone = list(external_ids)
    if gone:
        with transaction.atomic():
            settlement.end_sessions(sql.ids(_FORGET, [now, gone]), now=now)


def long_unheard(*, now: datetime, most: int) -> list[str]:
    """Open sessions that neither webhook nor list has spoken of for long, the longest first."""
    return sql.texts(_UNHEARD, [now - UNHEARD_AFTER, most])


_LOCK = """
    SELECT external_id FROM chargers_session
     WHERE external_id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""

_CREATE = """
    INSERT INTO chargers_session
           (external_id, chargestation_id, connector_id, status, heard_at, exempt, exempt_reason,
            wanted_cause)
    SELECT found.external_id, COALESCE(station.id, connector.chargestation_id), connector.id,
           'created', %s, FALSE, '', ''
      FROM unnest(%s::text[], %s::text[], %s::text[])
        AS found (external_id, chargestation_id, connector_id)
      LEFT JOIN chargers_chargestation AS station ON station.external_id = found.chargestation_id
      LEFT JOIN chargers_connector AS connector ON connector.external_id = found.connector_id
     WHERE COALESCE(station.id, connector.chargestation_id) IS NOT NULL
     ORDER BY found.external_id
        ON CONFLICT (external_id) DO UPDATE SET heard_at = EXCLUDED.heard_at
 RETURNING external_id
"""

_PLACE = """
    UPDATE chargers_session AS session SET connector_id = connector.id
      FROM unnest(%s::text[], %s::text[]) AS said (external_id, connector_id)
      JOIN chargers_connector AS connector ON connector.external_id = said.connector_id
     WHERE session.external_id = said.external_id AND session.connector_id IS NULL
       AND session.ended_at IS NULL
 RETURNING session.id
"""

_MOVE = """
    UPDATE chargers_session AS session
       SET status = said.status,
           started_at = CASE WHEN said.status = 'created' THEN session.started_at
                             ELSE COALESCE(session.started_at, said.started_at) END,
           ended_at = CASE WHEN said.status IN ('ended', 'cancelled') THEN said.ended_at END,
           may_be_limited = session.may_be_limited AND said.status = 'started'
      FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
        AS said (external_id, status, started_at, ended_at)
     WHERE session.external_id = said.external_id
       AND (session.status, said.status) IN (
           ('created', 'started'), ('created', 'ended'), ('created', 'cancelled'),
           ('started', 'ended'), ('started', 'cancelled'))
 RETURNING session.id, session.ended_at
"""

_HEARD = """
    UPDATE chargers_session SET heard_at = %(now)s
     WHERE external_id = ANY(%(ids)s) AND ended_at IS NULL
       AND heard_at < %(now)s - INTERVAL '1 minute'
"""

_FORGET = """
    UPDATE chargers_session SET status = 'ended', ended_at = %s, may_be_limited = FALSE
     WHERE external_id = ANY(%s) AND ended_at IS NULL
 RETURNING id
"""

_UNHEARD = """
    SELECT external_id FROM chargers_session
     WHERE ended_at IS NULL AND heard_at < %s ORDER BY heard_at LIMIT %s
"""

_STORE_READINGS = """
    INSERT INTO chargers_meterreading
           (session_id, metered_at, power_w, current_a, meter_wh, state_of_charge_percent)
    SELECT session.id, report.metered_at, report.power_w, report.current_a, report.meter_wh,
           report.soc
      FROM unnest(%s::text[], %s::timestamptz[], %s::float8[], %s::float8[], %s::float8[],
                  %s::float8[])
        AS report (external_id, metered_at, power_w, current_a, meter_wh, soc)
      JOIN chargers_session AS session ON session.external_id = report.external_id
        ON CONFLICT (session_id, metered_at) DO NOTHING
"""

# Most reports have the power, and nothing else is looked for then.
_LATEST_READING = f"""
    UPDATE chargers_session AS session
       SET power_w = CASE WHEN report.power_w IS NOT NULL OR report.current_a IS NULL
                          THEN report.power_w
                          ELSE (SELECT report.current_a * {circuits.WATTS_PER_AMPERE}
                                  FROM (SELECT session.chargestation_id, session.connector_id)
                                    AS session
                                  {circuits.JOINS}) END,
           current_a = report.current_a,
           energy_wh = COALESCE(report.energy_wh, session.energy_wh),
           state_of_charge_percent = COALESCE(report.soc, session.state_of_charge_percent),
           metered_at = report.metered_at
      FROM (SELECT DISTINCT ON (external_id) *
              FROM unnest(%s::text[], %s::timestamptz[], %s::float8[], %s::float8[], %s::float8[],
                          %s::float8[], %s::float8[])
                AS report (external_id, metered_at, power_w, current_a, meter_wh, soc, energy_wh)
             ORDER BY external_id, metered_at DESC) AS report
     WHERE session.external_id = report.external_id
       AND (session.metered_at IS NULL OR session.metered_at < report.metered_at)
 RETURNING session.id, session.wanted_unit
"""
