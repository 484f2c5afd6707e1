"""What eDRV, its proxies and its stations do in life, and what must not come of it."""

import json
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from chargers import claims, dispatch, fleet, inbox, inventory, pace, replies, settlement
from chargers.edrv import payloads
from chargers.edrv.burst import Reply
from chargers.edrv.errors import RateLimited
from chargers.electricity import Limit, Unit
from chargers.models import ChargeStation, Command, Heartbeat, WebhookDelivery
from chargers.settlement import Answer
from dr_events import intake
from dr_events.explanation import explain
from dr_events.pulse import SWEPT
from dr_events.reconciliation import sweep
from tests.dr_events.story import (
    ENDPOINT,
    OPERATOR,
    accept,
    answer,
    declaration,
    declare,
    held_to,
    leave,
    meter,
    part,
    send,
    status,
    steer,
)
from tests.fleet import action, later, make_connector, make_session, make_station

pytestmark = pytest.mark.django_db

HTML = b"<html><body>404 default backend</body></html>"
KONG = b'{"message":"no Route matched with those values"}'
REJECTED = {"status": "Rejected"}


def refused(message):
    return json.dumps({"ok": False, "message": message, "result": None}).encode()


def edrv_answers(status, body, at):
    """Claim what is due and let eDRV answer all of it so; returns the verbs that were sent."""
    claimed = claims.claim(10, endpoint=ENDPOINT, now=later(at), lease_until=later(at + 1))
    answers = [Reply(one.attempt_id, 1.0, 2.0, status, {}, body) for one in claimed]
    dispatch.record(
        [
            replies.judge(one, reply, jitter=0.5)
            for one, reply in zip(claimed, answers, strict=True)
        ],
        now=later(at),
    )
    steer(at)
    return [str(one.verb) for one in claimed]


def end(event, at):
    intake.end(event.pk, actor=OPERATOR, now=later(at))
    steer(at)


def test_one_failure_told_four_times_is_one_failure():
    make_session()
    declare()
    [claimed] = send(0)

    for at in range(1, 5):
        failed = action("a", "failed", at=later(at), response_data=REJECTED)
        settlement.settle([Answer(claimed.attempt_id, failed)], now=later(at))

    command = Command.objects.get()
    assert (command.state, command.rejections) == ("due", 1)


@pytest.mark.parametrize("body", [HTML, KONG])
def test_a_404_of_something_on_the_way_ends_no_session(body):
    session = make_session()
    event = declare()
    accept(1)
    end(event, 5)

    for at in (6, 20, 60):
        edrv_answers(404, body, at)

    session.refresh_from_db()
    assert (session.status, session.may_be_limited) == ("started", True)
    assert status(event) == "restoring"
    assert explain(session, now=later(1000)).text.endswith(
        "The limit it had is still being lifted."
    )
    accept(200)
    assert status(event) == "completed"


def test_a_proxy_s_400_teaches_nothing_about_the_station():
    session = make_session()
    declare()
    edrv_answers(400, HTML, 0)

    accept(60)

    session.chargestation.refresh_from_db()
    assert session.chargestation.refused_units == []


def test_a_refusal_for_a_station_that_is_offline_waits_until_it_is_back():
    session = make_session(make_connector(make_station(online=False)))
    event = declare()
    for at in (0, 61, 122, 183, 244):
        edrv_answers(400, refused("cannot do that now"), at)
    told = part(event, session)
    assert (told.state, told.reason) == ("unreachable", "station_offline")
    assert told.next_attempt_at

    back = fleet.Online(session.chargestation.external_id, True, later(250))
    fleet.apply_online([back], now=later(250))
    accept(250)

    assert part(event, session).state == "confirmed"


def test_a_station_that_had_refused_for_good_is_asked_again_when_it_comes_back():
    session = make_session()
    event = declare()
    for at in (0, 1, 10, 60):
        answer(send(at), "failed", at, REJECTED)
    assert part(event, session).next_attempt_at is None

    for at, online in ((70, False), (80, True)):
        change = fleet.Online(session.chargestation.external_id, online, later(at))
        fleet.apply_online([change], now=later(at))
    accept(80)

    assert part(event, session).state == "confirmed"


def test_a_clear_that_edrv_refuses_twice_is_looked_into_and_finds_the_session_gone():
    session = make_session()
    event = declare()
    accept(1)
    end(event, 5)

    over = refused("session is not active")
    assert [edrv_answers(400, over, at) for at in (6, 7)] == [["clear"], ["set"]]
    ended = {"_id": session.external_id, "status": "Ended"}
    looked = edrv_answers(200, json.dumps({"ok": True, "result": ended}).encode(), 20)

    assert looked == ["look_session"]
    assert status(event) == "completed"


