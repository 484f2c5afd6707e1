"""Giving power back gently: who of an event's sessions is let go now, so that the feeder's load
comes back as a slope and not as a step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chargers import circuits, sql
from chargers.models import as_limit
from dr_events import pacing
from dr_events.demand import IDLE_W
from dr_events.pacing import Pace, Paced, Step


def leaving(event_id: UUID, pace: Pace, *, now: datetime) -> Paced:
    """The sessions whose time has come, and those with nothing to give back.

    Who was held the longest goes first; of those that came together chance draws the order, in
    every event anew.
    """
    rows = sql.rows(_STILL_IN, [event_id])
    at_once = [row["session_id"] for row in rows if not row["is_held"]]
    held = [row for row in rows if row["is_held"]]
    steps = [
        (row["joined_at"], chance, Step(row["session_id"], rebound_w(row), chance))
        for row in held
        for chance in [pacing.chance(event_id, row["session_id"])]
    ]
    found = pacing.paced([step for *_, step in sorted(steps, key=_order)], pace, now=now)
    return Paced(at_once + found.due, found.reached_at, found.next_at)


def _order(one: tuple[datetime, float, Step]) -> tuple[datetime, float]:
    return one[0], one[1]


def rebound_w(row: Mapping[str, Any]) -> float:
    """What a session may draw more once its limit is gone: up to its draw before the event or,
    where that says nothing, all that its connector gives."""
    circuit = circuits.of_row(row)
    full_w = circuit.watts(circuit.everything)
    limit = as_limit(row["wanted_unit"], row["wanted_value"])
    limit_w = circuit.watts(limit) if limit else full_w
    before_w = row["before_w"]
    after_w = full_w if before_w is None or before_w < IDLE_W else min(before_w, full_w)
    now_w = limit_w if row["power_w"] is None else min(row["power_w"], limit_w)
    return float(max(0.0, after_w - now_w))


_STILL_IN = f"""
    SELECT participation.session_id, participation.joined_at, participation.before_w,
           participation.wanted_unit, participation.wanted_value, session.power_w,
           participation.binding AND participation.wanted_unit IS NOT NULL
               AND session.ended_at IS NULL AS is_held,
           {circuits.COLUMNS}
      FROM dr_events_participation AS participation
      JOIN chargers_session AS session ON session.id = participation.session_id
      {circuits.JOINS}
     WHERE participation.event_id = %s AND participation.released_at IS NULL
"""
