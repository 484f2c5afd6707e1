"""Wanted against confirmed against metered: where a participation stands."""

from datetime import UTC, datetime, timedelta

import pytest

from dr_events.judgement import Judgement, Standing, Tolerance, judge
from dr_events.models import Participation

T0 = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
TOLERANCE = Tolerance(share=0.05, watts=100, patience=timedelta(seconds=120))
State = Participation.State


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def judged(**standing):
    return judge(Standing(**standing), tolerance=TOLERANCE)


def accepted(**more):
    return {"command_state": "accepted", "accepted_at": at(0), "limit_w": 4200.0, **more}


@pytest.mark.parametrize(
    ("state", "reason", "stands", "because"),
    [
        (None, "", State.PENDING, ""),
        ("due", "", State.PENDING, ""),
        ("sent", "", State.PENDING, ""),
        # no answer, and when there will be one nobody knows
        ("unconfirmed", "no_answer", State.UNREACHABLE, "no_answer"),
        ("sent", "no_answer", State.UNREACHABLE, "no_answer"),
        ("due", "station_offline", State.UNREACHABLE, "station_offline"),
        ("due", "station_unreachable", State.UNREACHABLE, "station_unreachable"),
        ("due", "provider_failed", State.UNREACHABLE, "provider_failed"),
        ("due", "provider_unreachable", State.UNREACHABLE, "provider_unreachable"),
        ("due", "rate_limited", State.UNREACHABLE, "rate_limited"),
        ("due", "unauthorized", State.UNREACHABLE, "unauthorized"),
        ("due", "session_not_started", State.UNREACHABLE, "session_not_started"),
        # an answer, and it was no
        ("rejected", "rejected_by_station", State.FAILED, "rejected_by_station"),
        ("rejected", "not_supported_by_station", State.FAILED, "not_supported_by_station"),
        ("rejected", "refused_by_edrv", State.FAILED, "refused_by_edrv"),
    ],
)
def test_every_unconfirmed_session_has_a_state_and_a_reason(state, reason, stands, because):
    assert judged(command_state=state, command_reason=reason) == Judgement(stands, because)


@pytest.mark.parametrize(("rejections", "stands"), [(1, State.PENDING), (2, State.FAILED)])
def test_one_rejection_may_only_mean_the_other_unit(rejections, stands):
    judgement = judged(
        command_state="due", command_reason="rejected_by_station", rejections=rejections
    )

    assert judgement == Judgement(stands, "rejected_by_station")


def test_an_exempt_session_says_by_what():
    assert judged(exempt_reason="exempt_site") == Judgement(State.EXEMPT, "exempt_site")


def test_accepted_is_not_complied():
    assert judged(**accepted()) == Judgement(State.CONFIRMED, "", at(0))


@pytest.mark.parametrize(
    ("limit_w", "power_w", "complies"),
    [
        (4200.0, 4200.0, True),
        (4200.0, 4410.0, True),  # 5 % above
        (4200.0, 4411.0, False),
        (1380.0, 1480.0, True),  # 100 W above, where 5 % is less
        (1380.0, 1481.0, False),
        (0.0, 100.0, True),
        (0.0, 101.0, False),
        (4200.0, 0.0, True),
    ],
)
def test_at_or_under_the_limit_within_the_tolerance_complies(limit_w, power_w, complies):
    standing = accepted(limit_w=limit_w, power_w=power_w, metered_at=at(30))

    judgement = judged(**standing)

    assert judgement.complied_at == (at(30) if complies else None)
    assert judgement.over_limit_since == (None if complies else at(30))


def test_a_reading_from_before_the_acceptance_says_nothing():
    judgement = judged(**accepted(power_w=0.0, metered_at=at(-1)))

    assert (judgement.complied_at, judgement.over_limit_since) == (None, None)


def test_a_missing_reading_is_a_gap_and_no_compliance():
    judgement = judged(**accepted(power_w=None, metered_at=at(30)))

    assert (judgement.complied_at, judgement.reason) == (None, "")


@pytest.mark.parametrize(("seconds", "reason"), [(119, ""), (120, "non_responsive")])
def test_a_car_over_its_limit_for_longer_than_patience_is_non_responsive(seconds, reason):
    standing = accepted(power_w=11_000.0, metered_at=at(30 + seconds), over_limit_since=at(30))

    judgement = judged(**standing)

    assert (judgement.state, judgement.reason) == (State.CONFIRMED, reason)
    assert judgement.non_responsive_at == (at(30 + seconds) if reason else None)


@pytest.mark.parametrize("power_w", [4000.0, 11_000.0])
def test_that_it_was_non_responsive_stays_on_record(power_w):
    judgement = judged(
        **accepted(power_w=power_w, metered_at=at(900), over_limit_since=at(30)),
        non_responsive_at=at(150),
    )

    assert judgement.non_responsive_at == at(150)


def test_one_reading_over_the_limit_accuses_nobody_however_long_ago():
    """Whether the car still is over it, nobody knows."""
    standing = accepted(power_w=11_000.0, metered_at=at(30), over_limit_since=at(30))

    assert judged(**standing).reason == ""


def test_the_first_compliance_stands_and_a_later_excess_counts_anew():
    standing = accepted(power_w=11_000.0, metered_at=at(300), complied_at=at(30))

    judgement = judged(**standing)

    assert (judgement.complied_at, judgement.over_limit_since) == (at(30), at(300))


def test_back_under_the_limit_the_excess_is_over():
    standing = accepted(power_w=4000.0, metered_at=at(400), over_limit_since=at(30))

    judgement = judged(**standing)

    assert (judgement.over_limit_since, judgement.reason) == (None, "")


def test_a_session_held_by_another_event_says_so():
    assert judged(**accepted(binding=False)).reason == "outranked"
