"""Claim, send, record: against the simulator over real HTTP."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chargers import claims, dispatch, inventory, limits, pace
from chargers.edrv.client import EdrvClient
from chargers.electricity import Limit, Unit
from chargers.limits import Want
from chargers.models import Attempt, ChargeStation, Command, Heartbeat, Session
from tests.fleet import FOUR_KW, NOW, make_session, wanting
from tests.simulation import API_KEY, Simulation
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet(edrv):
    """The simulator's fleet, synced."""
    with EdrvClient(dispatch.endpoint()) as client:
        inventory.sync(client, now=timezone.now())
    return edrv


def started(**conditions):
    return list(Session.objects.filter(status="started", **conditions).order_by("id"))


def physical(edrv):
    """Sessions on stations that do as they are told."""
    kinds = {key: row["station_kind"] for key, row in edrv.limits().items() if row["online"]}
    return [s for s in started() if kinds.get(s.external_id) == "physical"]


def want(sessions, limit=FOUR_KW):
    limits.want([Want(s.pk, limit, "test", s.power_w or 0.0) for s in sessions], now=timezone.now())


def make_due():
    Command.objects.filter(state__in=("due", "unconfirmed")).update(next_attempt_at=timezone.now())


def sent_to(edrv, session):
    return [(row["body"], row["http_status"]) for row in edrv.commands(session.external_id)]


def have_taken_effect(edrv, attempts):
    rows = edrv.limits()
    return all(rows[one.session.external_id]["action_id"] == one.action_id for one in attempts)


def test_every_due_command_goes_out_and_every_answer_is_recorded(fleet):
    sessions = physical(fleet)
    before = len(fleet.commands())

    want(sessions)
    dispatch.drain()

    assert len(fleet.commands()) - before == len(sessions)
    assert set(Command.objects.values_list("state", "attempts")) == {("sent", 1)}
    for attempt in Attempt.objects.all():
        assert (attempt.outcome, attempt.http_status) == ("requested", 200)
        assert attempt.claimed_at <= attempt.sent_at <= attempt.answered_at
        assert len(attempt.action_id) == 24
    assert Session.objects.filter(may_be_limited=True).count() == len(sessions)


def test_the_request_is_the_one_the_page_shows(fleet):
    session = physical(fleet)[0]

    want([session], Limit(Unit.POWER, 4200))
    dispatch.drain()

    assert sent_to(fleet, session)[-1] == ({"unit": "power", "limit": 4200}, 200)


def test_a_limit_goes_out_whatever_the_verb(settings):
    flags = ("--sites", "2", "--sessions", "12", "--static", "--share-offline", "0", "--seed", "7")
    with Simulation(*flags, "--command-method", "GET") as edrv:
        settings.EDRV_API_URL, settings.EDRV_API_KEY = edrv.api_url, API_KEY
        settings.EDRV_COMMAND_METHOD = "GET"
        with EdrvClient(dispatch.endpoint()) as client:
            inventory.sync(client, now=timezone.now())
        session = physical(edrv)[0]

        want([session], Limit(Unit.POWER, 4200))
        dispatch.drain()

        assert Command.objects.get().state == "sent"
        wait_until(lambda: edrv.limits()[session.external_id]["limit"])
        assert edrv.limits()[session.external_id]["limit"] == {"unit": "power", "limit": 4200}


def test_a_clear_goes_out_without_a_body(fleet):
    session = physical(fleet)[0]
    Session.objects.filter(pk=session.pk).update(may_be_limited=True, wanted_unit="power",
                                                 wanted_value=1)  # fmt: skip

    want([session], None)
    dispatch.drain()

    last = fleet.commands(session.external_id)[-1]
    assert (last["path"].rsplit("/")[-1], last["body"]) == ("clear_power_limit", None)


