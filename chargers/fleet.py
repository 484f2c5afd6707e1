"""Sites, chargestations and connectors as eDRV knows them. Our own fields are never touched:
grid place, volts, phases, greatest current, exemptions.

Everything here may be applied in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.db import transaction

from chargers import limits, news, sql
from chargers.edrv.payloads import ChargeStationData, ConnectorData, LocationData
from chargers.models import ChargeStation, Site, is_timezone

log = structlog.get_logger(__name__)
# The external id of the site of chargestations that eDRV places nowhere.
NO_LOCATION = "no-location"
# How far eDRV's clock may be behind ours.
MAX_CLOCK_BEHIND = timedelta(minutes=1)
Found = TypeVar("Found", LocationData, ChargeStationData, ConnectorData)


@dataclass(frozen=True, slots=True)
class Online:
    """A chargestation went online or offline at `at`, by eDRV's clock; or was `found` so then, by
    ours."""

    chargestation_id: str
    online: bool
    at: datetime
    found: bool = False

    @property
    def outdates_until(self) -> datetime:
        """What was said before that comes too late."""
        return self.at - MAX_CLOCK_BEHIND if self.found else self.at


@transaction.atomic
def apply_locations(locations: Iterable[LocationData]) -> None:
    """Create or update sites. What eDRV leaves out stays as it is."""
    records = [
        (found.id, found.name[:200], found.address[:300], _known_timezone(found))
        for found in _one_of_each(locations)
    ]
    sql.run(_CREATE_SITES, sql.columns(records, 4)[:1])
    _lock("chargers_site", (record[0] for record in records))
    sql.run(_UPDATE_SITES, sql.columns(records, 4))


def _known_timezone(found: LocationData) -> str | None:
    if found.timezone is None or is_timezone(found.timezone):
        return found.timezone
    log.warning("location.timezone_unknown", location=found.id, timezone=found.timezone)
    return None


@transaction.atomic
def apply_chargestations(stations: Iterable[ChargeStationData], *, now: datetime) -> None:
    """Create or update chargestations, read at `now`, with the connectors inside them. One at a
    location that is not known yet, or at none, gets a site without a place in the grid, which a
    later sync corrects: its cars are in the scope of everything but the grid."""
    stations = _one_of_each(stations)
    known = _ids(ChargeStation, (found.id for found in stations))
    new = [
        (found.id, found.location_id or NO_LOCATION) for found in stations if found.id not in known
    ]
    sql.run(_CREATE_SITES, [sorted({location_id for _, location_id in new})])
    sites = _ids(Site, (*(found.location_id for found in stations), NO_LOCATION))
    sql.run(_CREATE_CHARGESTATIONS, sql.columns([(id_, sites[at]) for id_, at in new], 2))
    apply_online(
        (Online(one.id, one.online, now, found=True) for one in stations if one.online is not None),
        now=now,
    )
    _lock("chargers_chargestation", (found.id for found in stations))
    places = [(found.id, sites.get(found.location_id or "")) for found in stations]
    moved = sql.ids(_MOVE_CHARGESTATIONS, sql.columns(places, 2))
    # What their sessions were held to for the old site, nobody else lets go.
    news.tell(sql.ids(_OPEN_SESSIONS, [moved]))
    records = [
        (found.id, found.name[:200], found.protocol[:32], found.is_simulator) for found in stations
    ]
    sql.run(_UPDATE_CHARGESTATIONS, sql.columns(records, 4))
    apply_connectors(connector for found in stations for connector in found.connectors)


@transaction.atomic
def apply_connectors(connectors: Iterable[ConnectorData]) -> None:
    """Create or update connectors; those of unknown chargestations are left out."""
    connectors = _one_of_each(connectors)
    stations = _ids(ChargeStation, (found.chargestation_id for found in connectors))
    records = [
        (
            found.id,
            stations[found.chargestation_id],
            found.status[:40],
            found.power_type,
            found.max_power_w,
        )
        for found in connectors
        if found.chargestation_id in stations
    ]
    sql.run(_CREATE_CONNECTORS, sql.columns(records, 5)[:2])
    _lock("chargers_connector", (record[0] for record in records))
    sql.run(_UPDATE_CONNECTORS, sql.columns([(r[0], *r[2:]) for r in records], 4))


@transaction.atomic
def apply_connector_statuses(statuses: Mapping[str, str]) -> None:
    """New statuses by connector id; unknown connectors are left out."""
    records = [(connector_id, status[:40]) for connector_id, status in statuses.items()]
    _lock("chargers_connector", statuses)
    sql.run(_UPDATE_CONNECTOR_STATUSES, sql.columns(records, 2))


@transaction.atomic
def apply_online(changes: Iterable[Online], *, now: datetime) -> None:
    """Take over who is online, by the time of the change. A station that came back has its
    commands due at once, those it had refused included: nobody knows what it meant by that. One
    that is told to have come online has come back though nobody had told that it was gone."""
    newest = {change.chargestation_id: change for change in sorted(changes, key=lambda one: one.at)}
    records = [
        (
            change.chargestation_id,
            change.online,
            change.at,
            change.outdates_until,
            change.online and not change.found,
        )
        for change in newest.values()
    ]
    # Sessions before their stations, as everybody does.
    sql.lock_sessions(sql.ids(_SESSIONS_AT, [list(newest)]))
    changed = sql.rows(_APPLY_ONLINE, sql.columns(records, 5))
    if not changed:
        return
    back = [row["id"] for row in changed if row["online"]]
    sql.run(_WAKE_COMMANDS, [now, back])
    limits.reassert(sql.ids(_GIVEN_UP, [back]), now=now)
    news.tell(sql.ids(_OPEN_SESSIONS, [[row["id"] for row in changed]]))


def _one_of_each(found: Iterable[Found]) -> list[Found]:
    """A list that is paged while it changes may show one twice; the last counts. Sorted, so that
    two who create the same wait for each other in one order."""
    return [one for _, one in sorted({one.id: one for one in found}.items())]


def _lock(table: str, external_ids: Iterable[str]) -> None:
    """In the order of their ids: an UPDATE … FROM unnest takes rows as its plan has them."""
    sql.run(
        f"SELECT id FROM {table} WHERE external_id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        [list(external_ids)],
    )


def _ids(
    model: type[Site] | type[ChargeStation], external_ids: Iterable[str | None]
) -> dict[str, int]:
    wanted = {external_id for external_id in external_ids if external_id}
    found = model.objects.filter(external_id__in=wanted)
    return dict(found.values_list("external_id", "id"))


_CREATE_SITES = """
    INSERT INTO chargers_site (external_id, name, address, timezone, grid_zone, substation,
                               feeder, voltage_v, exempt, exempt_reason)
    SELECT external_id, '', '', 'UTC', '', '', '', 230, FALSE, ''
      FROM unnest(%s::text[]) AS found (external_id)
        ON CONFLICT (external_id) DO NOTHING
