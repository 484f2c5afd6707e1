"""The loop: events change what is wanted, answers change what is confirmed, and P1 to P6 hold."""

from functools import partial

import pytest

from chargers import news
from chargers.models import AuditEntry, ChargeStation, Command, Session
from dr_events import figures, intake, judgement, lifecycle, reconciliation
from dr_events.models import Event, Participation
from tests.dr_events.story import (
    OPERATOR,
    accept,
    answer,
    declare,
    held_to,
    leave,
    meter,
    part,
    send,
    status,
    steer,
)
from tests.fleet import (
    FOUR_KW,
    SIX_KW,
    later,
    make_connector,
    make_session,
    make_site,
    make_station,
)

pytestmark = pytest.mark.django_db

SIX = {"kind": "per_session", "unit": "power", "value": 6000}


def counts(event):
    found = figures.counts_of([event.id])[event.id].as_json()
    return {name: count for name, count in found.items() if count}


# --- from declared to restored ------------------------------------------------------------


def test_an_event_limits_its_sessions_and_gives_every_one_its_power_back():
    session, elsewhere = (
        make_session(),
        make_session(make_connector(make_station(make_site(feeder="F13")))),
    )
    event = declare(duration="PT45M")
    assert (status(event), counts(event)) == ("active", {"targeted": 1, "pending": 1})

    accept(1)
    assert held_to(session) == (FOUR_KW, FOUR_KW)
    assert held_to(elsewhere) == (None, None)
    assert counts(event) == {"targeted": 1, "confirmed": 1}

    meter(session, 4100.0, 30)
    assert counts(event) == {"targeted": 1, "confirmed": 1, "complied": 1}

    steer(45 * 60)
    assert status(event) == "restoring"
    assert held_to(session) == (None, FOUR_KW)

    accept(45 * 60 + 1)
    assert held_to(session) == (None, None)
    assert status(event) == "completed"
    assert counts(event) == {"targeted": 1, "confirmed": 1, "complied": 1, "restored": 1}
    event.refresh_from_db()
    assert (event.ended_at, event.restored_at) == (later(45 * 60), later(45 * 60 + 1))


def test_a_participation_tells_the_whole_story_of_its_session():
    session = make_session(power_w=11_000.0)
    event = declare()
    accept(2)
    meter(session, 4100.0, 30)

    told = part(event, session)
    assert (told.state, told.reason, told.binding, told.joined_late) == (
        "confirmed",
        "",
        True,
        False,
    )
    assert (told.wanted, told.confirmed, told.before_w) == (FOUR_KW, FOUR_KW, 11_000.0)
    assert (told.attempts, told.first_sent_at) == (1, later(2))
    assert (told.wanted_at, told.accepted_at, told.complied_at) == (later(0), later(2), later(30))


def test_who_has_just_joined_is_written_down_as_it_would_be_judged():
    _plain, exempt, offline = make_session(), make_session(), make_session()
    Session.objects.filter(pk=exempt.pk).update(exempt=True, exempt_reason="an ambulance")
    ChargeStation.objects.filter(pk=offline.chargestation_id).update(online=False)
    held = make_session()
    earlier = declare(limit=SIX, targets=[{"type": "session", "value": held.external_id}])
    accept(1)
    declare()
    before = list(Participation.objects.order_by("pk").values())

    judgement.refresh(list(Session.objects.values_list("pk", flat=True)))

    assert list(Participation.objects.order_by("pk").values()) == before
    assert part(earlier, held).state == "pending"  # told something lower, and not answered yet


def test_a_scheduled_event_waits_for_its_time():
    session = make_session()
    event = declare(starts_at=later(600).isoformat(), duration="PT10M")
    assert (status(event), held_to(session)[0]) == ("scheduled", None)

    steer(599)
    assert status(event) == "scheduled"

    steer(600)
    assert (status(event), held_to(session)[0]) == ("active", FOUR_KW)


def test_the_loop_may_turn_as_often_as_it_likes():
    make_session()
    event = declare()
    accept(1)
    commands, entries = Command.objects.count(), AuditEntry.objects.count()

    for second in range(2, 7):
        reconciliation.sweep(clock=partial(later, second))

    assert (Command.objects.count(), AuditEntry.objects.count()) == (commands, entries)
    assert counts(event) == {"targeted": 1, "confirmed": 1}


# --- who belongs to an event --------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        {"type": "all"},
        {"type": "grid_zone", "value": "Z1"},
        {"type": "substation", "value": "S1"},
        {"type": "feeder", "value": "F1"},
        {"type": "site", "value": "the-site"},
        {"type": "chargestation", "value": "the-station"},
        {"type": "session", "value": "the-session"},
    ],
)
def test_every_type_of_target_finds_its_sessions(target):
    site = make_site(external_id="the-site", grid_zone="Z1", substation="S1", feeder="F1")
    connector = make_connector(make_station(site, external_id="the-station"))
    session = make_session(connector, external_id="the-session")
    other = make_session()

    event = declare(targets=[target])

    taking_part = set(event.participations.values_list("session_id", flat=True))
    assert taking_part == ({session.pk, other.pk} if target["type"] == "all" else {session.pk})