def test_edrv_s_simulators_get_amperes_and_are_restored_by_their_maximum(fleet):
    session = started(chargestation__is_simulator=True, chargestation__online=True)[0]
    circuit = session.circuit()
    want([session], FOUR_KW)
    dispatch.drain()
    Command.objects.update(state="accepted", settled_at=NOW, next_attempt_at=None)

    want([session], None)
    dispatch.drain()

    bodies = [body for body, status in sent_to(fleet, session) if status == 200]
    assert bodies[-2:] == [
        {"unit": "current", "limit": circuit.in_unit(FOUR_KW, Unit.CURRENT).value},
        {"unit": "current", "limit": circuit.max_current_a},
    ]


def test_the_largest_relief_goes_first(fleet, settings):
    settings.EDRV_MAX_CONCURRENCY = 1
    sessions = [s for s in physical(fleet) if s.power_w]
    since = len(fleet.commands())

    want(sessions)
    dispatch.drain()

    draws = {s.external_id: s.power_w for s in sessions}
    order = [draws[row["session"]] for row in fleet.commands()[since:]]
    assert order == sorted(order, reverse=True)


def test_no_more_are_in_flight_than_allowed(fleet, settings):
    settings.EDRV_MAX_CONCURRENCY = 4
    fleet.fault("slow", delay_s=0.05)
    sessions = physical(fleet)
    since = len(fleet.commands())
    want(sessions)

    dispatch.drain()

    rows = fleet.commands()[since:]
    overlapping = [
        sum(other["received_at"] <= row["received_at"] < other["answered_at"] for other in rows)
        for row in rows
    ]
    assert len(rows) == len(sessions)
    assert 1 < max(overlapping) <= 4


def test_no_request_starts_before_the_rate_lets_it(fleet, settings):
    settings.EDRV_RATE_LIMIT = 20
    sessions = physical(fleet)[:21]
    want(sessions)

    dispatch.drain()

    assert Command.objects.filter(state="sent").count() == len(sessions)
    began_at = Attempt.objects.earliest("claimed_at").claimed_at
    starts = Attempt.objects.order_by("sent_at").values_list("sent_at", flat=True)
    # A delay counts from the moment Redis gave it, a little after the one it was asked at.
    slack = timedelta(milliseconds=50)
    for number, start in enumerate(starts):
        assert start >= began_at + timedelta(seconds=number / 20) - slack


def test_a_claim_is_a_lease_and_a_trace_before_anything_is_sent(fleet):
    want(physical(fleet)[:3])
    now = timezone.now()
    until = claims.lease_for(2, now=now, margin_s=3)

    first = claims.claim(10, endpoint=dispatch.endpoint(), now=now, lease_until=until)
    again = claims.claim(10, endpoint=dispatch.endpoint(), now=now, lease_until=until)

    assert (len(first), len(again)) == (3, 0)
    assert set(Attempt.objects.values_list("outcome", "sent_at")) == {("", None)}
    assert set(Command.objects.values_list("next_attempt_at", "attempts")) == {(until, 1)}


def test_a_dead_worker_s_commands_fall_due_again(fleet):
    want(physical(fleet)[:3])
    then = timezone.now() - timezone.timedelta(seconds=60)
    until = claims.lease_for(2, now=then, margin_s=3)
    Command.objects.update(next_attempt_at=then)
    claims.claim(10, endpoint=dispatch.endpoint(), now=then, lease_until=until)

    dispatch.drain()

    assert set(Command.objects.values_list("state", "attempts")) == {("sent", 2)}
    assert dispatch.close_lost_attempts(now=timezone.now() + timezone.timedelta(minutes=2)) == 3
    assert Attempt.objects.filter(outcome="lost", may_have_effect=True).count() == 3


