"""What answers do to commands and sessions: the one place where either is settled.

An answer comes three ways (in the HTTP answer, by webhook, by looking at the action) and all
three end here. An answer to generation n settles n only (P5); settling twice changes nothing. Of
answers that contradict each other `completed` counts, whichever came first: a limit that may be in
force must not be taken for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from django.db import transaction

from chargers import audit, limits, news, sql
from chargers.edrv.payloads import Action, ActionStatus
from chargers.models import Command
from chargers.retries import (
    STATION_UNREACHABLE,
    Next,
    after_rejection,
    after_station_unreachable,
    read_failure,
)

log = structlog.get_logger(__name__)

MAX_ANSWER = 2000
# How far eDRV's clock may be ahead of ours.
MAX_CLOCK_AHEAD = timedelta(minutes=1)
# An attempt's outcome once its station has spoken.
VERDICTS = {"accepted", "rejected_by_station", "not_supported_by_station", *STATION_UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Answer:
    """The station's answer to one attempt."""

    attempt_id: int
    action: Action


@dataclass(frozen=True, slots=True)
class Move:
    """A command's next step after one of its attempts. `number` is that attempt's: a step
    decided on an older attempt than the last is not taken. `sent_at`: when it went out, where
    that has only now become known."""

    command_id: int
    number: int
    next: Next
    sent_at: datetime | None = None


@transaction.atomic
def settle(answers: Sequence[Answer], *, now: datetime, are_locked: bool = False) -> None:
    """Apply the stations' answers: completed or failed actions. Others change nothing.

    are_locked: the caller has locked the sessions of all that are completed or failed.
    """
    final = {answer.attempt_id: answer for answer in answers if answer.action.is_final}
    if not final:
        return
    if not are_locked:
        _lock(final)
    tries = sql.rows(_TRIES, [list(final)])
    accepted: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for found in tries:
        action = final[found["attempt_id"]].action
        reason = _failure_reason(found, action)
        if reason and found["outcome"] in VERDICTS:
            continue  # told once more, or after its opposite: that it was completed stands
        (failed if reason else accepted).append({**found, "action": action, "reason": reason})
    _record_answers([*accepted, *failed])
    _accept(accepted, now)
    _fail(failed, now)
    news.tell_standing(found["session_id"] for found in tries)


def _failure_reason(found: dict[str, Any], action: Action) -> str:
    if action.status is ActionStatus.COMPLETED:
        return ""
    reason = read_failure(found["verb"], action.response_data)
    is_offline = reason == "rejected_by_station" and not found["online"]
    return "station_offline" if is_offline else reason


def _lock(attempt_ids: Iterable[int]) -> None:
    sql.lock_sessions(
        sql.ids("SELECT session_id FROM chargers_attempt WHERE id = ANY(%s)", [list(attempt_ids)])
    )


def _record_answers(found: Sequence[dict[str, Any]]) -> None:
    sql.run(
        _RECORD_ANSWERS,
        sql.columns(
            (
                (
                    row["attempt_id"],
                    row["reason"] or "accepted",
                    not row["reason"] or row["reason"] == "station_unreachable",
                    row["action"].updated_at,
                    _shown(row["action"].response_data) if row["reason"] else "",
                )
                for row in found
            ),
            5,
        ),
    )


def _shown(response_data: Any) -> str:
    text = orjson.dumps(response_data).decode()
    return text.replace("\\u0000", "")[:MAX_ANSWER]


def _accept(accepted: Sequence[dict[str, Any]], now: datetime) -> None:
    if not accepted:
        return
    attempt_ids = [row["attempt_id"] for row in accepted]
    settled = sql.ids(_ACCEPT_COMMANDS, {"attempts": attempt_ids, "now": now})
    sql.run(_CONFIRM_SESSIONS, {"attempts": attempt_ids, "now": now})
    _remember_limits(accepted)
    _learn(accepted, settled)
    audit.record_commands(settled, "accepted", at=now)
    log.info(
        "commands.accepted",
        commands=[row["command_id"] for row in accepted],
        sessions=[row["session"] for row in accepted],
    )
    _undo_overtaking(accepted, now)


def _remember_limits(accepted: Sequence[dict[str, Any]]) -> None:
    """A limit that had counted as failed is in force after all, though more is wanted by now."""
    passed = {
        row["session_id"]
        for row in accepted
        if row["kind"] == Command.Kind.SET and row["command_generation"] < row["generation"]
    }
    if passed:
        sql.run(_REMEMBER_LIMITS, {"sessions": sorted(passed)})