def test_targets_that_overlap_count_a_session_once():
    make_session()
    event = declare(targets=[{"type": "all"}, {"type": "feeder", "value": "F12"}])

    assert counts(event) == {"targeted": 1, "pending": 1}


def test_a_scope_that_matches_nothing_is_accepted_and_ends_cleanly():
    event = declare(targets=[{"type": "feeder", "value": "F99"}], duration="PT1M")
    assert (status(event), counts(event)) == ("active", {})

    steer(60)
    assert status(event) == "completed"


def test_only_sessions_that_have_started_can_be_limited():
    created = make_session(status="created", started_at=None)
    event = declare()
    assert counts(event) == {}

    Session.objects.filter(pk=created.pk).update(status="started", started_at=later(5))
    news.tell([created.pk])
    steer(6)

    assert counts(event) == {"targeted": 1, "pending": 1}
    assert part(event, created).joined_late


def test_a_car_that_plugs_in_meanwhile_is_limited_too():
    event = declare()
    late = make_session(started_at=later(60))
    news.tell([late.pk])

    steer(61)
    accept(62)

    assert held_to(late) == (FOUR_KW, FOUR_KW)
    assert part(event, late).joined_late
    assert counts(event) == {"targeted": 1, "confirmed": 1}


def test_an_arrival_that_no_news_told_of_is_found_within_a_minute():
    event = declare()
    late = make_session(started_at=later(5))

    steer(59)
    assert not event.participations.exists()
    steer(61)

    assert held_to(late)[0] == FOUR_KW


def test_a_car_that_leaves_is_counted_as_ended_and_restored():
    session = make_session()
    event = declare()
    accept(1)

    leave(session, 100)

    told = part(event, session)
    assert (told.state, told.reason, told.restored_at) == ("ended", "session_ended", later(100))
    assert counts(event) == {"targeted": 1, "ended": 1, "restored": 1}


def test_an_exempt_session_is_counted_and_left_alone():
    reserved = make_session(make_connector(make_station(make_site(exempt=True))))
    fleet_car = make_session(exempt=True)
    station = make_session(make_connector(make_station(exempt=True)))
    event = declare(targets=[{"type": "all"}])

    assert not send(1)
    assert counts(event) == {"targeted": 3, "exempt": 3}
    assert part(event, reserved).reason == "exempt_site"
    assert part(event, fleet_car).reason == "exempt_session"
    assert part(event, station).reason == "exempt_chargestation"

    intake.end(event.id, actor=OPERATOR, now=later(10))
    steer(10)
    assert (status(event), counts(event)) == ("completed", {"targeted": 3, "exempt": 3})


def test_an_exemption_in_mid_event_lifts_the_limit():
    session = make_session()
    event = declare()
    accept(1)

    Session.objects.filter(pk=session.pk).update(exempt=True)
    news.tell([session.pk])
    steer(5)
    accept(6)

    assert held_to(session) == (None, None)
    assert part(event, session).state == "exempt"


# --- what stations say --------------------------------------------------------------------


def test_a_rejection_is_named_at_once_and_tried_again():
    session = make_session()
    event = declare()

    answer(send(1), "failed", 2, {"status": "Rejected"})
    told = part(event, session)
    assert (told.state, told.reason, told.next_attempt_at) == (
        "pending", "rejected_by_station", later(2),
    )  # fmt: skip

    answer(send(2), "failed", 2, {"status": "Rejected"})
    told = part(event, session)
    assert (told.state, told.reason, told.next_attempt_at) == (
        "failed", "rejected_by_station", later(7),
    )  # fmt: skip

    accept(7)
    assert part(event, session).state == "confirmed"
    assert held_to(session)[1] == FOUR_KW


def test_a_session_that_no_station_would_limit_ends_as_failed_and_needs_no_restoring():
    session = make_session()
    event = declare(duration="PT10M")
    for at in (1, 10, 60, 120):
        answer(send(at), "failed", at + 1, {"status": "Rejected"})
    told = part(event, session)
    assert (told.state, told.next_attempt_at) == ("failed", None)

    steer(600)

    assert status(event) == "completed"
    assert counts(event) == {"targeted": 1, "failed": 1}
    assert part(event, session).restored_at is None


def test_a_command_nobody_answers_is_unreachable_and_has_a_next_time():
    session = make_session()
    event = declare()
    send(1)

    reconciliation.sweep(clock=lambda: later(61))

    told = part(event, session)
    assert (told.state, told.reason) == ("unreachable", "no_answer")
    assert told.next_attempt_at is not None


