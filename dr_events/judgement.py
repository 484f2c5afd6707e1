"""Where a participation stands: wanted against confirmed against metered.

`judge` is pure; `refresh` reads the facts, judges, and writes what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from chargers import circuits, sql
from chargers.electricity import Limit
from chargers.models import Command, as_limit
from chargers.retries import REJECTIONS
from dr_events import opt_outs
from dr_events.models import Participation

State = Participation.State


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When metering counts as "at or under the limit": up to a share of it or so many watts
    above, whichever is more; and how long a car may take."""

    share: float
    watts: float
    patience: timedelta

    @classmethod
    def from_settings(cls) -> Tolerance:
        return cls(
            settings.COMPLIANCE_TOLERANCE,
            settings.COMPLIANCE_TOLERANCE_W,
            timedelta(seconds=settings.COMPLIANCE_PATIENCE_S),
        )

    def allows(self, power_w: float, limit_w: float) -> bool:
        return power_w <= limit_w + max(self.share * limit_w, self.watts)


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a judgement rests on. `limit_w` is the confirmed limit in watts; `power_w` the
    latest metered draw; the command is that of the session's present generation."""

    exempt_reason: str = ""
    binding: bool = True
    command_state: str | None = None
    command_reason: str = ""
    rejections: int = 0
    accepted_at: datetime | None = None
    limit_w: float | None = None
    power_w: float | None = None
    metered_at: datetime | None = None
    complied_at: datetime | None = None
    over_limit_since: datetime | None = None
    non_responsive_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where a participation stands; when it was accepted, complied, went over its limit, and was
    first found to ignore it."""

    state: State
    reason: str = ""
    accepted_at: datetime | None = None
    complied_at: datetime | None = None
    over_limit_since: datetime | None = None
    non_responsive_at: datetime | None = None


def judge(standing: Standing, *, tolerance: Tolerance) -> Judgement:
    """State and reason of a running participation."""
    if standing.exempt_reason:
        return Judgement(State.EXEMPT, standing.exempt_reason)
    if standing.command_state == Command.State.ACCEPTED:
        return _judge_metering(standing, tolerance)
    reason = standing.command_reason
    if reason in REJECTIONS:
        # One rejection may only mean that the station speaks in the other unit.
        final = standing.rejections > 1 or standing.command_state == Command.State.REJECTED
        return Judgement(State.FAILED if final else State.PENDING, reason)
    return Judgement(State.UNREACHABLE if reason else State.PENDING, reason)


def _judge_metering(standing: Standing, tolerance: Tolerance) -> Judgement:
    complied_at, over_since = _since_acceptance(standing), standing.over_limit_since
    late, first_late_at = False, standing.non_responsive_at
    if _is_metered_since_acceptance(standing):
        assert standing.power_w is not None
        assert standing.limit_w is not None
        assert standing.metered_at is not None
        if tolerance.allows(standing.power_w, standing.limit_w):
            complied_at, over_since = complied_at or standing.metered_at, None
        else:
            over_since = over_since or standing.metered_at
            # From reading to reading: silence since then proves nothing.
            late = standing.metered_at - over_since >= tolerance.patience
            first_late_at = first_late_at or (standing.metered_at if late else None)
    reason = "non_responsive" if late else "" if standing.binding else "outranked"
    return Judgement(
        State.CONFIRMED, reason, standing.accepted_at, complied_at, over_since, first_late_at
    )


def _since_acceptance(standing: Standing) -> datetime | None:
    """When it complied with this limit; with an earlier one is not enough."""
    at, accepted_at = standing.complied_at, standing.accepted_at
    return at if at is not None and accepted_at is not None and at >= accepted_at else None


def _is_metered_since_acceptance(standing: Standing) -> bool:
    return (
        standing.power_w is not None
        and standing.limit_w is not None
        and standing.metered_at is not None
        and standing.accepted_at is not None
        and standing.metered_at >= standing.accepted_at
    )


def refresh(session_ids: Iterable[int]) -> None:
    """Judge the running participations of these sessions anew and write down what changed."""
    of = list(session_ids)
    if not of:
        return
    tolerance = Tolerance.from_settings()
    records = []
    for row in sql.rows(_STANDINGS, [of]):
        judgement = judge(_standing(row), tolerance=tolerance)
        record = _record(row, judgement)
        if record[1:] != _stored(row):
            records.append(record)
    if records:
        sql.run(_WRITE, sql.columns(records, 12))


def _standing(row: Mapping[str, Any]) -> Standing:
    limit = as_limit(row["confirmed_unit"], row["confirmed_value"])
    return Standing(
        exempt_reason=row["exempt_reason"],
        binding=row["binding"],
        command_state=row["command_state"],
        command_reason=row["command_reason"] or "",
        rejections=row["command_rejections"] or 0,
        accepted_at=row["command_accepted_at"],
        limit_w=_limit_w(row, limit),
        power_w=row["power_w"],
        metered_at=row["metered_at"],
        complied_at=row["complied_at"],
        over_limit_since=row["over_limit_since"],
        non_responsive_at=row["non_responsive_at"],
    )


def _limit_w(row: Mapping[str, Any], limit: Limit | None) -> float | None:
    return None if limit is None else circuits.of_row(row).watts(limit)


def _record(row: Mapping[str, Any], judgement: Judgement) -> tuple[Any, ...]:
    """What was accepted and complied with stays on record when another limit is wanted."""
    is_confirmed = judgement.state is State.CONFIRMED
    unsettled = row["command_state"] in Command.UNSETTLED
    return (
        row["id"],
        str(judgement.state),
        judgement.reason,
        row["confirmed_unit"],
        row["confirmed_value"],
        row["sent_attempts"],
        row["command_next_attempt_at"] if unsettled else None,
        row["command_first_sent_at"],
        judgement.accepted_at if is_confirmed else row["accepted_at"],
        judgement.complied_at if is_confirmed else row["complied_at"],
        judgement.over_limit_since,
        judgement.non_responsive_at or row["non_responsive_at"],
    )


def _stored(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = (
        "state", "reason", "old_confirmed_unit", "old_confirmed_value", "attempts",
        "next_attempt_at", "first_sent_at", "accepted_at", "complied_at", "over_limit_since",
        "non_responsive_at",
    )  # fmt: skip
    return tuple(row[name] for name in names)


_STANDINGS = f"""
    SELECT participation.id, participation.state, participation.reason, participation.binding,
           participation.confirmed_unit AS old_confirmed_unit,
           participation.confirmed_value AS old_confirmed_value,
           participation.attempts, participation.next_attempt_at, participation.first_sent_at,
           participation.accepted_at, participation.complied_at,
           participation.over_limit_since, participation.non_responsive_at,
           session.confirmed_unit, session.confirmed_value, session.power_w, session.metered_at,
           command.state AS command_state, command.reason AS command_reason,
           command.accepted_at AS command_accepted_at,
           command.rejections AS command_rejections,
           command.next_attempt_at AS command_next_attempt_at,
           sent.attempts AS sent_attempts, sent.first_sent_at AS command_first_sent_at,
           COALESCE(NULLIF({circuits.EXEMPT_REASON}, ''), {opt_outs.EXCUSED}, '')
               AS exempt_reason,
           {circuits.COLUMNS}
      FROM (SELECT * FROM dr_events_participation
             -- Found by their sessions: by statistics older than an event it has next to nobody,
             -- and going through all of it looks cheap. OFFSET keeps this apart.
             WHERE session_id = ANY(%s) AND released_at IS NULL OFFSET 0) AS participation
      JOIN chargers_session AS session ON session.id = participation.session_id
      {circuits.JOINS}
      LEFT JOIN chargers_command AS command
        ON command.session_id = session.id AND command.generation = session.generation
      JOIN dr_events_event AS event ON event.id = participation.event_id
      LEFT JOIN LATERAL (
           SELECT COALESCE(sum(mine.attempts), 0)::int AS attempts,
                  min(mine.first_sent_at) AS first_sent_at
             FROM chargers_command AS mine
            WHERE mine.session_id = session.id
              AND mine.generation > participation.joined_generation) AS sent ON TRUE
     -- The end of all limits is no limit of an event's that is over.
     WHERE event.status = 'active' OR command.kind = 'set'
"""

_WRITE = """
    UPDATE dr_events_participation AS participation
       SET state = judged.state, reason = judged.reason,
           confirmed_unit = judged.confirmed_unit, confirmed_value = judged.confirmed_value,
           attempts = judged.attempts, next_attempt_at = judged.next_attempt_at,
           first_sent_at = judged.first_sent_at, accepted_at = judged.accepted_at,
           complied_at = judged.complied_at, over_limit_since = judged.over_limit_since,
           non_responsive_at = judged.non_responsive_at
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::int[],
                  %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
                  %s::timestamptz[], %s::timestamptz[])
        AS judged (id, state, reason, confirmed_unit, confirmed_value, attempts,
                   next_attempt_at, first_sent_at, accepted_at, complied_at, over_limit_since,
                   non_responsive_at)
     WHERE participation.id = judged.id
"""
