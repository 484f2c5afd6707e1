"""Comparing two independent books: the gateway's database and the simulator's ledger."""

from __future__ import annotations

from typing import Any

from tests.gateway_process import Gateway
from tests.simulation import Simulation

_CONFIRMED = """
    SELECT external_id, confirmed_unit AS unit, confirmed_value AS value, may_be_limited
      FROM chargers_session WHERE ended_at IS NULL
"""


def disagreements(gateway: Gateway, edrv: Simulation) -> dict[str, Any]:
    """Sessions whose confirmed limit is not what their station holds, with both."""
    ours = {row["external_id"]: row for row in gateway.rows(_CONFIRMED)}
    theirs = edrv.limits()
    pairs = {key: (_ours(ours[key]), theirs[key]) for key in ours.keys() & theirs.keys()}
    return {key: pair for key, pair in pairs.items() if not _agree(*pair)}


def _agree(confirmed: tuple[str, float] | None, row: dict[str, Any]) -> bool:
    limit = row["limit"] and (row["limit"]["unit"], row["limit"]["limit"])
    return confirmed == limit or (confirmed is None and held(row) is None)


def _ours(row: dict[str, Any]) -> tuple[str, float] | None:
    return None if row["unit"] is None else (row["unit"], row["value"])


def held(row: dict[str, Any]) -> tuple[str, float] | None:
    """What a station holds its car to. eDRV's simulators know no clear: their connector's maximum
    is no limit."""
    limit = row["limit"]
    if limit is None:
        return None
    is_everything = limit["unit"] == "current" and limit["limit"] >= row["max_current_a"]
    return None if is_everything else (limit["unit"], limit["limit"])


def held_down(edrv: Simulation) -> dict[str, Any]:
    """Open sessions that a station holds down, by the simulator's book."""
    return {key: row for key, row in edrv.limits().items() if held(row) is not None}


def unrecorded_requests(gateway: Gateway, edrv: Simulation, since: int = 0) -> list[Any]:
    """Set and clear requests the simulator got that no attempt tells of."""
    known = {
        row["action_id"]
        for row in gateway.rows("SELECT action_id FROM chargers_attempt WHERE action_id <> ''")
    }
    ambiguous = {
        row["external_id"]
        for row in gateway.rows(
            "SELECT session.external_id FROM chargers_attempt AS attempt"
            " JOIN chargers_session AS session ON session.id = attempt.session_id"
            " WHERE attempt.action_id IS NULL AND attempt.may_have_effect"
        )
    }
    return [
        row
        for row in edrv.commands()[since:]
        if row["action_id"] and row["action_id"] not in known and row["session"] not in ambiguous
    ]
