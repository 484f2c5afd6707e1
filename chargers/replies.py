"""What eDRV's reply to a claim means: what the command does next, and what is known
now. Pure, but for the deadline that the settings give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.conf import settings

from chargers.claims import Claim
from chargers.edrv import calls
from chargers.edrv.burst import Reply
from chargers.edrv.errors import Conflict, EdrvError, NotFound, Refused
from chargers.edrv.payloads import Action, SessionData
from chargers.models import Attempt, Command
from chargers.retries import (
    Next,
    after_error,
    after_failed_look,
    after_fruitless_look,
    after_refusal,
    after_refused_session_look,
    after_session_look,
    after_station_unreachable,
    after_taken,
)

Read = TypeVar("Read")

# The lease had passed before its turn came.
NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Result:
    """One reply understood. `next` is what the command does now, `action` the station's answer
    if it is there already, `session` what a look found, `gone` that eDRV knows no such session."""

    claim: Claim
    reply: Reply
    outcome: str
    may_have_effect: bool
    next: Next
    action: Action | None = None
    session: SessionData | None = None
    gone: bool = False
    error: EdrvError | None = None

    @property
    def tells_of_edrv(self) -> bool:
        """Whether it says how eDRV is. What was not sent does not; nor that there is no such
        action or no such call, which any server on the way may say."""
        is_no_look = self.claim.verb == Attempt.Verb.LOOK_ACTION and isinstance(
            self.error, NotFound
        )
        return self.outcome != NOT_SENT and not is_no_look


def judge(claimed: Claim, reply: Reply, *, jitter: float) -> Result:
    """`jitter` is a random number in 0..1, for the back-off."""
    if reply.error is None and reply.sent_at_s is None:
        again = Next(Command.State.DUE, _step_of(claimed), 0.0, claimed.reason)
        return Result(claimed, reply, NOT_SENT, False, again)
    match claimed.verb:
        case Attempt.Verb.LOOK_ACTION:
            return _judge_action_look(claimed, reply, jitter)
        case Attempt.Verb.LOOK_SESSION:
            return _judge_session_look(claimed, reply, jitter)
        case _:
            return _judge_sending(claimed, reply, jitter)


def _step_of(claimed: Claim) -> Command.Step:
    return {
        Attempt.Verb.LOOK_ACTION: Command.Step.LOOK_ACTION,
        Attempt.Verb.LOOK_SESSION: Command.Step.LOOK_SESSION,
    }.get(Attempt.Verb(claimed.verb), Command.Step.SEND)


def _judge_sending(claimed: Claim, reply: Reply, jitter: float) -> Result:
    try:
        action = _read(reply, calls.read_action_answer)
    except Refused as error:
        if not claimed.station_online:
            # No word on how eDRV refuses what it cannot deliver.
            then = after_station_unreachable("station_offline")
        else:
            then = after_refusal(rejections=claimed.rejections + 1, persist=claimed.persist)
        return Result(claimed, reply, then.reason, False, then, error=error)
    except EdrvError as error:
        then = after_error(error, attempts=claimed.number, jitter=jitter)
        return Result(claimed, reply, error.reason, error.ambiguous, then, error=error)
    then = after_taken(deadline_s=settings.EDRV_COMMAND_DEADLINE_S, reason=claimed.reason)
    return Result(claimed, reply, "requested", True, then, action=action)


def _judge_action_look(claimed: Claim, reply: Reply, jitter: float) -> Result:
    fruitless = after_fruitless_look(attempts=claimed.number, jitter=jitter)
    try:
        action = _read(reply, calls.read_action_look)
    except EdrvError as error:
        if error.retryable:
            fruitless = after_failed_look(error, attempts=claimed.number, jitter=jitter)
        return Result(claimed, reply, error.reason, False, fruitless, error=error)
    return Result(claimed, reply, f"looked_{action.status}", False, fruitless, action=action)


def _judge_session_look(claimed: Claim, reply: Reply, jitter: float) -> Result:
    then = after_session_look(reason=claimed.reason)
    try:
        session = _read(reply, calls.read_session_answer)
    except NotFound as error:
        return Result(claimed, reply, "session_gone", False, then, gone=True, error=error)
    except (Conflict, Refused) as error:
        then = after_refused_session_look(
            attempts=claimed.number, jitter=jitter, reason=claimed.reason
        )
        return Result(claimed, reply, error.reason, False, then, error=error)
    except EdrvError as error:
        then = after_error(error, attempts=claimed.number, jitter=jitter)
        return Result(claimed, reply, error.reason, False, then, error=error)
    return Result(claimed, reply, "looked", False, then, session=session)


def _read(reply: Reply, reader: Callable[..., Read]) -> Read:
    if reply.error is not None:
        raise reply.error
    return reader(reply.status, reply.headers or {}, reply.body)
