"""Comparing both books at the end of a fault, and asking again where nobody answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import psycopg
import requests

from tests.books import disagreements, held_down, unrecorded_requests
from tests.gateway_process import Gateway
from tests.simulation import Simulation
from tests.waiting import wait_until

Said = TypeVar("Said")

UNSETTLED = "SELECT count(*) FROM chargers_command WHERE state IN ('due', 'sent', 'unconfirmed')"
UNFINISHED = "SELECT count(*) FROM dr_events_event WHERE status IN ('active', 'restoring')"


def compare(gateway: Gateway, edrv: Simulation) -> None:
    """After everything is over: nobody limited, all settled, database and ledger the same."""
    assert held_down(edrv) == {}
    wait_until(lambda: not disagreements(gateway, edrv))
    assert unrecorded_requests(gateway, edrv) == []
    wait_until(lambda: gateway.rows(UNSETTLED) == [{"count": 0}])


def end_and_compare(gateway: Gateway, edrv: Simulation, *event_ids: str) -> None:
    """End these events; when no event is left, the books must agree."""
    for event_id in event_ids:
        insist(lambda event_id=event_id: gateway.end(event_id))
    wait_until(lambda: gateway.rows(UNFINISHED) == [{"count": 0}], within_s=180, every_s=0.3)
    compare(gateway, edrv)


def wait_until_all_confirmed(
    gateway: Gateway, event_id: str, sessions: int, *, within_s: float = 180
) -> dict[str, Any]:
    """Every one of so many sessions is confirmed; what fails may leave an answer to wait for,
    never a session to forget."""

    @returning_false_for_errors
    def confirmed() -> Any:
        parts = gateway.participations(event_id)
        states = {part["state"] for part in parts.values()}
        return parts if len(parts) == sessions and states == {"confirmed"} else None

    return dict(wait_until(confirmed, within_s=within_s, every_s=0.3))


def insist(call: Callable[[], Said]) -> Said:
    """Call again until it is answered, as a client does whose order is idempotent."""
    give_up_at = time.monotonic() + 120
    while True:
        try:
            return call()
        except (RuntimeError, requests.RequestException):
            assert time.monotonic() < give_up_at, "no answer within two minutes"
            time.sleep(0.5)


def returning_false_for_errors(check: Callable[..., Any]) -> Callable[..., Any]:
    """Who cannot be asked has not said yes."""

    @wraps(check)
    def ask(*arguments: Any) -> Any:
        try:
            return check(*arguments)
        except (RuntimeError, requests.RequestException, psycopg.OperationalError):
            return False

    return ask