def test_an_event_is_not_completed_while_one_limit_may_be_left():
    session = make_session()
    event = declare(duration="PT10M")
    send(1)  # taken by eDRV, never answered

    steer(600)
    assert status(event) == "restoring"
    reconciliation.sweep(clock=lambda: later(700))
    assert status(event) == "restoring"

    accept(701)
    assert status(event) == "completed"
    assert part(event, session).restored_at == later(701)


def test_an_event_is_over_once_it_is_proven_that_no_station_took_its_limit():
    session = make_session()
    event = declare()
    claimed = send(1)
    intake.end(event.pk, actor=OPERATOR, now=later(2))
    steer(2)
    assert status(event) == "restoring"

    answer(claimed, "failed", 3, response_data={"status": "Rejected"})

    assert held_to(session) == (None, None)
    assert status(event) == "completed"


def test_a_clear_that_is_rejected_is_never_given_up():
    make_session()
    event = declare(duration="PT10M")
    accept(1)
    steer(600)
    for at in range(601, 2000, 100):
        answer(send(at), "failed", at, {"status": "Rejected"})
    assert status(event) == "restoring"

    accept(2100)
    assert status(event) == "completed"


def test_whoever_was_still_waiting_at_the_end_is_counted_as_ended():
    session = make_session()
    event = declare(duration="PT10M")

    steer(600)

    told = part(event, session)
    assert (told.state, told.reason) == ("ended", "event_ended_before_answer")
    assert (status(event), counts(event)) == ("completed", {"targeted": 1, "ended": 1})


# --- overlapping events -------------------------------------------------------------------


@pytest.mark.parametrize("first_to_end", ["strict", "loose"])
def test_when_one_of_two_events_ends_the_other_s_limit_is_set_and_nothing_cleared(first_to_end):
    session = make_session()
    events = {"strict": declare(), "loose": declare(limit=SIX)}
    accept(1)
    assert held_to(session) == (FOUR_KW, FOUR_KW)
    assert part(events["loose"], session).reason == "outranked"

    ending = events.pop(first_to_end)
    intake.end(ending.id, actor=OPERATOR, now=later(10))
    steer(10)
    accept(11)

    left = FOUR_KW if first_to_end == "loose" else SIX_KW
    assert held_to(session) == (left, left)
    assert status(ending) == "completed"
    assert not Command.objects.filter(kind="clear").exists()

    (survivor,) = events.values()
    assert part(survivor, session).binding
    assert part(survivor, session).reason == ""
    intake.end(survivor.id, actor=OPERATOR, now=later(20))
    steer(20)
    accept(21)
    assert held_to(session) == (None, None)
    assert status(survivor) == "completed"


def test_the_higher_priority_wins_though_its_limit_is_higher():
    session = make_session()
    low = declare(priority=5)
    accept(1)
    high = declare(at=2, priority=0, limit=SIX)
    accept(3)

    assert held_to(session) == (SIX_KW, SIX_KW)
    assert (part(low, session).binding, part(high, session).binding) == (False, True)


def test_the_same_limit_by_two_events_is_sent_once():
    make_session()
    declare()
    accept(1)

    second = declare(at=2)
    steer(3)

    assert not send(4)
    assert counts(second) == {"targeted": 1, "confirmed": 1}


# --- amending -----------------------------------------------------------------------------


def test_a_tighter_limit_in_mid_event_is_sent_and_judged_anew():
    session = make_session()
    event = declare(limit=SIX)
    accept(1)
    meter(session, 5900.0, 30)
    assert part(event, session).complied_at == later(30)

    intake.amend(event.id, {"limit": {"kind": "per_session", "unit": "power", "value": 4200}},
                 actor=OPERATOR, now=later(40))  # fmt: skip
    steer(40)
    accept(41)

    told = part(event, session)
    assert held_to(session) == (FOUR_KW, FOUR_KW)
    assert (told.wanted_at, told.accepted_at, told.complied_at) == (later(40), later(41), None)


def test_targets_that_are_removed_are_restored_and_those_added_are_limited():
    here = make_session()
    there = make_session(make_connector(make_station(make_site(feeder="F13"))))
    event = declare()
    accept(1)

    intake.amend(event.id, {"targets": [{"type": "feeder", "value": "F13"}]},
                 actor=OPERATOR, now=later(10))  # fmt: skip
    steer(10)
    accept(11)

    assert held_to(here) == (None, None)
    assert held_to(there) == (FOUR_KW, FOUR_KW)
    told = part(event, here)
    assert (told.state, told.reason, told.restored_at) == ("ended", "target_removed", later(11))
    assert counts(event) == {"targeted": 2, "confirmed": 1, "ended": 1, "restored": 1}