def _learn(accepted: Sequence[dict[str, Any]], settled: Sequence[int]) -> None:
    """What was accepted at the first attempt was refused at none."""
    again = {row["command_id"] for row in accepted if row["attempts"] > 1}.intersection(settled)
    if again:
        sql.run(_LEARN_FROM_ACCEPTANCE, {"commands": sorted(again)})


def _undo_overtaking(accepted: Sequence[dict[str, Any]], now: datetime) -> None:
    """The first generation of a session has overtaken nothing, and nothing has overtaken it."""
    later = sorted({row["session_id"] for row in accepted if row["generation"] > 1})
    if not later:
        return
    overtaken = sql.ids(_OVERTAKEN, {"sessions": later, "believable": now + MAX_CLOCK_AHEAD})
    if overtaken:
        limits.reassert(overtaken, now=now)


def _fail(failed: Sequence[dict[str, Any]], now: datetime) -> None:
    if not failed:
        return
    moves = [_move_after_failure(row, now) for row in failed]
    advance(moves, now=now)
    _log_failed(failed, moves)
    reconsider_limited([row["session_id"] for row in failed])


def _log_failed(failed: Sequence[dict[str, Any]], moves: Sequence[Move]) -> None:
    for row, move in zip(failed, moves, strict=True):
        log.warning(
            "command.failed",
            command=row["command_id"],
            session=row["session"],
            cause=row["cause"],
            reason=row["reason"],
            next=str(move.next.state),
            after_s=round(move.next.after_s, 1),
        )


def _move_after_failure(row: dict[str, Any], now: datetime) -> Move:
    reason = row["reason"]
    if reason in STATION_UNREACHABLE:
        then = after_station_unreachable(reason, came_back=_came_back(row, now))
    else:
        persist = row["kind"] == Command.Kind.CLEAR or row["is_held"]
        then = after_rejection(reason, rejections=row["rejections"] + 1, persist=persist)
    return Move(row["command_id"], row["number"], then)


def _came_back(row: dict[str, Any], now: datetime) -> bool:
    """Whether the station has come online since the attempt went out. A return that is still to
    come is a wrong clock: believed, every attempt until then would be made again at once."""
    changed_at = row["online_changed_at"]
    return row["online"] and changed_at is not None and row["went_out_at"] < changed_at <= now


def advance(moves: Sequence[Move], *, now: datetime) -> None:
    """Take each command's next step, unless it is settled or a newer attempt is under way."""
    taken = sql.rows(
        _ADVANCE,
        [
            *sql.columns(
                (
                    (
                        move.command_id,
                        move.number,
                        str(move.next.state),
                        str(move.next.step),
                        now + timedelta(seconds=move.next.after_s),
                        move.next.reason,
                        int(move.next.rejected),
                        move.sent_at,
                    )
                    for move in moves
                ),
                8,
            ),
            now,
        ],
    )
    _note_sent(moves, but={row["id"] for row in taken})
    rejected = [row["id"] for row in taken if row["state"] == "rejected"]
    audit.record_commands(rejected, "rejected", at=now)


def _note_sent(moves: Sequence[Move], *, but: set[int]) -> None:
    """What is settled already, or under way anew, was sent all the same."""
    late = [(move.command_id, move.sent_at) for move in moves if move.command_id not in but]
    if late:
        sql.run(_NOTE_SENT, sql.columns(late, 2))


def reconsider_limited(session_ids: Sequence[int]) -> None:
    """After a failure: is there still any attempt that may have left a limit behind?"""
    if session_ids:
        sql.run(_RECONSIDER_LIMITED, {"sessions": list(session_ids)})


@transaction.atomic
def end_sessions(session_ids: Sequence[int], *, now: datetime) -> None:
    """The sessions' commands are moot: a limit ends with its session (OCPP 1.6, TxProfile)."""
    moot = sql.ids(_MOOT, {"sessions": list(session_ids), "now": now})
    audit.record_commands(moot, "moot", at=now)
    news.tell(session_ids)


def expire_deadlines(*, now: datetime, deadline: Next, batch: int = 5000) -> int:
    """Commands that eDRV took and no webhook answered in time become unconfirmed."""
    with transaction.atomic():
        expired = sql.rows(_EXPIRE, {"now": now, "reason": deadline.reason, "batch": batch})
        news.tell_standing(row["session_id"] for row in expired)
        audit.record_commands([row["id"] for row in expired], "unconfirmed", at=now)
    return len(expired)


