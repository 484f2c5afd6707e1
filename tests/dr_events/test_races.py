"""What happens between two lines of ours: another process plans, claims or hears meanwhile."""

import threading

import orjson
import pytest
from django.db import IntegrityError, connections, transaction

from chargers import claims, inbox, news, sessions, sql
from chargers.edrv.payloads import SessionData
from chargers.models import Attempt, AuditEntry, Command, WebhookDelivery
from chargers.sessions import Said
from dr_events import capacity, fanout, intake, lifecycle, participations, reconciliation
from dr_events.models import Event, SiteCapacity
from tests.dr_events.story import (
    ENDPOINT,
    OPERATOR,
    accept,
    declaration,
    declare,
    held_to,
    part,
    send,
    steer,
)
from tests.fleet import FOUR_KW, later, make_session, make_site
from tests.waiting import wait_until

WAITING = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def by_another(act):
    """As another process does it, on a connection of its own. Not started yet."""

    def run():
        try:
            act()
        finally:
            connections.close_all()

    return threading.Thread(target=run)


def elsewhere(act):
    """Let another process do this now."""
    thread = by_another(act)
    thread.start()
    thread.join()


def start(session, at):
    data = SessionData(session.external_id, None, None, "started", at, None, None, None, None)
    sessions.apply([Said(data, at)], now=at)


@pytest.mark.django_db(transaction=True)
def test_a_car_that_starts_while_its_event_is_being_planned_stays_limited(monkeypatch):
    make_session()
    late = make_session(status="created", started_at=None)
    take_in = fanout._take_in

    def take_in_and_then(event_id, chunk, clock):
        take_in(event_id, chunk, clock)
        elsewhere(lambda: (start(late, clock()), reconciliation.reconcile_news(clock=clock)))

    monkeypatch.setattr(fanout, "_take_in", take_in_and_then)
    event = declare()

    assert held_to(late)[0] == FOUR_KW
    assert part(event, late).released_at is None


@pytest.mark.django_db(transaction=True)
def test_the_end_of_an_event_does_not_wait_for_the_rest_of_a_pass_over_it(monkeypatch):
    for _ in range(fanout.FIRST_CHUNK + 1):
        make_session()
    event = declare()
    again_at = fanout.REPLAN_AFTER.total_seconds() + 1
    chunks = []
    take_in = fanout._take_in

    def take_in_and_end(event_id, chunk, clock):
        take_in(event_id, chunk, clock)
        chunks.append(chunk)
        elsewhere(lambda: intake.end(event_id, actor=OPERATOR, now=clock()))

    monkeypatch.setattr(fanout, "_take_in", take_in_and_end)
    steer(again_at)

    assert [len(chunk) for chunk in chunks] == [fanout.FIRST_CHUNK]
    event.refresh_from_db()
    assert event.status == "completed"
    assert {part.released_at for part in event.participations.all()} == {event.ended_at}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("move", "due_at", "change", "status"),
    [
        ("run_out", 2700, {"duration": "PT2H"}, "active"),
        ("activate", 60, {"starts_at": later(3600).isoformat(), "duration": "PT1H"}, "scheduled"),
    ],
)
def test_an_amendment_at_the_last_moment_counts(monkeypatch, move, due_at, change, status):
    starts_at = later(0 if move == "run_out" else due_at)
    event = declare(starts_at=starts_at.isoformat(), duration="PT45M")
    moving = getattr(lifecycle, move)

    def amend_and_move(event_id, *, now):
        elsewhere(lambda: intake.amend(event_id, change, actor=OPERATOR, now=later(due_at - 0.1)))
        moving(event_id, now=now)

    monkeypatch.setattr(lifecycle, move, amend_and_move)
    fanout.advance(now=later(due_at + 0.1))

    event.refresh_from_db()
    assert event.status == status


@pytest.mark.django_db(transaction=True)
def test_the_first_limits_of_an_event_are_lifted_while_the_others_are_still_being_let_go(
    monkeypatch,
):
    for _ in range(fanout.FIRST_CHUNK + 1):
        make_session()
    event = declare()
    accept(1)
    intake.end(event.pk, actor=OPERATOR, now=later(2))
    due = []
    release = participations.release

    def look_and_release(pairs, *, now):
        elsewhere(lambda: due.append(Command.objects.filter(kind="clear", state="due").count()))
        release(pairs, now=now)

    monkeypatch.setattr(participations, "release", look_and_release)
    steer(3)

    assert due == [0, fanout.FIRST_CHUNK]
    assert Command.objects.filter(kind="clear", state="due").count() == fanout.FIRST_CHUNK + 1


@pytest.mark.django_db(transaction=True)
def test_an_event_that_ends_while_a_car_joins_it_is_not_over_before_that_car_is_let_go(monkeypatch):
    session = make_session()
    states = []
    enlist = participations.enlist

    def enlist_and_end(pairs, *, now):
        joined = enlist(pairs, now=now)
        [event] = Event.objects.all()

        def end():
            intake.end(event.pk, actor=OPERATOR, now=now)
            fanout.finish_events(now=now)
            states.append(Event.objects.get().status)

        elsewhere(end)
        return joined

    monkeypatch.setattr(participations, "enlist", enlist_and_end)
    event = declare()

    assert states == ["restoring"]
    assert part(event, session).released_at is not None
    assert event.status == "completed"


