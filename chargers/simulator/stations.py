"""What a station answers to a command: one pure decision.

Sources: OCPP 1.6 SetChargingProfile (Accepted, Rejected, NotSupported) and ClearChargingProfile
(Accepted, Unknown). The shape of a failed action's `response_data` is in no page of eDRV's; the
OCPP status, and `error` where no answer came, are our choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargers.simulator.cars import Limit
from chargers.simulator.model import Json, Kind

SIMULATOR_SET = "eDRV simulators only support set_power_limit with unit current"
SIMULATOR_CLEAR = "clear_power_limit is only available on physical chargestations"


@dataclass(frozen=True, slots=True)
class Answer:
    accepted: bool
    response_data: Json


def accepted() -> Answer:
    return Answer(True, {"status": "Accepted"})


def refused(status: str) -> Answer:
    return Answer(False, {"status": status})


def no_answer() -> Answer:
    return Answer(False, {"error": "Timeout: the chargestation did not respond"})


def unsupported(kind: Kind, limit: Limit | None) -> str | None:
    """Why eDRV's own simulators take no such command (`limit` None: a clear), if they don't."""
    if kind is not Kind.SIMULATOR:
        return None
    if limit is None:
        return SIMULATOR_CLEAR
    return SIMULATOR_SET if limit.unit != "current" else None


def answer(
    kind: Kind,
    limit: Limit | None,
    *,
    session_running: bool,
    has_limit: bool,
    strict_clear: bool,
) -> Answer:
    """What a reachable station says to a set, or to a clear if `limit` is None."""
    if unsupported(kind, limit):
        return refused("NotSupported")
    if not session_running:  # no running transaction to hang a TxProfile on
        return refused("Rejected" if limit else "Unknown")
    if limit is None:
        return refused("Unknown") if strict_clear and not has_limit else accepted()
    if kind is Kind.AMPERES_ONLY and limit.unit == "power":
        return refused("Rejected")
    return accepted()