_TRIES = """
    SELECT attempt.id AS attempt_id, attempt.number, attempt.verb, attempt.session_id,
           attempt.outcome, command.id AS command_id, command.kind, command.cause,
           command.attempts, command.rejections, command.generation AS command_generation,
           session.external_id AS session, session.generation,
           session.confirmed_unit IS NOT NULL AS is_held, station.online,
           station.online_changed_at,
           COALESCE(attempt.sent_at, attempt.claimed_at) AS went_out_at
      FROM chargers_attempt AS attempt
      JOIN chargers_command AS command ON command.id = attempt.command_id
      JOIN chargers_session AS session ON session.id = attempt.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
     WHERE attempt.id = ANY(%s)
"""

_RECORD_ANSWERS = """
    UPDATE chargers_attempt AS attempt
       SET outcome = said.outcome, may_have_effect = said.may_have_effect,
           station_at = said.station_at, answer = said.answer
      FROM unnest(%s::bigint[], %s::text[], %s::bool[], %s::timestamptz[], %s::text[])
        AS said (attempt_id, outcome, may_have_effect, station_at, answer)
     WHERE attempt.id = said.attempt_id
"""

# Found by their ids first, here and below. By statistics older than a burst next to nothing is
# unsettled, and holding each that is against each that is meant looks cheap.
_ACCEPT_COMMANDS = """
    WITH meant AS MATERIALIZED (
        SELECT command.id, command.settled_at FROM chargers_attempt AS attempt
          JOIN chargers_command AS command ON command.id = attempt.command_id
         WHERE attempt.id = ANY(%(attempts)s))
    UPDATE chargers_command AS command
       SET state = 'accepted', accepted_at = %(now)s, settled_at = %(now)s,
           next_attempt_at = NULL, reason = ''
      FROM meant WHERE command.id = meant.id AND meant.settled_at IS NULL
 RETURNING command.id
"""

# An older generation's answer is the truth about the station until a newer one is confirmed, so
# it counts; but it proves no absence of a limit that a newer command may have set since.
_CONFIRM_SESSIONS = """
    UPDATE chargers_session AS session
       SET confirmed_unit = CASE WHEN newest.kind = 'set' THEN newest.unit END,
           confirmed_value = CASE WHEN newest.kind = 'set' THEN newest.value END,
           confirmed_generation = newest.generation, confirmed_at = %(now)s,
           may_be_limited = newest.kind = 'set' OR newest.generation < session.generation
      FROM (SELECT DISTINCT ON (attempt.session_id) attempt.session_id, attempt.unit,
                   attempt.value, command.kind, command.generation
              FROM chargers_attempt AS attempt
              JOIN chargers_command AS command ON command.id = attempt.command_id
             WHERE attempt.id = ANY(%(attempts)s)
             ORDER BY attempt.session_id, command.generation DESC) AS newest
     WHERE session.id = newest.session_id
       AND session.ended_at IS NULL AND session.confirmed_generation < newest.generation
"""

# What the station refused before it accepted, it will refuse again.
_LEARN_FROM_ACCEPTANCE = """
    WITH learned AS (
        SELECT session.chargestation_id,
               max(refused.unit) FILTER (WHERE refused.verb = 'set'
                                           AND refused.unit <> accepted.unit) AS refused_unit,
               bool_or(refused.verb = 'clear' AND accepted.verb = 'set'
                       AND refused.outcome <> 'rejected_by_station') AS refuses_clear
          FROM chargers_attempt AS accepted
          JOIN chargers_attempt AS refused ON refused.command_id = accepted.command_id
          JOIN chargers_session AS session ON session.id = accepted.session_id
         WHERE accepted.command_id = ANY(%(commands)s) AND accepted.outcome = 'accepted'
           AND refused.outcome IN
               ('rejected_by_station', 'not_supported_by_station', 'refused_by_edrv')
         GROUP BY session.chargestation_id),
    locked AS (
        SELECT id FROM chargers_chargestation
         WHERE id IN (SELECT chargestation_id FROM learned) ORDER BY id FOR NO KEY UPDATE)
    UPDATE chargers_chargestation AS station
       SET refused_units = CASE WHEN learned.refused_unit IS NULL THEN station.refused_units
                                ELSE ARRAY[learned.refused_unit] END,
           refuses_clear = station.refuses_clear OR learned.refuses_clear
      FROM learned JOIN locked ON locked.id = learned.chargestation_id
     WHERE station.id = learned.chargestation_id
"""

