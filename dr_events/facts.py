"""What planning and judging need to know of sessions, read in one query for hundreds of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chargers import circuits, sql
from chargers.electricity import BelowMinimum, Circuit
from dr_events.models import Event
from dr_events.planner import Car, Order


def orders() -> dict[UUID, Order]:
    """The active events, as the planner sees them."""
    active = Event.objects.filter(status=Event.Status.ACTIVE)
    return {event.id: order_of(event) for event in active}


def order_of(event: Event) -> Order:
    """An event as the planner sees it."""
    return Order(
        event_id=event.id,
        label=event.label,
        priority=event.priority,
        declared_at=event.declared_at,
        limit=event.limit,
        below_minimum=BelowMinimum(event.below_minimum),
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """One open session: where it hangs, what it draws, why it may be exempt."""

    session_id: int
    external_id: str
    site: str
    chargestation: str
    online: bool
    is_simulator: bool
    circuit: Circuit
    power_w: float | None
    metered_at: datetime | None
    exempt_reason: str
    wanted_cause: str

    def car(self, event_ids: Sequence[UUID]) -> Car:
        return Car(
            self.session_id, self.circuit, self.power_w, tuple(event_ids), self.exempt_reason
        )


def of_sessions(session_ids: Iterable[int]) -> list[Facts]:
    """Facts of the open ones among these sessions."""
    return [_facts(row) for row in sql.rows(_FACTS, [list(session_ids)])]


def _facts(row: Mapping[str, Any]) -> Facts:
    return Facts(
        session_id=row["id"],
        external_id=row["external_id"],
        site=row["site"],
        chargestation=row["chargestation"],
        online=row["online"],
        is_simulator=row["is_simulator"],
        circuit=circuits.of_row(row),
        power_w=row["power_w"],
        metered_at=row["metered_at"],
        exempt_reason=row["exempt_reason"],
        wanted_cause=row["wanted_cause"],
    )


def memberships(session_ids: Iterable[int]) -> dict[int, list[UUID]]:
    """The active events in which each of these sessions is taking part."""
    found: dict[int, list[UUID]] = {}
    for row in sql.rows(_MEMBERSHIPS, [list(session_ids)]):
        found.setdefault(row["session_id"], []).append(row["event_id"])
    return found


_FACTS = f"""
    SELECT session.id, session.external_id, session.power_w, session.metered_at,
           session.wanted_cause,
           site.external_id AS site, station.external_id AS chargestation,
           station.online, station.is_simulator,
           {circuits.EXEMPT_REASON} AS exempt_reason,
           {circuits.COLUMNS}
      FROM chargers_session AS session
      {circuits.JOINS}
     WHERE session.id = ANY(%s) AND session.ended_at IS NULL
"""

_MEMBERSHIPS = """
    SELECT participation.session_id, participation.event_id
      FROM dr_events_participation AS participation
      JOIN dr_events_event AS event ON event.id = participation.event_id
     WHERE participation.session_id = ANY(%s) AND participation.released_at IS NULL
       AND event.status = 'active'
"""