def test_one_random_rejection_of_a_clear_leaves_nothing_behind():
    session = make_session(make_connector(power_type="dc", max_power_w=None), power_w=100_000.0)
    event = declare()
    accept(1)
    end(event, 5)

    answer(send(6), "failed", 6, REJECTED)
    claimed = send(7)
    answer(claimed, "completed", 7)

    assert [one.verb for one in claimed] == ["clear"]
    session.chargestation.refresh_from_db()
    assert not session.chargestation.refuses_clear
    assert (status(event), held_to(session)) == ("completed", (None, None))


def test_a_rejected_survivor_is_asked_again_since_the_ended_event_s_limit_is_still_there():
    session = make_session()
    strict = declare(priority=0)
    accept(1)
    nine_kw = {"kind": "per_session", "unit": "power", "value": 9000}
    declare(at=2, name="loose", limit=nine_kw, priority=5)
    end(strict, 5)

    for at in (6, 20, 60, 120, 240):
        answer(send(at), "failed", at, REJECTED)
    assert status(strict) == "restoring"
    accept(400)

    assert status(strict) == "completed"
    assert held_to(session)[1] == Limit(Unit.CURRENT, 13)


def test_the_same_declaration_is_the_same_event_however_late_it_is_repeated():
    said = declaration(
        external_id="F12-0142", starts_at=later(0).isoformat(), ends_at=later(600).isoformat()
    )
    first = intake.declare(said, actor=OPERATOR, now=later(0))

    again = intake.declare(said, actor=OPERATOR, now=later(7200))

    assert (again.created, again.event.pk) == (False, first.event.pk)


def test_an_older_word_that_a_station_is_offline_comes_too_late():
    station = make_station()

    for online, said_at, heard_at in ((True, 30, 31), (False, 10, 32)):
        change = fleet.Online(station.external_id, online, later(said_at))
        fleet.apply_online([change], now=later(heard_at))

    station.refresh_from_db()
    assert station.online


def test_a_database_that_stumbles_costs_no_delivery(monkeypatch):
    make_session()
    event = declare()
    [claimed] = send(0)
    body = {
        "_id": "d1",
        "type": "session.set_power_limit.completed",
        "data": {"_id": f"action-{claimed.attempt_id}", "status": "completed"},
    }
    WebhookDelivery.objects.create(
        external_id="d1", type=body["type"], body=json.dumps(body).encode(), received_at=later(1)
    )
    trouble = SimpleNamespace(left=2)
    settle = settlement.settle

    def stumble(*args, **kwargs):
        if trouble.left:
            trouble.left -= 1
            raise OperationalError("deadlock detected")
        settle(*args, **kwargs)

    monkeypatch.setattr(settlement, "settle", stumble)
    with pytest.raises(OperationalError):
        inbox.apply_batch(now=later(1))
    inbox.apply_batch(now=later(2))
    steer(2)

    assert WebhookDelivery.objects.get().state == "applied"
    assert event.participations.get().state == "confirmed"


def test_an_ended_session_is_held_to_nothing():
    session = make_session()
    event = declare()
    accept(1)
    leave(session, 5)

    assert held_to(session) == (None, None)
    assert part(event, session).confirmed.value == 4200


SEVEN_A = {"kind": "per_session", "unit": "current", "value": 7}


def test_evidence_outlives_a_change_that_was_never_answered():
    session = make_session()
    event = declare()
    accept(1)
    meter(session, 4100.0, 30)
    intake.amend(event.pk, {"limit": SEVEN_A}, actor=OPERATOR, now=later(40))
    steer(40)
    end(event, 41)
    accept(42)

    told = part(event, session)
    assert (told.state, told.reason) == ("confirmed", "event_ended_before_answer")
    assert (told.accepted_at, told.complied_at) == (later(1), later(30))
    assert told.restored_at == later(42)


def test_two_events_that_end_together_leave_each_its_evidence():
    session = make_session()
    loose = declare(limit={"kind": "per_session", "unit": "power", "value": 6900})
    accept(1)
    strict = declare(at=2, name="strict", limit=SEVEN_A, priority=0)
    accept(3)
    for event in (strict, loose):
        intake.end(event.pk, actor=OPERATOR, now=later(10))
    steer(10)
    accept(11)

    for event in (strict, loose):
        told = part(event, session)
        assert (told.state, status(event)) == ("confirmed", "completed")
        assert told.accepted_at
        assert told.wanted == Limit(Unit.CURRENT, 7)


