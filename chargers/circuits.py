"""A session's circuit from SQL: the joins, the columns, and the reading of a row. For statements
that name the session `session`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargers.electricity import Circuit
from chargers.models import circuit_of

JOINS = """
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
      LEFT JOIN chargers_connector AS connector ON connector.id = session.connector_id
"""

# Volts per phase, and phases in use, as `chargers.models.circuit_of` has them.
VOLTAGE_V = "COALESCE(connector.voltage_v, site.voltage_v)"
PHASES = """
           COALESCE(NULLIF(connector.phases, 0),
                    CASE WHEN connector.power_type = 'ac_1_phase'
                           OR (COALESCE(connector.power_type, '') IN ('', 'unknown')
                               AND connector.max_power_w > 0
                               AND connector.max_power_w < 10000)
                         THEN 1 ELSE 3 END)
"""

COLUMNS = f"""
           connector.power_type, connector.phases, connector.max_current_a,
           connector.max_power_w, {VOLTAGE_V} AS voltage_v
"""

EXEMPT_REASON = """
           CASE WHEN session.exempt THEN 'exempt_session'
                WHEN station.exempt THEN 'exempt_chargestation'
                WHEN site.exempt THEN 'exempt_site' ELSE '' END
"""

# What an ampere comes to in watts, as `Circuit.watts` has it.
WATTS_PER_AMPERE = f"{VOLTAGE_V} * {PHASES}"

# The limit that is wanted of `session` in watts.
WANTED_W = f"""
           CASE session.wanted_unit WHEN 'power' THEN session.wanted_value
                WHEN 'current' THEN session.wanted_value * {WATTS_PER_AMPERE} END
"""


def of_row(row: Mapping[str, Any]) -> Circuit:
    """The circuit in a row that has COLUMNS."""
    return circuit_of(
        power_type=row["power_type"],
        phases=row["phases"],
        voltage_v=row["voltage_v"],
        max_current_a=row["max_current_a"],
        max_power_w=row["max_power_w"],
    )
