"""What a command does after each thing that can happen to it, as tables."""

import pytest

from chargers.edrv import errors
from chargers.electricity import Circuit, Limit, Unit
from chargers.models import Attempt, Command
from chargers.retries import (
    Next,
    Request,
    Station,
    after_error,
    after_failed_look,
    after_fruitless_look,
    after_refusal,
    after_refused_session_look,
    after_rejection,
    after_station_unreachable,
    after_taken,
    backoff_s,
    read_failure,
    request_for,
)

SET, CLEAR = Command.Kind.SET, Command.Kind.CLEAR
DUE, SENT = Command.State.DUE, Command.State.SENT
UNCONFIRMED, REJECTED = Command.State.UNCONFIRMED, Command.State.REJECTED
SEND, LOOK_ACTION = Command.Step.SEND, Command.Step.LOOK_ACTION
LOOK_SESSION = Command.Step.LOOK_SESSION

CIRCUIT = Circuit(230, 3, 32)


def station(*, is_simulator=False, refused_units=(), refuses_clear=False):
    return Station(is_simulator, refused_units, refuses_clear, CIRCUIT)


@pytest.mark.parametrize(
    ("attempts", "least_s", "most_s"),
    # attempts: 1    2     3     4     7      8 (a minute at the most)
    [(1, 0.5, 1), (2, 1, 2), (3, 2, 4), (4, 4, 8), (7, 30, 60), (8, 30, 60), (999, 30, 60)],
)
def test_back_off_doubles_to_a_minute_and_half_of_it_is_random(attempts, least_s, most_s):
    assert backoff_s(attempts, 0.0) == least_s
    assert backoff_s(attempts, 1.0) == most_s


@pytest.mark.parametrize(
    ("error", "then"),
    [
        (errors.ProviderUnreachable("x"), Next(DUE, SEND, 1.0, "provider_unreachable")),
        (errors.ProviderFailed("x", 503), Next(DUE, SEND, 1.0, "provider_failed")),
        (errors.ProviderFailed("x", 503, 20.0), Next(DUE, SEND, 20.0, "provider_failed")),
        (errors.RateLimited("x", 429, 7.0), Next(DUE, SEND, 7.0, "rate_limited")),
        (errors.RateLimited("x", 429), Next(DUE, SEND, 1.0, "rate_limited")),
        (errors.Unauthorized("x", 401), Next(DUE, SEND, 30.0, "unauthorized")),
        (errors.NotFound("x", 404), Next(DUE, LOOK_SESSION, 0.0, "session_unknown_to_edrv")),
        (errors.Conflict("x", 409), Next(DUE, LOOK_SESSION, 0.0, "session_not_started")),
    ],
)
def test_an_error_says_what_comes_next_and_when(error, then):
    assert after_error(error, attempts=1, jitter=1.0) == then


def test_a_taken_command_waits_for_its_webhook_and_is_then_looked_after():
    assert after_taken(deadline_s=60) == Next(SENT, LOOK_ACTION, 60)


def rejected(state, after_s, reason="rejected_by_station", step=SEND):
    return Next(state, step, after_s, reason, rejected=True)


@pytest.mark.parametrize(
    ("rejections", "persist", "then"),
    [
        # The other unit at once, then both again after a while, then no more …
        (1, False, rejected(DUE, 0.0)),
        (2, False, rejected(DUE, 5.0)),
        (3, False, rejected(DUE, 15.0)),
        (4, False, rejected(REJECTED, 0.0)),
        # … but a limit that nobody wants any more is never left behind.
        (4, True, rejected(DUE, 60.0)),
        (400, True, rejected(DUE, 60.0)),
    ],
)
def test_a_rejection_is_tried_again_in_other_words(rejections, persist, then):
    assert after_rejection("rejected_by_station", rejections=rejections, persist=persist) == then