@pytest.mark.django_db(transaction=True)
def test_a_limit_sent_while_its_event_is_being_ended_is_cleared_before_the_event_is_over(
    monkeypatch,
):
    session = make_session()
    event = declare()
    intake.end(event.pk, actor=OPERATOR, now=later(1))
    claimed = []
    plan_sessions = participations.plan_sessions

    def claim_and_then(session_ids, *, now):
        elsewhere(
            lambda: claimed.extend(
                claims.claim(10, endpoint=ENDPOINT, now=now, lease_until=later(5))
            )
        )
        plan_sessions(session_ids, now=now)

    monkeypatch.setattr(participations, "plan_sessions", claim_and_then)
    steer(1)

    # Either it was too late to be claimed, or its clear has to be proven.
    session.refresh_from_db()
    event.refresh_from_db()
    assert (event.status == "completed") is not session.may_be_limited
    if claimed:
        accept(10)
        event.refresh_from_db()
    assert (event.status, held_to(session)) == ("completed", (None, None))


@pytest.mark.django_db(transaction=True)
def test_an_action_that_becomes_known_while_its_webhook_is_applied_is_locked_in_order(monkeypatch):
    """Found by tests/faults: its session would be locked after others, and two could wait for each
    other."""
    make_session()
    declare()
    [claimed] = claims.claim(1, endpoint=ENDPOINT, now=later(1), lease_until=later(9))
    data = {"_id": "late", "status": "completed"}
    type_ = "session.set_power_limit.completed"
    body = orjson.dumps({"_id": "d1", "type": type_, "data": data})
    delivery = WebhookDelivery.objects.create(
        external_id="d1", type=type_, body=body, received_at=later(1)
    )
    lock_sessions = inbox._lock_sessions

    def lock_and_then(*arguments):
        lock_sessions(*arguments)
        attempt = Attempt.objects.filter(pk=claimed.attempt_id)
        elsewhere(lambda: attempt.update(action_id="late", outcome="requested"))

    monkeypatch.setattr(inbox, "_lock_sessions", lock_and_then)
    inbox.apply_batch(now=later(2))
    delivery.refresh_from_db()
    assert delivery.state == "waiting"

    inbox.retry_waiting(now=later(3))
    inbox.apply_batch(now=later(3))
    delivery.refresh_from_db()
    assert (delivery.state, Command.objects.get().state) == ("applied", "accepted")


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_had_to_wait_plans_for_the_moment_at_which_its_turn_has_come():
    """Else it would undo a step that others have planned meanwhile."""
    session = make_session()
    steps = [
        {"duration": "PT10M", "limit": {"kind": "per_session", "unit": "power", "value": watts}}
        for watts in (9000, 4200)
    ]
    told = declaration(starts_at=later(0).isoformat(), intervals=steps)
    del told["limit"]
    intake.declare(told, actor=OPERATOR, now=later(0))
    steer(0)
    news.tell([session.pk])
    moment = later(599.9)
    turn = by_another(lambda: reconciliation.reconcile_news(clock=lambda: moment))
    with participations.planning(lambda: moment):
        turn.start()
        wait_until(lambda: sql.rows(WAITING))
        moment = later(600.5)
    turn.join()

    assert held_to(session)[0] == FOUR_KW


@pytest.mark.django_db
def test_one_event_that_cannot_be_planned_keeps_no_other_from_it(monkeypatch):
    session = make_session()
    broken = intake.declare(
        {
            "name": "broken",
            "limit": {"kind": "per_session", "unit": "power", "value": 4200},
            "targets": [{"type": "all"}],
        },
        actor=OPERATOR,
        now=later(0),
    ).event
    plan_event = fanout.plan_event

    def plan_or_break(event, *, clock):
        if event.pk == broken.pk:
            raise ValueError("no such thing")
        plan_event(event, clock=clock)

    monkeypatch.setattr(fanout, "plan_event", plan_or_break)
    declare(at=1)

    assert held_to(session)[0] == FOUR_KW
    assert send(2)


@pytest.mark.django_db(transaction=True)
def test_two_first_words_on_the_capacity_of_a_site_are_one_after_the_other():
    site = make_site()
    second = threading.Thread(target=elsewhere, args=[lambda: say(site, 2)])

    with transaction.atomic():
        say(site, 1, safe_power_w=6_000)
        second.start()
        wait_until(lambda: sql.ids("SELECT 1 FROM pg_locks WHERE NOT granted"))
    second.join()

    told = SiteCapacity.objects.get()
    assert (told.power_w, told.safe_power_w) == (20_000, 6_000)
    assert AuditEntry.objects.latest("id").before == {"power_w": 10_000, "safe_power_w": 6_000}


@pytest.mark.django_db(transaction=True)
def test_a_capacity_said_while_it_is_being_removed_is_kept():
    site = make_site()
    say(site, 1)
    failed = []

    def say_and_remove():
        try:
            for at in range(10):
                say(site, at)
                capacity.remove(site, actor=OPERATOR, now=later(at))
            say(site, 10)
        except IntegrityError as error:
            failed.append(error)

    threads = [threading.Thread(target=elsewhere, args=[say_and_remove]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert SiteCapacity.objects.get().power_w == 100_000


def say(site, at, **changes):
    data = {"power_w": 10_000 * at, "valid_until": later(900).isoformat(), **changes}
    capacity.put(site, data, actor=OPERATOR, now=later(at))