# Whether any attempt may have left a limit at the station of `session`.
_A_LIMIT_MAY_REMAIN = """
           EXISTS (
           SELECT FROM chargers_attempt AS attempt
            WHERE attempt.session_id = session.id AND attempt.may_have_effect
              AND attempt.verb = 'set'
              AND attempt.id > COALESCE((
                  SELECT max(cleared.id) FROM chargers_attempt AS cleared
                    JOIN chargers_command AS clear ON clear.id = cleared.command_id
                   WHERE cleared.session_id = session.id AND clear.kind = 'clear'
                     AND cleared.outcome = 'accepted'), 0))
"""

_REMEMBER_LIMITS = f"""
    UPDATE chargers_session AS session SET may_be_limited = TRUE
     WHERE session.id = ANY(%(sessions)s) AND NOT session.may_be_limited
       AND session.ended_at IS NULL AND {_A_LIMIT_MAY_REMAIN}
"""

# An older command that the station accepted later than the newest, whichever answer came first;
# or a limit where none is wanted and, since none seemed to be in force, no clear was sent.
# A station time that is still to come is a wrong clock: believed, it would never be outlived.
_OVERTAKEN = """
    SELECT session.id
      FROM chargers_session AS session
      LEFT JOIN chargers_command AS newest
        ON newest.session_id = session.id AND newest.generation = session.generation
     WHERE session.id = ANY(%(sessions)s)
       AND session.ended_at IS NULL AND session.generation = session.confirmed_generation
       AND CASE WHEN newest.id IS NULL OR newest.state = 'moot' THEN session.may_be_limited
                ELSE EXISTS (
           SELECT FROM chargers_attempt AS late
             JOIN chargers_command AS old ON old.id = late.command_id
            WHERE old.session_id = session.id AND old.generation < newest.generation
              AND late.outcome = 'accepted' AND late.station_at <= %(believable)s
              AND late.station_at > (
                  SELECT max(confirmed.station_at) FROM chargers_attempt AS confirmed
                   WHERE confirmed.command_id = newest.id AND confirmed.outcome = 'accepted')) END
"""

_ADVANCE = """
    WITH move AS MATERIALIZED (
        SELECT move.*, command.attempts, command.settled_at AS was_settled_at
          FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::timestamptz[],
                      %s::text[], %s::int[], %s::timestamptz[])
            AS move (command_id, number, state, step, at, reason, rejected, sent_at)
          JOIN chargers_command AS command ON command.id = move.command_id)
    UPDATE chargers_command AS command
       SET state = move.state, step = move.step, reason = move.reason,
           first_sent_at = LEAST(command.first_sent_at, move.sent_at),
           rejections = command.rejections + move.rejected,
           next_attempt_at = CASE WHEN move.state = 'rejected' THEN NULL ELSE move.at END,
           settled_at = CASE WHEN move.state = 'rejected' THEN %s::timestamptz END
      FROM move
     WHERE command.id = move.command_id
       AND move.attempts = move.number AND move.was_settled_at IS NULL
 RETURNING command.id, command.state
"""

_NOTE_SENT = """
    UPDATE chargers_command AS command
       SET first_sent_at = LEAST(command.first_sent_at, move.sent_at)
      FROM unnest(%s::bigint[], %s::timestamptz[]) AS move (command_id, sent_at)
     WHERE command.id = move.command_id AND move.sent_at IS NOT NULL
"""

_RECONSIDER_LIMITED = f"""
    UPDATE chargers_session AS session SET may_be_limited = FALSE
     WHERE session.id = ANY(%(sessions)s) AND session.may_be_limited
       AND session.confirmed_unit IS NULL AND NOT {_A_LIMIT_MAY_REMAIN}
"""

_MOOT = """
    UPDATE chargers_command SET state = 'moot', settled_at = %(now)s, next_attempt_at = NULL
     WHERE session_id = ANY(%(sessions)s) AND state IN ('due', 'sent', 'unconfirmed')
 RETURNING id
"""

_EXPIRE = """
    UPDATE chargers_command
       SET state = 'unconfirmed', step = 'look_action', reason = %(reason)s
     WHERE id IN (SELECT id FROM chargers_command
                   WHERE state = 'sent' AND next_attempt_at <= %(now)s
                   ORDER BY next_attempt_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
 RETURNING id, session_id
"""