@pytest.mark.parametrize(
    ("rejections", "persist", "then"),
    [
        (1, False, rejected(DUE, 0.0, "refused_by_edrv")),
        # Refused in both units: is the session still there?
        (2, False, rejected(DUE, 5.0, "refused_by_edrv", LOOK_SESSION)),
        (4, False, rejected(REJECTED, 0.0, "refused_by_edrv")),
        (9, True, rejected(DUE, 60.0, "refused_by_edrv", LOOK_SESSION)),
    ],
)
def test_what_edrv_itself_refuses_is_looked_into(rejections, persist, then):
    assert after_refusal(rejections=rejections, persist=persist) == then


def test_an_unreachable_station_is_waited_for_unless_it_is_back_already():
    assert after_station_unreachable("station_offline") == Next(DUE, SEND, 60, "station_offline")
    back = after_station_unreachable("station_offline", came_back=True)
    assert back == Next(DUE, SEND, 0, "station_offline")


@pytest.mark.parametrize(
    ("attempts", "after_s"), [(1, 0.0), (2, 0.0), (3, 4.0), (4, 8.0), (20, 60.0)]
)
def test_a_limit_nobody_answers_is_sent_again_since_that_is_safe(attempts, after_s):
    then = after_fruitless_look(attempts=attempts, jitter=1.0)

    assert then == Next(UNCONFIRMED, SEND, after_s, "no_answer")


@pytest.mark.parametrize(
    ("error", "step", "after_s"),
    [
        (errors.RateLimited("x", 429, 9.0), LOOK_ACTION, 9.0),
        (errors.Unauthorized("x", 401), LOOK_ACTION, 4.0),
        (errors.ProviderFailed("x", 500), SEND, 4.0),
        (errors.ProviderFailed("x", 503, 9.0), SEND, 9.0),
        (errors.ProviderUnreachable("x"), SEND, 4.0),
    ],
)
def test_who_cannot_be_asked_what_became_of_a_limit_is_sent_it_again(error, step, after_s):
    then = after_failed_look(error, attempts=3, jitter=1.0)

    assert then == Next(UNCONFIRMED, step, after_s, "no_answer")


@pytest.mark.parametrize(("attempts", "after_s"), [(1, 10.0), (5, 16.0), (20, 60.0)])
def test_a_session_that_cannot_be_looked_at_is_tried_more_and_more_seldom(attempts, after_s):
    then = after_refused_session_look(attempts=attempts, jitter=1.0, reason="refused_by_edrv")

    assert then == Next(DUE, SEND, after_s, "refused_by_edrv")


@pytest.mark.parametrize(
    ("kind", "response_data", "reason"),
    [
        (SET, {"status": "Rejected"}, "rejected_by_station"),
        (SET, {"status": "NotSupported"}, "not_supported_by_station"),
        (SET, {"error": "Request timed out"}, "station_unreachable"),
        (SET, {"error": {"code": "Timeout"}}, "station_unreachable"),
        (SET, {"error": "Chargestation is offline"}, "station_offline"),
        (SET, "not connected", "station_offline"),
        (SET, None, "rejected_by_station"),
        (SET, {}, "rejected_by_station"),
        (SET, ["?", 7], "rejected_by_station"),
        (SET, {"status": "Unknown"}, "rejected_by_station"),
        # Nothing matched, so nothing is left to clear.
        (CLEAR, {"status": "Unknown"}, ""),
        (CLEAR, {"status": "UNKNOWN", "info": {}}, ""),
        (CLEAR, "Unknown", ""),
        (CLEAR, {"status": "Rejected"}, "rejected_by_station"),
        # Of these nobody knows whether the limit is gone.
        (CLEAR, {"status": "Rejected", "error": "unknown"}, "rejected_by_station"),
        (
            CLEAR,
            {"error": {"code": "InternalError", "description": "unknown"}},
            "rejected_by_station",
        ),
        (
            CLEAR,
            {"status": "Rejected", "statusInfo": {"reasonCode": "Unknown"}},
            "rejected_by_station",
        ),
        (CLEAR, {"error": "Unknown", "unknown": None}, "rejected_by_station"),
    ],
)
def test_a_station_s_failure_is_understood_whatever_its_shape(kind, response_data, reason):
    assert read_failure(kind, response_data) == reason