def test_a_session_s_newer_command_waits_while_its_older_one_is_on_the_wire(fleet):
    session = physical(fleet)[0]
    want([session], FOUR_KW)
    now = timezone.now()
    until = claims.lease_for(2, now=now, margin_s=3)
    claims.claim(1, endpoint=dispatch.endpoint(), now=now, lease_until=until)

    want([session], Limit(Unit.POWER, 6000))

    later = timezone.now()
    assert not claims.claim(1, endpoint=dispatch.endpoint(), now=later, lease_until=until)
    after = until + timezone.timedelta(seconds=1)
    assert claims.claim(1, endpoint=dispatch.endpoint(), now=after, lease_until=after)


def test_a_claim_whose_lease_has_passed_is_not_sent(fleet):
    session = physical(fleet)[0]
    want([session])
    since = len(fleet.commands())
    dispatcher_timeout_s = dispatch.endpoint().timeout_s
    with dispatch.Burst(dispatch.endpoint(), concurrency=1) as burst:
        loop = dispatch.Dispatcher(burst, dispatch.endpoint(), pace.Pace(0), lambda: None)
        late = timezone.now() - timezone.timedelta(seconds=dispatcher_timeout_s + 10)
        Command.objects.update(next_attempt_at=late)
        loop._claim(1, late)
        wait_for_reply(loop)

    assert fleet.commands()[since:] == []
    command, attempt = Command.objects.get(), Attempt.objects.get()
    assert (attempt.outcome, attempt.may_have_effect) == ("not_sent", False)
    assert command.state == "due"


def wait_for_reply(loop):
    while loop._burst.outstanding:
        replies = loop._burst.collect(wait_s=1)
        if replies:
            loop._record(replies)


def test_an_offline_station_is_not_asked_at_first_and_probed_later(fleet):
    session = started(chargestation__online=False)[0]
    since = len(fleet.commands())
    want([session])

    dispatch.drain()
    deferred = Command.objects.get()
    assert fleet.commands()[since:] == []
    assert (deferred.state, deferred.reason) == ("due", "station_offline")
    assert deferred.next_attempt_at > timezone.now()

    make_due()
    dispatch.drain()
    assert len(fleet.commands()[since:]) == 1


@pytest.mark.parametrize(
    ("kind", "more", "reason", "status"),
    [
        ("server_error", {"code": 503}, "provider_failed", 503),
        ("server_error", {"code": 502, "html": True}, "provider_failed", 502),
        ("rate_limit", {"retry_after_s": 7}, "rate_limited", 429),
        ("reset", {}, "provider_unreachable", None),
        ("timeout", {"hold_s": 3}, "provider_unreachable", None),
    ],
)
def test_edrv_in_trouble_is_tried_again_later(fleet, kind, more, reason, status):
    fleet.fault(kind, match={"calls": ["set"]}, **more)
    want(physical(fleet)[:2])

    dispatch.drain()

    command = Command.objects.first()
    assert (command.state, command.step, command.reason) == ("due", "send", reason)
    assert command.next_attempt_at > timezone.now() - timezone.timedelta(seconds=3)
    assert Attempt.objects.first().http_status == status


def test_edrv_in_trouble_is_left_alone_by_all_until_its_time(fleet):
    fleet.fault("rate_limit", match={"calls": ["set"]}, retry_after_s=30)
    want(physical(fleet)[:1])
    dispatch.drain()
    since = len(fleet.commands())

    want(physical(fleet)[1:5])
    assert not dispatch.is_any_due(now=timezone.now())
    dispatch.drain()

    assert fleet.commands()[since:] == []
    held = pace.held_until(now=timezone.now())
    assert held is not None
    assert 25 < (held - timezone.now()).total_seconds() <= 30


def test_edrv_back_again_gets_at_once_what_waited_for_it(fleet):
    fleet.fault("server_error", match={"calls": ["set"]}, code=503)
    sessions = physical(fleet)
    want(sessions)
    dispatch.drain()
    assert pace.in_trouble()
    fleet.clear_faults()
    Heartbeat.objects.filter(name=pace.HOLD).delete()
    Command.objects.filter(pk=Command.objects.first().pk).update(next_attempt_at=timezone.now())

    dispatch.drain()

    assert not pace.in_trouble()
    assert set(Command.objects.values_list("state", flat=True)) == {"sent"}


