"""The sessions of an event as a list to work through: the worst first, narrowed by state or by
name. One query, whatever the size of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chargers import sql
from chargers.electricity import Limit
from chargers.models import as_limit
from dr_events.models import Participation

State = Participation.State
NON_RESPONSIVE = "non_responsive"
TROUBLE = "trouble"
UNRESTORED = "unrestored"
# What can be asked for, and which of the ranks below that is.
FILTERS: dict[str, tuple[int, ...]] = {
    "": (0, 1, 2, 3, 4, 5, 6, 7),
    TROUBLE: (0, 1, 2),
    State.FAILED: (0,),
    State.UNREACHABLE: (1,),
    NON_RESPONSIVE: (2,),
    State.PENDING: (3,),
    "not_complied": (4,),
    State.CONFIRMED: (2, 4, 5),
    State.EXEMPT: (6,),
    State.ENDED: (7,),
    # Of them only those that still lack their proof.
    UNRESTORED: (0, 1, 2, 3, 4, 5, 6, 7),
}
# Trying again helps these, and nobody else.
RETRIABLE = FILTERS[TROUBLE]
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which of an event's sessions: `state` is one of FILTERS; `text` the beginning of a session's
    eDRV id, or part of the name of its site or chargestation."""

    state: str = ""
    text: str = ""

    @classmethod
    def read(cls, query: Mapping[str, Any]) -> Narrowing:
        """From a query string; what is unknown means all."""
        state = str(query.get("state", ""))
        return cls(state if state in FILTERS else "", str(query.get("q", "")).strip()[:64])

    def as_query(self) -> dict[str, str]:
        return {name: told for name, told in (("state", self.state), ("q", self.text)) if told}


@dataclass(frozen=True, slots=True)
class Row:
    """One session of an event, as its page shows it."""

    participation_id: int
    session_id: int
    session: str
    chargestation_id: int
    chargestation: str
    site_id: int
    site: str
    timezone: str
    state: str
    reason: str
    attempts: int
    next_attempt_at: datetime | None
    accepted_at: datetime | None
    complied_at: datetime | None
    before_w: float | None
    power_w: float | None
    metered_at: datetime | None
    wanted: Limit | None
    confirmed: Limit | None
    was_limited: bool
    restored_at: datetime | None
    is_retriable: bool
    is_running: bool

    @property
    def is_unrestored(self) -> bool:
        """Let go of, without the proof so far that no limit is left."""
        return self.was_limited and self.restored_at is None


def rows_of(event_id: UUID, narrowing: Narrowing, *, most: int = MOST_SHOWN) -> list[Row]:
    """At most `most` + 1 of them: the one too many says that there are more."""
    found = sql.rows(
        _TEXT_ROWS if narrowing.text else _ROWS,
        {**_parameters(event_id, narrowing), "most": most + 1},
    )
    return [_row(found_row) for found_row in found]


def retriable_ids(event_id: UUID, narrowing: Narrowing) -> list[int]:
    """The ids of those sessions for which trying again can help."""
    parameters = _parameters(event_id, narrowing)
    parameters["ranks"] = sorted(set(parameters["ranks"]) & set(RETRIABLE))
    return sql.ids(_IDS, parameters)


def _parameters(event_id: UUID, narrowing: Narrowing) -> dict[str, Any]:
    text = narrowing.text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return {
        "event": event_id,
        "ranks": list(FILTERS[narrowing.state]),
        "unrestored": narrowing.state == UNRESTORED,
        "begins": f"{text}%",
        "has": f"%{text}%",
    }


def _row(row: dict[str, Any]) -> Row:
    rank, released_at = row.pop("rank"), row.pop("released_at")
    for name in ("wanted", "confirmed"):
        row[name] = as_limit(row.pop(f"{name}_unit"), row.pop(f"{name}_value"))
    is_running = released_at is None
    return Row(**row, is_retriable=is_running and rank in RETRIABLE, is_running=is_running)


_UNRESTORED = "part.was_limited AND part.restored_at IS NULL"

_RANK = """
    CASE part.state
         WHEN 'failed' THEN 0 WHEN 'unreachable' THEN 1 WHEN 'pending' THEN 3
         WHEN 'confirmed' THEN CASE WHEN part.reason = 'non_responsive' THEN 2
                                    WHEN part.complied_at IS NULL AND part.wanted_unit IS NOT NULL
                                    THEN 4 ELSE 5 END
         WHEN 'exempt' THEN 6 ELSE 7 END
"""

_JOINS = """
      JOIN chargers_session AS session ON session.id = part.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
"""

_MATCHES = """
       AND (session.external_id LIKE %(begins)s OR station.external_id LIKE %(begins)s
            OR station.name ILIKE %(has)s OR site.name ILIKE %(has)s
            OR site.feeder ILIKE %(begins)s)
"""

_COLUMNS = """
    part.id AS participation_id, part.session_id, session.external_id AS session,
    station.id AS chargestation_id,
    COALESCE(NULLIF(station.name, ''), station.external_id) AS chargestation,
    site.id AS site_id,
    COALESCE(NULLIF(site.name, ''), NULLIF(site.address, ''), site.external_id) AS site,
    site.timezone, part.state, part.reason, part.attempts, part.next_attempt_at,
    part.accepted_at, part.complied_at, part.before_w,
    CASE WHEN session.ended_at IS NULL THEN session.power_w END AS power_w, session.metered_at,
    part.wanted_unit, part.wanted_value, part.confirmed_unit, part.confirmed_value,
    part.was_limited, part.restored_at, part.released_at
"""

_PARTS = f"""
    SELECT part.*, {_RANK} AS rank FROM dr_events_participation AS part
     WHERE part.event_id = %(event)s AND {_RANK} = ANY(%(ranks)s::int[])
       AND (NOT %(unrestored)s OR {_UNRESTORED})
"""

_ORDER = f"({_UNRESTORED}) DESC, rank, part.before_w DESC NULLS LAST, part.id"

# The worst are found among the participations alone; only they are joined.
_ROWS = f"""
    SELECT rank, {_COLUMNS}
      FROM (SELECT * FROM ({_PARTS}) AS part ORDER BY {_ORDER} LIMIT %(most)s) AS part {_JOINS}
     ORDER BY {_ORDER}
"""

_TEXT_ROWS = f"""
    SELECT rank, {_COLUMNS} FROM ({_PARTS}) AS part {_JOINS}
     WHERE TRUE {_MATCHES} ORDER BY {_ORDER} LIMIT %(most)s
"""

_IDS = f"""
    SELECT part.session_id FROM ({_PARTS}) AS part {_JOINS}
     WHERE part.released_at IS NULL AND session.ended_at IS NULL {_MATCHES}
     ORDER BY part.session_id
"""
