"""Taking on due commands: the lease and the attempts, committed before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from django.db import transaction

from chargers import circuits, news, settlement, sql
from chargers.edrv import calls
from chargers.edrv.calls import Call, Endpoint
from chargers.models import Attempt, Command, as_limit
from chargers.retries import Request, Station, after_station_unreachable, request_for
from chargers.settlement import Move

# Of a command whose action is not to be looked at.
NO_ACTION = {"looked_attempt_id": None, "action_id": None}


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt taken on: what to send, and what is needed to judge the answer."""

    attempt_id: int
    command_id: int
    session_id: int
    session_external_id: str
    persist: bool
    station_online: bool
    verb: str
    reason: str
    number: int
    rejections: int
    looked_attempt_id: int | None
    call: Call


@transaction.atomic
def claim(most: int, *, endpoint: Endpoint, now: datetime, lease_until: datetime) -> list[Claim]:
    """Take on up to `most` due commands, those that promise the largest relief first."""
    taken: list[dict[str, Any]] = []
    sql.run(_BY_INDEX_ONLY)
    while not taken:
        due = _due(most, now)
        if not due:
            return []
        # Put off, so the next look finds others.
        _defer([row for row in due if _waits_for_station(row)], now)
        taken = [row for row in due if not _waits_for_station(row)]
    requests = [_request(row) for row in taken]
    attempt_ids = _open_attempts(taken, requests, now, lease_until)
    _lease(taken, requests, lease_until)
    return [
        _claim(row, request, attempt_ids[row["command_id"]], endpoint)
        for row, request in zip(taken, requests, strict=True)
    ]


def _due(most: int, now: datetime) -> list[dict[str, Any]]:
    due = _seen_again(sql.rows(_DUE, {"now": now, "most": most}))
    looking = [row["command_id"] for row in due if row["step"] == Command.Step.LOOK_ACTION]
    found = sql.rows(_KNOWN_ACTIONS, [looking]) if looking else []
    latest = {row["command_id"]: row for row in sorted(found, key=itemgetter("looked_attempt_id"))}
    return [{**row, **latest.get(row["command_id"], NO_ACTION)} for row in due]


