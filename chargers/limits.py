"""want(): record what sessions should be held to. The one way to cause a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from chargers import audit, news, sql
from chargers.electricity import Limit
from chargers.models import Command


@dataclass(frozen=True, slots=True)
class Want:
    """The limit a session should be held to; None for no limit. `cause` names, to people, who
    wants it; `expected_relief_w` decides who is served first."""

    session_id: int
    limit: Limit | None
    cause: str = ""
    expected_relief_w: float = 0.0


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """So many sessions whose waiting command is due now, and whose settled one was sent anew."""

    hurried: int
    sent_anew: int


@transaction.atomic
def want(wants: Sequence[Want], *, now: datetime) -> list[int]:
    """Record wanted limits; returns the ids of the sessions of which something else is wanted now.

    Each change is a new generation: the session's unsettled command is superseded and a new one
    becomes due. The end of a limit is sent only where a limit may be in force. Wanting the same
    again changes nothing.
    """
    wants = list({wanted.session_id: wanted for wanted in wants}.values())
    if not wants:
        return []
    sql.lock_sessions(wanted.session_id for wanted in wants)
    changed = _raise_generations(wants)
    _supersede(changed, now)
    _create_commands(changed, now)
    return changed


def reassert(session_ids: Sequence[int], *, now: datetime) -> None:
    """Send the wanted limit of these sessions anew: an older command is known to have reached
    the station after the newest."""
    with transaction.atomic():
        sql.lock_sessions(session_ids)
        changed = sql.ids(_REASSERT, [list(session_ids)])
        _supersede(changed, now)
        _create_commands(changed, now)


def try_again(session_ids: Sequence[int], *, now: datetime) -> TriedAgain:
    """Do now what can be done for these sessions: what waits for its next attempt is due at once;
    what was given up, or accepted to no effect, is sent anew as a new generation. What is on the
    wire, or awaits the station's answer, stays as it is."""
    with transaction.atomic():
        sql.lock_sessions(session_ids)
        asked_for = {"sessions": list(session_ids), "now": now}
        hurried = sql.ids(_HURRY, asked_for)
        settled = sql.ids(_SETTLED, asked_for)
        reassert(settled, now=now)
        news.tell_standing([*hurried, *settled])
    return TriedAgain(len(hurried), len(settled))


def _raise_generations(wants: Sequence[Want]) -> list[int]:
    return sql.ids(
        _RAISE_GENERATIONS,
        sql.columns(
            (
                (
                    wanted.session_id,
                    wanted.limit and str(wanted.limit.unit),
                    wanted.limit and wanted.limit.value,
                    wanted.cause,
                    wanted.expected_relief_w,
                )
                for wanted in wants
            ),
            5,
        ),
    )


def _supersede(session_ids: list[int], now: datetime) -> None:
    superseded = sql.ids(_SUPERSEDE, {"sessions": session_ids, "now": now})
    audit.record_commands(superseded, "superseded", at=now)


def _create_commands(session_ids: list[int], now: datetime) -> None:
    created = sql.rows(_CREATE_COMMANDS, {"sessions": session_ids, "now": now})
    for state in (Command.State.DUE, Command.State.MOOT):
        ids = [row["id"] for row in created if row["state"] == state]
        audit.record_commands(ids, state, at=now)


_RAISE_GENERATIONS = """
    UPDATE chargers_session AS session
       SET wanted_unit = wanted.unit, wanted_value = wanted.value,
           wanted_cause = wanted.cause, expected_relief_w = wanted.relief_w,
           generation = session.generation + 1,
           -- With nothing in force the end of a limit is reached as soon as it is wanted.
           confirmed_generation = CASE
               WHEN wanted.unit IS NULL AND NOT session.may_be_limited
               THEN session.generation + 1 ELSE session.confirmed_generation END
      FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::text[], %s::float8[])
        AS wanted (session_id, unit, value, cause, relief_w)
     WHERE session.id = wanted.session_id
       AND session.ended_at IS NULL
       AND (session.wanted_unit, session.wanted_value)
           IS DISTINCT FROM (wanted.unit, wanted.value)
 RETURNING session.id
"""

_REASSERT = """
    UPDATE chargers_session SET generation = generation + 1, may_be_limited = TRUE
     WHERE id = ANY(%s) AND ended_at IS NULL
 RETURNING id
"""

_HURRY = """
    UPDATE chargers_command AS command SET next_attempt_at = %(now)s
     WHERE session_id = ANY(%(sessions)s) AND state IN ('due', 'unconfirmed')
       AND next_attempt_at > %(now)s
       AND NOT EXISTS (SELECT FROM chargers_attempt AS attempt
                        WHERE attempt.session_id = command.session_id AND attempt.outcome = '')
 RETURNING session_id
"""

_SETTLED = """
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_command AS command
        ON command.session_id = session.id AND command.generation = session.generation
     WHERE session.id = ANY(%(sessions)s) AND session.ended_at IS NULL
       AND session.wanted_unit IS NOT NULL AND command.state IN ('rejected', 'accepted')
"""

_SUPERSEDE = """
    UPDATE chargers_command
       SET state = 'superseded', settled_at = %(now)s, next_attempt_at = NULL
     WHERE session_id = ANY(%(sessions)s) AND state IN ('due', 'sent', 'unconfirmed')
 RETURNING id
"""

# With nothing in force there is nothing to send, but since when a limit that was given up is not
# wanted any more would be nowhere: that is a clear which is moot from the start. Of one that was
# still on its way, being superseded says it.
_CREATE_COMMANDS = """
    INSERT INTO chargers_command
           (session_id, generation, kind, unit, value, cause, expected_relief_w, created_at,
            state, next_attempt_at, settled_at)
    SELECT session.id, session.generation,
           CASE WHEN session.wanted_unit IS NULL THEN 'clear' ELSE 'set' END,
           session.wanted_unit, session.wanted_value, session.wanted_cause,
           session.expected_relief_w, %(now)s,
           CASE WHEN to_send THEN 'due' ELSE 'moot' END,
           CASE WHEN to_send THEN %(now)s END, CASE WHEN NOT to_send THEN %(now)s END
      FROM chargers_session AS session
     CROSS JOIN LATERAL (
           SELECT session.wanted_unit IS NOT NULL OR session.may_be_limited) AS what (to_send)
     WHERE session.id = ANY(%(sessions)s)
       AND (to_send OR EXISTS (
            SELECT FROM chargers_command AS given_up
             WHERE given_up.session_id = session.id AND given_up.state = 'rejected'
               AND given_up.generation = session.generation - 1))
 RETURNING id, state
"""