"""

_UPDATE_SITES = """
    UPDATE chargers_site AS site
       SET name = COALESCE(NULLIF(found.name, ''), site.name),
           address = COALESCE(NULLIF(found.address, ''), site.address),
           timezone = COALESCE(found.timezone, site.timezone)
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
        AS found (external_id, name, address, timezone)
     WHERE site.external_id = found.external_id
"""

_CREATE_CHARGESTATIONS = """
    INSERT INTO chargers_chargestation
           (external_id, site_id, name, protocol, online, is_simulator, refused_units,
            refuses_clear, exempt, exempt_reason)
    SELECT external_id, site_id, '', '', TRUE, FALSE, '{}', FALSE, FALSE, ''
      FROM unnest(%s::text[], %s::bigint[]) AS found (external_id, site_id)
        ON CONFLICT (external_id) DO NOTHING
"""

_MOVE_CHARGESTATIONS = """
    UPDATE chargers_chargestation AS station SET site_id = found.site_id
      FROM unnest(%s::text[], %s::bigint[]) AS found (external_id, site_id)
     WHERE station.external_id = found.external_id AND station.site_id <> found.site_id
 RETURNING station.id
"""

_UPDATE_CHARGESTATIONS = """
    UPDATE chargers_chargestation AS station
       SET name = COALESCE(NULLIF(found.name, ''), station.name),
           protocol = COALESCE(NULLIF(found.protocol, ''), station.protocol),
           is_simulator = COALESCE(found.is_simulator, station.is_simulator)
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[])
        AS found (external_id, name, protocol, is_simulator)
     WHERE station.external_id = found.external_id