@pytest.mark.parametrize(
    ("limit", "at", "rejections", "sent"),
    [
        (Limit(Unit.POWER, 4200), station(), 0, Limit(Unit.POWER, 4200)),
        (Limit(Unit.POWER, 4200), station(), 1, Limit(Unit.CURRENT, 6)),
        (Limit(Unit.POWER, 4200), station(), 2, Limit(Unit.POWER, 4200)),
        (Limit(Unit.CURRENT, 10), station(), 0, Limit(Unit.CURRENT, 10)),
        (Limit(Unit.CURRENT, 10), station(), 1, Limit(Unit.POWER, 6900)),
        # What a station refused is not asked of it again …
        (Limit(Unit.POWER, 4200), station(refused_units=("power",)), 0, Limit(Unit.CURRENT, 6)),
        (Limit(Unit.POWER, 4200), station(refused_units=("power",)), 1, Limit(Unit.CURRENT, 6)),
        # … unless it has refused everything.
        (
            Limit(Unit.POWER, 4200),
            station(refused_units=("power", "current")),
            0,
            Limit(Unit.POWER, 4200),
        ),
        # eDRV's simulators take only amperes.
        (Limit(Unit.POWER, 4200), station(is_simulator=True), 0, Limit(Unit.CURRENT, 6)),
        (Limit(Unit.POWER, 4200), station(is_simulator=True), 1, Limit(Unit.CURRENT, 6)),
    ],
)
def test_a_set_is_sent_in_the_unit_the_station_understands(limit, at, rejections, sent):
    request = request_for(SET, limit, at, rejections=rejections, reason="rejected_by_station")

    assert request == Request(Attempt.Verb.SET, sent)


EVERYTHING_A = Request(Attempt.Verb.SET, Limit(Unit.CURRENT, 32))
EVERYTHING_W = Request(Attempt.Verb.SET, Limit(Unit.POWER, 22080))


@pytest.mark.parametrize(
    ("at", "rejections", "reason", "request_"),
    [
        (station(), 0, "", Request(Attempt.Verb.CLEAR)),
        # Stations are seen that reject at random: the same once more, then "all that you have".
        (station(), 1, "rejected_by_station", Request(Attempt.Verb.CLEAR)),
        (station(), 2, "rejected_by_station", Request(Attempt.Verb.CLEAR)),
        (station(), 3, "rejected_by_station", EVERYTHING_A),
        (station(), 4, "rejected_by_station", Request(Attempt.Verb.CLEAR)),
        (station(), 5, "rejected_by_station", EVERYTHING_W),
        # Who says that it cannot is believed, for one turn.
        (station(), 1, "not_supported_by_station", EVERYTHING_A),
        (station(), 1, "refused_by_edrv", EVERYTHING_A),
        (station(), 2, "refused_by_edrv", Request(Attempt.Verb.CLEAR)),
        (station(), 3, "refused_by_edrv", EVERYTHING_A),
        (station(refuses_clear=True), 0, "", EVERYTHING_A),
        (station(is_simulator=True), 0, "", EVERYTHING_A),
        (station(is_simulator=True), 3, "rejected_by_station", EVERYTHING_A),
    ],
)
def test_the_end_of_a_limit_is_said_so_that_the_station_understands(
    at, rejections, reason, request_
):
    assert request_for(CLEAR, None, at, rejections=rejections, reason=reason) == request_


def test_where_the_maximum_is_unknown_everything_is_more_than_any_connector_has():
    unknown = Station(True, (), False, Circuit(230, 3))

    asked = request_for(CLEAR, None, unknown, rejections=0, reason="")

    assert asked == Request(Attempt.Verb.SET, Limit(Unit.CURRENT, 80))


def test_where_the_phases_are_a_guess_the_maximum_is_that_of_one():
    guess = Station(True, (), False, Circuit(240, 3, 27, one_phase_current_a=80))

    asked = request_for(CLEAR, None, guess, rejections=0, reason="")

    assert asked == Request(Attempt.Verb.SET, Limit(Unit.CURRENT, 80))
