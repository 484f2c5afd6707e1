"""What becomes of a command after each thing that can happen to it. Pure decisions.

While somebody still wants the limit nobody gives up silently: either there is a next attempt
with its time, or the command is rejected with a reason. A clear is never given up at all: a
limit must not be left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from chargers.edrv.errors import Conflict, EdrvError, NotFound, RateLimited, Unauthorized
from chargers.electricity import Circuit, Limit, Unit
from chargers.models import Attempt, Command

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
UNAUTHORIZED_RETRY_S = 30.0
OFFLINE_RECHECK_S = 60.0
NOT_STARTED_RETRY_S = 10.0
# After the first rejection the other unit is tried at once; then both again, since stations are
# seen that reject at random (lbbrhzn/ocpp#1245).
REJECTION_DELAYS_S = (0.0, 5.0, 15.0)
PERSISTING_RETRY_S = 60.0
# A station that never answers is asked again at once, twice; then more and more seldom.
IMPATIENT_RESENDS = 3


@dataclass(frozen=True, slots=True)
class Next:
    """The command's next state and step. `after_s` counts from now; it is ignored where the
    state is settled. `rejected`: this was one more rejection."""

    state: Command.State
    step: Command.Step = Command.Step.SEND
    after_s: float = 0.0
    reason: str = ""
    rejected: bool = False


REJECTIONS = {"rejected_by_station", "not_supported_by_station", "refused_by_edrv"}
# What says that the station cannot do it, rather than that it would not just now.
UNABLE = {"not_supported_by_station", "refused_by_edrv"}
STATION_UNREACHABLE = {"station_offline", "station_unreachable"}

DUE, UNCONFIRMED = Command.State.DUE, Command.State.UNCONFIRMED


def after_taken(*, deadline_s: float, reason: str = "") -> Next:
    """eDRV has taken the command; the station's answer comes by webhook, or has to be looked for
    once the deadline has passed. Until then the `reason` of the attempt before stays."""
    return Next(Command.State.SENT, Command.Step.LOOK_ACTION, deadline_s, reason)


def after_deadline() -> Next:
    """No answer in time: look what became of the action, at once."""
    return Next(UNCONFIRMED, Command.Step.LOOK_ACTION, 0.0, "no_answer")


def after_error(error: EdrvError, *, attempts: int, jitter: float) -> Next:
    """An HTTP answer, or none, that is no Action. `jitter` is a random number in 0..1."""
    match error:
        case NotFound():
            return Next(DUE, Command.Step.LOOK_SESSION, 0.0, "session_unknown_to_edrv")
        case Conflict():
            return Next(DUE, Command.Step.LOOK_SESSION, 0.0, "session_not_started")
        case Unauthorized():
            return Next(DUE, after_s=UNAUTHORIZED_RETRY_S, reason=error.reason)
        case _:
            return Next(DUE, after_s=_wait_s(error, attempts, jitter), reason=error.reason)


def after_rejection(reason: str, *, rejections: int, persist: bool) -> Next:
    """The station (or eDRV for it) said no. `rejections`: how often already, this one included.
    `persist`: until it is obeyed, a limit that nobody wants any more stays in force."""
    if rejections <= len(REJECTION_DELAYS_S):
        delay_s = REJECTION_DELAYS_S[rejections - 1]
        return Next(DUE, after_s=delay_s, reason=reason, rejected=True)
    if persist:
        return Next(DUE, after_s=PERSISTING_RETRY_S, reason=reason, rejected=True)
    return Next(Command.State.REJECTED, reason=reason, rejected=True)


def after_refusal(*, rejections: int, persist: bool) -> Next:
    """eDRV answered with an HTTP 4xx. Twice, in both units: perhaps the session is over, which
    it does not say, so the session is looked at before the next try."""
    then = after_rejection("refused_by_edrv", rejections=rejections, persist=persist)
    may_be_over = then.state is DUE and rejections > 1
    return replace(then, step=Command.Step.LOOK_SESSION) if may_be_over else then


def after_station_unreachable(reason: str, *, came_back: bool = False) -> Next:
    """Wait for `chargestation.online`, with a probe now and then since webhooks get lost. Not
    where it `came_back` between the sending and this answer: its return is not told again."""
    return Next(DUE, after_s=0.0 if came_back else OFFLINE_RECHECK_S, reason=reason)


def after_fruitless_look(*, attempts: int, jitter: float) -> Next:
    """Nothing is known of the action: a limit is absolute, so sending it again is safe."""
    patient = attempts >= IMPATIENT_RESENDS
    wait_s = backoff_s(attempts, jitter) if patient else 0.0
    return Next(UNCONFIRMED, after_s=wait_s, reason="no_answer")


def after_failed_look(error: EdrvError, *, attempts: int, jitter: float) -> Next:
    """eDRV could not be asked what became of the action. Asked to wait, ask again then. Any other
    failure may be for good, since the call is in no document: then the limit is sent again."""
    asked_to_wait = isinstance(error, RateLimited | Unauthorized)
    step = Command.Step.LOOK_ACTION if asked_to_wait else Command.Step.SEND
    return Next(UNCONFIRMED, step, _wait_s(error, attempts, jitter), "no_answer")


def after_session_look(*, reason: str) -> Next:
    """The session is there: try again soon."""
    return Next(DUE, after_s=NOT_STARTED_RETRY_S, reason=reason or "session_not_started")


def after_refused_session_look(*, attempts: int, jitter: float, reason: str) -> Next:
    """eDRV did not say how the session is, but no more is wrong with eDRV: try again, more and more
    seldom. What led to the look stays the reason."""
    then = after_session_look(reason=reason)
    return replace(then, after_s=max(then.after_s, backoff_s(attempts, jitter)))


def _wait_s(error: EdrvError, attempts: int, jitter: float) -> float:
    """As long as eDRV wishes, where that is longer than our own patience."""
    return max(error.retry_after_s or 0.0, backoff_s(attempts, jitter))


def backoff_s(attempts: int, jitter: float) -> float:
    """Doubling from one second to a minute; half of it random, so that retries spread."""
    full_s = min(FIRST_BACKOFF_S * 2.0 ** min(max(attempts - 1, 0), 10), MAX_BACKOFF_S)
    return full_s * (0.5 + jitter / 2)


def read_failure(verb: str, response_data: Any) -> str:
    """Why a station failed an action, from data of which eDRV documents no shape; "" where a
    clear found nothing to clear (OCPP 1.6 ClearChargingProfile: `Unknown`). Only the status says
    that: an error may be unknown, too.

    Statuses seen below eDRV: Rejected, NotSupported, Unknown; errors as free text.
    """
    if verb == Attempt.Verb.CLEAR and _status(response_data) == "unknown":
        return ""
    words = _words(response_data)
    if any(word in words for word in ("notsupported", "not supported", "notimplemented")):
        return "not_supported_by_station"
    if "offline" in words or "not connected" in words or "disconnected" in words:
        return "station_offline"
    if "timeout" in words or "timed out" in words:
        return "station_unreachable"
    return "rejected_by_station"


def _status(response_data: Any) -> str:
    """The station's status, or all that it said where that is one text; "" for anything else."""
    said = response_data.get("status") if isinstance(response_data, Mapping) else response_data
    return said.strip().lower() if isinstance(said, str) else ""