def test_a_target_that_comes_back_is_limited_again():
    session = make_session()
    event = declare()
    accept(1)
    for at, feeder in ((10, "F99"), (20, "F12")):
        intake.amend(event.id, {"targets": [{"type": "feeder", "value": feeder}]},
                     actor=OPERATOR, now=later(at))  # fmt: skip
        steer(at)
        accept(at + 1)

    assert held_to(session) == (FOUR_KW, FOUR_KW)
    assert part(event, session).state == "confirmed"


def aim_at(event, feeder, at):
    intake.amend(event.id, {"targets": [{"type": "feeder", "value": feeder}]},
                 actor=OPERATOR, now=later(at))  # fmt: skip
    steer(at)


def test_what_was_proven_before_a_target_was_removed_proves_nothing_once_it_is_back():
    session = make_session()
    event = declare(duration="PT1H")
    accept(1)
    meter(session, 4000.0, 30)
    aim_at(event, "F99", 60)
    accept(61)

    aim_at(event, "F12", 3000)
    told = part(event, session)
    assert (told.state, told.wanted_at) == ("pending", later(3000))
    assert (told.accepted_at, told.complied_at) == (None, None)
    assert (told.joined_at, told.first_sent_at) == (later(0), later(1))
    send(3001)  # and no answer comes
    steer(3600)

    told = part(event, session)
    assert (told.state, told.reason) == ("ended", "event_ended_before_answer")


def test_a_target_that_is_back_is_measured_from_then():
    session = make_session()
    event = declare()
    accept(1)
    aim_at(event, "F99", 60)
    accept(61)
    aim_at(event, "F12", 3000)
    accept(3002)
    meter(session, 4000.0, 3030)

    told = part(event, session)

    assert (told.state, told.wanted_at) == ("confirmed", later(3000))
    assert (told.accepted_at, told.complied_at) == (later(3002), later(3030))


def test_a_car_that_drew_too_much_before_it_was_left_alone_has_its_patience_anew():
    session = make_session()
    event, _other = declare(), declare(at=0.5)
    accept(1)
    meter(session, 11_000.0, 30)
    aim_at(event, "F99", 60)
    meter(session, 4000.0, 90)  # the other event has held it meanwhile
    meter(session, 11_000.0, 2990)
    aim_at(event, "F12", 3000)

    assert held_to(session) == (FOUR_KW, FOUR_KW)
    assert (part(event, session).state, part(event, session).reason) == ("confirmed", "")


def test_an_event_can_be_extended_and_cut_short():
    make_session()
    event = declare(duration="PT10M")
    accept(1)

    intake.amend(event.id, {"duration": "PT20M"}, actor=OPERATOR, now=later(500))
    steer(600)
    assert status(event) == "active"

    intake.amend(event.id, {"ends_at": later(700).isoformat()}, actor=OPERATOR, now=later(650))
    steer(700)
    assert status(event) == "restoring"


def test_a_cancelled_event_lifts_its_limits_first():
    session = make_session()
    event = declare()
    accept(1)

    intake.cancel(event.id, actor=OPERATOR, now=later(5))
    steer(5)
    assert status(event) == "restoring"
    accept(6)

    assert status(event) == "cancelled"
    assert held_to(session) == (None, None)


# --- moves ---------------------------------------------------------------------------------


def test_an_illegal_transition_raises_and_changes_nothing():
    event = declare(starts_at=later(600).isoformat())

    with pytest.raises(lifecycle.IllegalTransition, match="is scheduled: cannot become restoring"):
        lifecycle.end(event.id, ending_as="completed", actor=OPERATOR, now=later(1))
    assert status(event) == "scheduled"


def test_every_transition_is_on_record_with_who_and_from_where():
    make_session()
    event = declare(duration="PT10M")
    accept(1)
    intake.end(event.id, actor=OPERATOR, now=later(5))
    steer(5)
    accept(6)

    entries = AuditEntry.objects.filter(subject="event").order_by("id")
    assert list(entries.values_list("action", "actor", "origin")) == [
        ("event.declared", "user:operator", "test"),
        ("event.active", "gateway", ""),
        ("event.restoring", "user:operator", "test"),
        ("event.completed", "gateway", ""),
    ]
    assert entries[2].before == {"status": "active"}
    assert entries[2].after == {"status": "restoring"}


def test_thousands_of_sessions_are_planned_in_a_few_statements(django_assert_max_num_queries):
    connector = make_connector()
    for _ in range(60):
        make_session(connector)
    event = declare(starts_at=later(5).isoformat())

    with django_assert_max_num_queries(60):
        steer(5)

    assert Participation.objects.filter(event=event).count() == 60
    assert Event.objects.get().planned_revision == Event.objects.get().revision