def test_a_request_edrv_refuses_is_said_in_the_other_unit(fleet):
    session = physical(fleet)[0]
    fleet.fault("http_reject", count=1, match={"calls": ["set"]})

    want([session], FOUR_KW)
    dispatch.drain()

    bodies = sent_to(fleet, session)[-2:]
    assert [(body["unit"], status) for body, status in bodies] == [("power", 400), ("current", 200)]
    assert Command.objects.get().rejections == 1


def test_a_session_edrv_does_not_know_has_ended(fleet):
    session = make_session()

    limits.want([wanting(session, FOUR_KW)], now=timezone.now())
    dispatch.drain()

    session.refresh_from_db()
    assert (session.status, session.may_be_limited) == ("ended", False)
    assert Command.objects.get().state == "moot"
    verbs = list(Attempt.objects.order_by("id").values_list("verb", "http_status"))
    assert verbs == [("set", 404), ("look_session", 404)]


def test_a_session_that_ended_unheard_is_looked_at(fleet):
    session = physical(fleet)[-1]
    fleet.unplug(session.external_id)

    want([session])
    dispatch.drain()

    session.refresh_from_db()
    assert session.status == "ended"
    assert Command.objects.get().state == "moot"


def test_an_unanswered_command_is_settled_by_looking_at_its_action(fleet):
    sessions = physical(fleet)[:4]
    want(sessions)
    dispatch.drain()
    # No webhook is received here.
    wait_until(lambda: have_taken_effect(fleet, Attempt.objects.select_related("session")))
    Command.objects.update(state="unconfirmed", step="look_action", next_attempt_at=timezone.now())

    dispatch.drain()

    assert set(Command.objects.values_list("state", "attempts")) == {("accepted", 1)}
    assert set(Session.objects.filter(pk__in=[s.pk for s in sessions]).values_list(
        "confirmed_unit", "confirmed_value")) == {("power", 4200.0)}  # fmt: skip


def test_an_unanswered_command_whose_action_cannot_be_looked_at_is_sent_again(fleet):
    session = physical(fleet)[0]
    want([session])
    dispatch.drain()
    Attempt.objects.update(action_id="0" * 24)
    Command.objects.update(state="unconfirmed", step="look_action", next_attempt_at=timezone.now())

    dispatch.drain()

    assert Command.objects.get().attempts == 2
    verbs = Attempt.objects.order_by("id").values_list("verb", "number", "http_status")
    assert list(verbs) == [("set", 1, 200), ("look_action", 1, 404), ("set", 2, 200)]


def test_a_wrong_api_key_is_trouble_and_no_rejection(fleet, settings):
    settings.EDRV_API_KEY = "wrong"
    want(physical(fleet)[:2])

    dispatch.drain()

    assert set(Command.objects.values_list("state", "reason")) == {("due", "unauthorized")}
    assert pace.in_trouble()


def test_a_station_that_learned_nothing_is_still_known_as_it_was(fleet):
    known = ChargeStation.objects.filter(is_simulator=True).count()

    assert known == fleet.state()["stations"]["by_kind"]["simulator"]


def test_slow_answers_do_not_slow_down_what_is_sent_at_a_given_rate(fleet, settings):
    settings.EDRV_RATE_LIMIT, settings.EDRV_TIMEOUT_S = 20, 15
    sessions = physical(fleet)[:30]
    fleet.fault("slow", delay_s=3.0, match={"calls": ["set"]})

    since = len(fleet.commands())
    want(sessions)
    dispatch.drain()

    # All are on their way before the first is answered: no batch waits for the one before it.
    rows = fleet.commands()[since:]
    assert len(rows) == 30
    assert max(row["received_at"] for row in rows) < min(row["answered_at"] for row in rows)
