"""A fleet of any size, and an event that all of it has accepted, filled in by SQL."""

from __future__ import annotations

# From 3.7 to 22 kW, in no order.
AC_POWER_W = "3700 + mod(number * 7919, 18380)"
# One in ten is a DC charger of 50 to 150 kW.
MIXED_POWER_W = (
    "CASE WHEN mod(number, 10) = 0 THEN 50000 + mod(number * 7919, 100000)"
    " ELSE 3700 + mod(number * 7919, 18380) END"
)


def fill(sessions: int, *, power_w: str = AC_POWER_W) -> None:
    """So many charging sessions. `power_w`: SQL of what each draws, from its `number`."""
    from chargers import sql

    for statement in FILL:
        sql.run(statement.replace("{power_w}", power_w), {"sessions": sessions})


def limit(event_id: str, *, limit_w: float) -> None:
    """All sessions take part in the event, and have accepted its limit."""
    from chargers import sql

    for statement in LIMIT:
        sql.run(statement, {"event": event_id, "limit_w": limit_w})


# Two connectors a station, 25 stations a site, 40 sites a feeder.
FILL = (
    """
    INSERT INTO chargers_site (id, external_id, name, address, timezone, grid_zone, substation,
                               feeder, voltage_v, exempt, exempt_reason)
    SELECT number, 'site-' || number, 'Site ' || number, '', 'UTC', 'North', 'Millbrook',
           'F' || number / 40, 230, FALSE, ''
      FROM generate_series(1, %(sessions)s / 50 + 1) AS number
    """,
    """
    INSERT INTO chargers_chargestation (id, external_id, site_id, name, protocol, online,
           is_simulator, refused_units, refuses_clear, exempt, exempt_reason)
    SELECT number, 'station-' || number, number / 25 + 1, 'Station ' || number, 'ocpp1.6', TRUE,
           FALSE, '{}', FALSE, FALSE, ''
      FROM generate_series(1, %(sessions)s / 2 + 1) AS number
    """,
    """
    INSERT INTO chargers_connector (id, external_id, chargestation_id, status, power_type,
                                    max_power_w)
    SELECT number, 'connector-' || number, number / 2 + 1, 'charging',
           CASE WHEN {power_w} > 22080 THEN 'dc' ELSE 'ac_3_phase' END,
           CASE WHEN {power_w} > 22080 THEN 150000 ELSE 22080 END
      FROM generate_series(1, %(sessions)s) AS number
    """,
    """
    INSERT INTO chargers_session (id, external_id, chargestation_id, connector_id, status,
           started_at, heard_at, power_w, metered_at, exempt, exempt_reason)
    SELECT number, lpad(to_hex(number), 24, '0'), number / 2 + 1, number, 'started',
           now() - INTERVAL '1 hour', now(), {power_w}, now() - INTERVAL '10 s', FALSE, ''
      FROM generate_series(1, %(sessions)s) AS number
    """,
)

# As planning, a dispatcher and the inbox leave them behind.
LIMIT = (
    """
    UPDATE chargers_session
       SET generation = 1, confirmed_generation = 1, confirmed_at = now(), may_be_limited = TRUE,
           wanted_unit = 'power', wanted_value = %(limit_w)s, wanted_cause = 'benchmark',
           confirmed_unit = 'power', confirmed_value = %(limit_w)s
    """,
    """
    INSERT INTO chargers_command (session_id, generation, kind, unit, value, cause, state, attempts,
           created_at, first_sent_at, accepted_at, settled_at)
    SELECT id, 1, 'set', 'power', %(limit_w)s, 'benchmark', 'accepted', 1, now(), now(), now(),
           now()
      FROM chargers_session ORDER BY id
    """,
    """
    INSERT INTO chargers_attempt (command_id, session_id, number, verb, unit, value, claimed_at,
           lease_until, sent_at, answered_at, http_status, action_id, outcome, station_at)
    SELECT id, session_id, 1, 'set', 'power', value, now(), now(), now(), now(), 200,
           'action-' || id, 'accepted', now()
      FROM chargers_command ORDER BY id
    """,
    """
    INSERT INTO dr_events_participation (event_id, session_id, state, reason, binding, joined_at,
           joined_late, joined_generation, before_w, wanted_unit, wanted_value, wanted_at,
           confirmed_unit, confirmed_value, attempts, first_sent_at, accepted_at, was_limited)
    SELECT %(event)s::uuid, id, 'confirmed', '', TRUE, now(), FALSE, 0, power_w, 'power',
           %(limit_w)s, now(), 'power', %(limit_w)s, 1, now(), now(), FALSE
      FROM chargers_session ORDER BY id
    """,
    """
    INSERT INTO chargers_meterreading (session_id, metered_at, power_w)
    SELECT id, now() - number * INTERVAL '30 s', 4000
      FROM chargers_session CROSS JOIN generate_series(0, 2) AS number
    """,
)