def test_an_older_command_that_reached_the_station_last_is_overruled_whatever_comes_first():
    session = make_session()
    event = declare()
    older = send(1)
    # Time for its answer has passed, so the newer one goes out beside it.
    intake.amend(event.pk, {"limit": SEVEN_A}, actor=OPERATOR, now=later(20))
    steer(20)
    newer = send(20)
    said = [(older, 30), (newer, 25)]
    for claimed, station_at in said:
        settlement.settle(
            [
                Answer(one.attempt_id, action(f"action-{one.attempt_id}", "completed",
                                              at=later(station_at)))
                for one in claimed
            ],
            now=later(31),
        )  # fmt: skip
    steer(31)

    accept(32)

    assert newer
    assert Command.objects.filter(session=session).count() == 3
    assert held_to(session) == (Limit(Unit.CURRENT, 7), Limit(Unit.CURRENT, 7))


def test_after_an_outage_the_fleet_is_read_anew_and_webhooks_get_their_time():
    make_session(started_at=later(-3600))
    sweep(clock=lambda: later(0))
    Heartbeat.note(inventory.SYNCED, at=later(1))
    sweep(clock=lambda: later(2))
    assert not inventory.is_sync_due(now=later(2))
    assert inbox.is_silent(now=later(300))

    Heartbeat.note(SWEPT, at=later(2))
    sweep(clock=lambda: later(300))

    assert inventory.is_sync_due(now=later(300))
    assert not inbox.is_silent(now=later(479))
    assert inbox.is_silent(now=later(480))


def test_a_new_gateway_does_not_miss_webhooks_that_had_no_time_to_come():
    make_session(started_at=later(-3600))
    assert inbox.is_silent(now=later(0))

    sweep(clock=lambda: later(0))

    assert not inbox.is_silent(now=later(1))


@pytest.mark.parametrize("odd", [b'"\\ud800"', b"1e400", b"NaN"])
def test_what_javascript_takes_for_json_is_read(odd):
    body = b'{"_id":"d1","type":"session.updated","data":{"_id":"s1","odd":' + odd + b"}}"

    delivery = payloads.read_delivery(payloads.parse(body))

    assert (delivery.id, delivery.data["_id"]) == ("d1", "s1")
    assert delivery.data["odd"] in (None, "?")


def test_offline_stations_hold_nobody_up():
    offline = make_connector(make_station(online=False))
    for _ in range(3):
        make_session(offline, power_w=22_000.0)
    session = make_session(power_w=5_000.0)
    declare()

    [claimed] = claims.claim(1, endpoint=ENDPOINT, now=later(0), lease_until=later(5))

    assert claimed.session_external_id == session.external_id


def test_a_station_that_edrv_places_nowhere_is_known_all_the_same():
    told = {"_id": "b" * 24, "endpoint": "CP-1"}

    fleet.apply_chargestations([payloads.read_chargestation(told)], now=later(0))

    station = ChargeStation.objects.get(external_id="b" * 24)
    assert station.site.external_id == fleet.NO_LOCATION
    fleet.apply_locations([payloads.read_location({"_id": "c" * 24})])
    placed = payloads.read_chargestation({**told, "location": "c" * 24})
    fleet.apply_chargestations([placed], now=later(1))
    station.refresh_from_db()
    assert station.site.external_id == "c" * 24


def test_a_station_time_that_is_still_to_come_is_not_chased():
    session = make_session()
    event = declare()
    older = send(1)
    settlement.settle(
        [Answer(older[0].attempt_id, action("a", "completed", at=later(36_000)))], now=later(2)
    )
    intake.amend(event.pk, {"limit": SEVEN_A}, actor=OPERATOR, now=later(20))
    steer(20)

    accept(21)

    assert Command.objects.filter(session=session).count() == 2
    assert held_to(session) == (Limit(Unit.CURRENT, 7), Limit(Unit.CURRENT, 7))


def test_a_sync_that_succeeds_ends_no_pause_that_edrv_asked_for():
    limited = RateLimited("slow down", 429, 60.0)
    pace.note_trouble(limited, jitter=0.0, now=later(0))

    pace.note_sync(now=later(10))
    assert pace.held_until(now=later(10)) == later(60)

    pace.note_sync(now=later(61))
    assert not pace.in_trouble()


def test_a_fleet_that_cannot_be_read_is_shown_since_when():
    for at in (0, 10, 20):
        pace.note_failed_sync(RateLimited("no", 429), now=later(at))

    assert Heartbeat.objects.get(name=pace.UNREAD).at == later(0)
    pace.note_sync(now=later(30))
    assert not Heartbeat.objects.filter(name=pace.UNREAD).exists()