"""

_CREATE_CONNECTORS = """
    INSERT INTO chargers_connector (external_id, chargestation_id, status, power_type)
    SELECT external_id, chargestation_id, '', 'unknown'
      FROM unnest(%s::text[], %s::bigint[]) AS found (external_id, chargestation_id)
        ON CONFLICT (external_id) DO NOTHING
"""

_UPDATE_CONNECTORS = """
    UPDATE chargers_connector AS connector
       SET status = COALESCE(NULLIF(found.status, ''), connector.status),
           power_type = COALESCE(NULLIF(found.power_type, 'unknown'), connector.power_type),
           max_power_w = COALESCE(found.max_power_w, connector.max_power_w)
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[])
        AS found (external_id, status, power_type, max_power_w)
     WHERE connector.external_id = found.external_id
"""

_UPDATE_CONNECTOR_STATUSES = """
    UPDATE chargers_connector AS connector SET status = said.status
      FROM unnest(%s::text[], %s::text[]) AS said (external_id, status)
     WHERE connector.external_id = said.external_id
"""

_SESSIONS_AT = """
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
     WHERE station.external_id = ANY(%s) AND session.ended_at IS NULL
"""

# Of a station that is known to be so, too: an older word must not undo it later.
_APPLY_ONLINE = """
    WITH said AS (
        SELECT * FROM unnest(%s::text[], %s::bool[], %s::timestamptz[], %s::timestamptz[],
                             %s::bool[])
          AS said (external_id, online, at, outdates_until, is_return)),
    before AS (
        SELECT station.id, station.external_id, station.online, station.online_told_at
          FROM chargers_chargestation AS station
         WHERE station.external_id IN (SELECT external_id FROM said)
         ORDER BY station.id FOR NO KEY UPDATE),
    news AS (
        SELECT before.id, said.*,
               before.online <> said.online
               -- Told of the same time, it is the same return once more.
               OR (said.is_return AND before.online_told_at IS DISTINCT FROM said.at) AS is_change
          FROM said JOIN before ON before.external_id = said.external_id
         WHERE before.online_told_at IS NULL OR before.online_told_at <= said.at),
    told AS (
        UPDATE chargers_chargestation AS station
           SET online = news.online,
               online_told_at = GREATEST(station.online_told_at, news.outdates_until),
               online_changed_at = CASE WHEN news.is_change THEN news.at
                                        ELSE station.online_changed_at END
          FROM news WHERE station.id = news.id)
    SELECT id, online FROM news WHERE is_change
"""

_WAKE_COMMANDS = """
    UPDATE chargers_command AS command SET next_attempt_at = %s
      FROM chargers_session AS session
     WHERE session.chargestation_id = ANY(%s) AND session.ended_at IS NULL
       AND command.session_id = session.id AND command.state IN ('due', 'unconfirmed')
       AND command.reason IN ('station_offline', 'station_unreachable')
"""

_GIVEN_UP = """
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_command AS command ON command.session_id = session.id
                                      AND command.generation = session.generation
     WHERE session.chargestation_id = ANY(%s) AND session.ended_at IS NULL
       AND command.state = 'rejected'
"""

_OPEN_SESSIONS = """
    SELECT id FROM chargers_session WHERE chargestation_id = ANY(%s) AND ended_at IS NULL
"""