def _seen_again(due: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A station that came online after the statement had begun, and before it had the sessions'
    locks, has woken what waited for it already: it will not do so again."""
    offline = [row["session_id"] for row in due if not row["online"]]
    if not offline:
        return due
    back = set(sql.ids(_AT_ONLINE_STATIONS, [offline]))
    return [{**row, "online": row["online"] or row["session_id"] in back} for row in due]


def _waits_for_station(row: dict[str, Any]) -> bool:
    """Offline as far as we know: not asked at first, probed later since webhooks get lost."""
    return not row["online"] and row["step"] == Command.Step.SEND and not row["reason"]


def _defer(offline: Sequence[dict[str, Any]], now: datetime) -> None:
    if not offline:
        return
    then = after_station_unreachable("station_offline")
    settlement.advance([Move(row["command_id"], row["attempts"], then) for row in offline], now=now)
    news.tell_standing(row["session_id"] for row in offline)


def _request(row: dict[str, Any]) -> Request:
    step = row["step"]
    if step == Command.Step.LOOK_SESSION:
        return Request(Attempt.Verb.LOOK_SESSION)
    if step == Command.Step.LOOK_ACTION and row["action_id"]:
        return Request(Attempt.Verb.LOOK_ACTION)
    limit = as_limit(row["unit"], row["value"])
    return request_for(
        row["kind"], limit, _station(row), rejections=row["rejections"], reason=row["reason"]
    )


def _station(row: dict[str, Any]) -> Station:
    return Station(
        is_simulator=row["is_simulator"],
        refused_units=tuple(row["refused_units"]),
        refuses_clear=row["refuses_clear"],
        circuit=circuits.of_row(row),
    )


def _open_attempts(
    taken: Sequence[dict[str, Any]],
    requests: Sequence[Request],
    now: datetime,
    lease_until: datetime,
) -> dict[int, int]:
    records = [
        (
            row["command_id"],
            row["session_id"],
            row["attempts"] + request.verb.is_sending,
            str(request.verb),
            request.limit and str(request.limit.unit),
            request.limit and request.limit.value,
        )
        for row, request in zip(taken, requests, strict=True)
    ]
    created = sql.rows(_OPEN_ATTEMPTS, [now, lease_until, *sql.columns(records, 6)])
    return {row["command_id"]: row["id"] for row in created}


def _lease(
    taken: Sequence[dict[str, Any]], requests: Sequence[Request], lease_until: datetime
) -> None:
    records = [
        (row["command_id"], int(request.verb.is_sending))
        for row, request in zip(taken, requests, strict=True)
    ]
    sql.run(_LEASE, [lease_until, *sql.columns(records, 2)])
    setting = [
        row["session_id"]
        for row, request in zip(taken, requests, strict=True)
        if request.verb is Attempt.Verb.SET and not row["may_be_limited"]
    ]
    if setting:
        sql.run("UPDATE chargers_session SET may_be_limited = TRUE WHERE id = ANY(%s)", [setting])


def _claim(row: dict[str, Any], request: Request, attempt_id: int, endpoint: Endpoint) -> Claim:
    return Claim(
        attempt_id=attempt_id,
        command_id=row["command_id"],
        session_id=row["session_id"],
        session_external_id=row["external_id"],
        persist=row["kind"] == Command.Kind.CLEAR or row["is_held"],
        station_online=row["online"],
        verb=request.verb,
        reason=row["reason"],
        number=row["attempts"] + request.verb.is_sending,
        rejections=row["rejections"],
        looked_attempt_id=row["looked_attempt_id"],
        call=_call(row, request, endpoint),
    )


def _call(row: dict[str, Any], request: Request, endpoint: Endpoint) -> Call:
    match request.verb:
        case Attempt.Verb.LOOK_ACTION:
            return calls.get_action(row["action_id"])
        case Attempt.Verb.LOOK_SESSION:
            return calls.get_session(row["external_id"])
        case Attempt.Verb.CLEAR:
            return calls.clear_power_limit(endpoint, row["external_id"])
        case _:
            assert request.limit is not None
            return calls.set_power_limit(endpoint, row["external_id"], request.limit)


def lease_for(timeout_s: float, *, now: datetime, margin_s: float) -> datetime:
    """Until when a claim is its worker's: a whole HTTP time-out and a margin."""
    return now + timedelta(seconds=timeout_s + margin_s)


# Statistics are older than a burst: by them there is next to nothing due, and a plan that joins and
# sorts all of it for every claim looks cheap. So does, in the first event of a database, a check of
# the attempts' foreign key that reads all commands for each (measured: 0.4 s for 1,000 attempts).
_BY_INDEX_ONLY = "SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off"

# A session whose older command is on the wire waits for that answer: eDRV must get a session's
# commands in their order. Rows that others have locked are left to them.
_DUE = f"""
    SELECT command.id AS command_id, command.kind, command.unit, command.value, command.step,
           command.reason, command.attempts, command.rejections,
           session.id AS session_id, session.external_id, session.may_be_limited,
           session.confirmed_unit IS NOT NULL AS is_held,
           station.online, station.is_simulator, station.refused_units, station.refuses_clear,
           {circuits.COLUMNS}
      FROM chargers_command AS command
      JOIN chargers_session AS session ON session.id = command.session_id
      {circuits.JOINS}
     WHERE command.state IN ('due', 'unconfirmed') AND command.next_attempt_at <= %(now)s
       AND command.session_id NOT IN (
           SELECT flying.session_id FROM chargers_attempt AS flying
            WHERE flying.outcome = '' AND flying.lease_until > %(now)s)
     ORDER BY command.expected_relief_w DESC, command.id
     LIMIT %(most)s
       FOR NO KEY UPDATE OF command, session SKIP LOCKED
"""

_AT_ONLINE_STATIONS = """
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
     WHERE session.id = ANY(%s) AND station.online
"""

_KNOWN_ACTIONS = """
    SELECT command_id, id AS looked_attempt_id, action_id FROM chargers_attempt
     WHERE command_id = ANY(%s) AND action_id IS NOT NULL
"""

_OPEN_ATTEMPTS = """
    INSERT INTO chargers_attempt
           (claimed_at, lease_until, command_id, session_id, number, verb, unit, value)
    SELECT %s, %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[],
                                 %s::text[], %s::float8[])
 RETURNING id, command_id
"""

_LEASE = """
    UPDATE chargers_command AS command
       SET next_attempt_at = %s, attempts = attempts + taken.sending
      FROM unnest(%s::bigint[], %s::int[]) AS taken (command_id, sending)
     WHERE command.id = taken.command_id
"""