def _words(response_data: Any) -> str:
    return orjson.dumps(response_data).decode().lower()


@dataclass(frozen=True, slots=True)
class Station:
    """What decides how a station is spoken to."""

    is_simulator: bool
    refused_units: tuple[str, ...]
    refuses_clear: bool
    circuit: Circuit


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out: the verb and, for a set, the limit in the unit that is sent."""

    verb: Attempt.Verb
    limit: Limit | None = None


# What is said after so many rejections, of a limit of 4,200 W and of its end (three phases, 230 V):
#
#   rejections    a limit    its end, after plain rejections   … after "not supported"
#   0             4,200 W    clear                             clear
#   1             6 A        clear                             maximum, in A
#   2             4,200 W    clear                             clear
#   3             6 A        maximum, in A                     maximum, in A
#   4             given up   clear                             clear
#   5                        maximum, in W                     maximum, in W    … and so on


def request_for(
    kind: str, limit: Limit | None, station: Station, *, rejections: int, reason: str
) -> Request:
    """How to say a limit, or its end, to this station, after so many rejections, the last of
    them for this reason.

    Units alternate with every rejection. Where a clear does not work the end of a limit is a set
    to the connector's maximum.
    """
    if kind == Command.Kind.SET:
        assert limit is not None
        unit = _unit(limit.unit, station, rejections)
        return Request(Attempt.Verb.SET, station.circuit.in_unit(limit, unit))
    if _takes_no_clear(station, rejections, reason):
        unit = _unit(Unit.CURRENT, station, rejections // 4)
        return Request(Attempt.Verb.SET, station.circuit.unlimited(unit))
    return Request(Attempt.Verb.CLEAR)


def _takes_no_clear(station: Station, rejections: int, reason: str) -> bool:
    """eDRV's simulators and whoever has refused one before; else every other time, who says that
    it cannot, or has rejected it three times: stations are seen that reject at random."""
    if station.is_simulator or station.refuses_clear:
        return True
    return rejections % 2 == 1 and (reason in UNABLE or rejections >= 3)


def _unit(first: Unit, station: Station, turn: int) -> Unit:
    """Both in turn, but for what the station has refused."""
    if station.is_simulator:
        return Unit.CURRENT
    both = (first, first.other)
    units = [unit for unit in both if unit not in station.refused_units] or both
    return units[turn % len(units)]
