"""Answers in every order: an answer to generation n settles n only, and nothing regresses."""

import pytest

from chargers import limits, settlement
from chargers.models import Attempt, AuditEntry, Command, Session
from chargers.retries import after_deadline, after_taken
from chargers.settlement import Answer, Move
from tests.fleet import (
    FOUR_KW,
    NOW,
    SIX_KW,
    action,
    later,
    make_connector,
    make_session,
    make_station,
    wanting,
)

pytestmark = pytest.mark.django_db


def send(session, limit, *, at=NOW):
    """Want a limit and note it as sent and taken by eDRV; the attempt."""
    limits.want([wanting(session, limit)], now=at)
    return send_again(session.commands.get(generation=generation_of(session)), at=at)


def send_again(command, *, at=NOW, limit=None):
    """Note the command as sent once more, with its own limit or in another unit; the attempt."""
    command.attempts += 1
    command.state, command.step = "sent", "look_action"
    command.next_attempt_at = at
    command.save()
    sent = limit or command.limit
    Session.objects.filter(pk=command.session_id).update(may_be_limited=True)
    return Attempt.objects.create(
        command=command,
        session=command.session,
        number=command.attempts,
        verb="set" if sent else "clear",
        unit=sent and sent.unit,
        value=sent and sent.value,
        claimed_at=at,
        lease_until=at,
        action_id=f"action-{command.pk}-{command.attempts}",
        outcome="requested",
        may_have_effect=True,
    )


def generation_of(session):
    session.refresh_from_db()
    return session.generation


def settle(attempt, status, *, at=NOW, response_data=None):
    said = action(attempt.action_id, status, at=at, response_data=response_data)
    settlement.settle([Answer(attempt.pk, said)], now=at)


def states(session):
    return list(session.commands.order_by("generation").values_list("state", flat=True))


def confirmed(session):
    session.refresh_from_db()
    return session.confirmed, session.confirmed_generation, session.may_be_limited


def test_a_completed_action_confirms_the_limit():
    session = make_session()
    attempt = send(session, FOUR_KW)

    settle(attempt, "completed", at=later(1))

    command = session.commands.get()
    assert (command.state, command.accepted_at) == ("accepted", later(1))
    assert confirmed(session) == (FOUR_KW, 1, True)


def test_a_requested_action_changes_nothing():
    session = make_session()
    attempt = send(session, FOUR_KW)

    settle(attempt, "requested")

    assert states(session) == ["sent"]
    assert confirmed(session) == (None, 0, True)


def test_settling_twice_changes_nothing():
    session = make_session()
    attempt = send(session, FOUR_KW)
    settle(attempt, "completed", at=later(1))
    recorded = AuditEntry.objects.count()

    settle(attempt, "completed", at=later(9))

    assert session.commands.get().accepted_at == later(1)
    assert AuditEntry.objects.count() == recorded


def test_a_late_answer_to_an_older_command_does_not_change_what_a_newer_one_established():
    session = make_session()
    old = send(session, FOUR_KW)
    new = send(session, SIX_KW, at=later(1))
    settle(new, "completed", at=later(3))

    settle(old, "completed", at=later(2))

    assert states(session) == ["superseded", "accepted"]
    assert confirmed(session) == (SIX_KW, 2, True)


def test_until_the_newer_one_is_answered_the_older_answer_tells_what_the_station_holds():
    session = make_session()
    old = send(session, FOUR_KW)
    send(session, SIX_KW, at=later(1))

    settle(old, "completed", at=later(2))

    assert states(session) == ["superseded", "sent"]
    assert confirmed(session) == (FOUR_KW, 1, True)


def test_both_answers_in_one_batch_confirm_the_newer():
    session = make_session()
    old, new = send(session, FOUR_KW), send(session, SIX_KW, at=later(1))

    settlement.settle(
        [
            Answer(new.pk, action(new.action_id, "completed", at=later(3))),
            Answer(old.pk, action(old.action_id, "completed", at=later(2))),
        ],
        now=later(4),
    )

    assert confirmed(session) == (SIX_KW, 2, True)


def test_a_late_failure_does_not_reopen_a_settled_command():
    session = make_session()
    attempt = send(session, FOUR_KW)
    settle(attempt, "completed", at=later(1))

    settle(attempt, "failed", at=later(2), response_data={"status": "Rejected"})

    assert states(session) == ["accepted"]
    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.station_at) == ("accepted", later(1))


def test_what_edrv_answers_after_the_station_has_reopens_nothing():
    session = make_session()
    attempt = send(session, FOUR_KW)
    settle(attempt, "completed", at=later(1))

    taken = Move(attempt.command_id, attempt.number, after_taken(deadline_s=60), sent_at=NOW)
    settlement.advance([taken], now=later(2))

    command = session.commands.get()
    assert (command.state, command.settled_at) == ("accepted", later(1))
    assert command.first_sent_at == NOW


def test_an_accepted_clear_proves_the_limit_gone():
    session = make_session()
    settle(send(session, FOUR_KW), "completed")

    settle(send(session, None, at=later(1)), "completed", at=later(2))

    assert confirmed(session) == (None, 2, False)


def test_an_accepted_clear_proves_nothing_while_a_newer_limit_is_on_its_way():
    session = make_session()
    settle(send(session, FOUR_KW), "completed")
    clear = send(session, None, at=later(1))
    send(session, SIX_KW, at=later(2))

    settle(clear, "completed", at=later(3))

    assert confirmed(session) == (None, 2, True)


def test_a_set_that_reached_the_station_after_the_clear_is_found_out_and_mended():
    session = make_session()
    old = send(session, FOUR_KW)
    clear = send(session, None, at=later(1))
    settle(clear, "completed", at=later(2))

    # eDRV's time says that the station took the old limit after it had cleared.
    settle(old, "completed", at=later(5))

    newest = session.commands.order_by("-generation").first()
    assert (newest.kind, newest.generation, newest.state) == ("clear", 3, "due")
    assert confirmed(session)[2] is True


FAILURES = [{"error": "Chargestation is offline"}, {"status": "Rejected"}]


@pytest.mark.parametrize("said", FAILURES)
def test_a_limit_that_was_taken_after_all_is_cleared_where_nothing_is_wanted_any_more(said):
    session = make_session()
    attempt = send(session, FOUR_KW)
    settle(attempt, "failed", at=later(1), response_data=said)
    limits.want([wanting(session, None)], now=later(2))
    assert confirmed(session) == (None, 2, False)

    for _ in range(2):
        settle(attempt, "completed", at=later(30))

    assert list(session.commands.order_by("generation").values_list("kind", "generation")) == [
        ("set", 1),
        ("clear", 3),
    ]
    assert confirmed(session)[2] is True


def test_a_limit_that_was_taken_after_it_was_given_up_is_cleared():
    """That it is not wanted any more is on record as a clear that was never sent."""
    session = make_session()
    attempt = send(session, FOUR_KW)
    for at in (1, 60, 120, 180):
        settle(attempt, "failed", at=later(at), response_data={"status": "Rejected"})
        command = session.commands.get()
        if command.state != "rejected":
            attempt = send_again(command, at=later(at + 1))
    assert command.state == "rejected"
    limits.want([wanting(session, None)], now=later(300))
    assert session.commands.get(generation=2).state == "moot"

    settle(attempt, "completed", at=later(330))

    assert session.commands.get(generation=3).kind == "clear"
    assert confirmed(session)[2] is True


def test_a_limit_that_was_taken_after_all_is_cleared_though_another_one_was_never_sent():
    session = make_session()
    attempt = send(session, FOUR_KW)
    settle(attempt, "failed", at=later(1), response_data={"status": "Rejected"})
    limits.want([wanting(session, None)], now=later(2))
    limits.want([wanting(session, SIX_KW)], now=later(3))
    settle(attempt, "completed", at=later(4))

    limits.want([wanting(session, None)], now=later(5))

    assert session.commands.get(generation=4).kind == "clear"
    assert confirmed(session)[2] is True


def test_a_limit_that_was_cleared_since_is_not_cleared_once_more():
    session = make_session()
    old = send(session, FOUR_KW)
    settle(send(session, None, at=later(1)), "completed", at=later(3))
    limits.want([wanting(session, SIX_KW)], now=later(4))
    limits.want([wanting(session, None)], now=later(5))

    settle(old, "completed", at=later(2))

    assert session.commands.count() == 3
    assert confirmed(session) == (None, 4, False)


def test_a_rejected_limit_is_due_again_in_the_other_unit():
    session = make_session()
    attempt = send(session, FOUR_KW)

    settle(attempt, "failed", at=later(1), response_data={"status": "Rejected"})

    command = session.commands.get()
    assert (command.state, command.reason, command.rejections) == ("due", "rejected_by_station", 1)
    assert command.next_attempt_at == later(1)


def test_a_rejection_that_is_told_twice_counts_once():
    session = make_session()
    attempt = send(session, FOUR_KW)

    for _ in range(2):
        settle(attempt, "failed", at=later(1), response_data={"status": "Rejected"})

    assert session.commands.get().rejections == 1


def test_after_four_rejections_the_operator_has_to_know():
    session = make_session()
    attempt = send(session, FOUR_KW)
    for _ in range(3):
        settle(attempt, "failed", response_data={"status": "Rejected"})
        attempt = send_again(session.commands.get())
    settle(attempt, "failed", at=later(9), response_data={"status": "Rejected"})

    command = session.commands.get()
    assert (command.state, command.settled_at) == ("rejected", later(9))
    assert command.reason == "rejected_by_station"
    assert AuditEntry.objects.filter(action="command.rejected").count() == 1


def test_a_limit_that_no_station_took_leaves_nothing_to_clear():
    session = make_session()
    attempt = send(session, FOUR_KW)

    settle(attempt, "failed", response_data={"status": "Rejected"})

    assert confirmed(session) == (None, 0, False)


def test_a_rejection_proves_nothing_about_an_attempt_that_was_never_answered():
    session = make_session()
    send(session, FOUR_KW)
    second = send_again(session.commands.get())

    settle(second, "failed", response_data={"status": "Rejected"})

    assert confirmed(session)[2] is True


def test_a_rejected_amendment_leaves_the_limit_before_in_force():
    session = make_session()
    settle(send(session, FOUR_KW), "completed")

    settle(send(session, SIX_KW), "failed", response_data={"status": "Rejected"})

    assert confirmed(session) == (FOUR_KW, 1, True)


def test_a_failure_of_an_older_attempt_does_not_move_a_command_that_is_on_its_way_again():
    session = make_session()
    first = send(session, FOUR_KW)
    send_again(session.commands.get())

    settle(first, "failed", response_data={"status": "Rejected"})

    command = session.commands.get()
    assert (command.state, command.rejections) == ("sent", 0)


def test_what_a_station_refused_before_it_accepted_is_remembered():
    station = make_station()
    session = make_session(make_connector(station))
    settle(send(session, FOUR_KW), "failed", response_data={"status": "Rejected"})
    in_amperes = type(FOUR_KW)("current", 6)
    settle(send_again(session.commands.get(), limit=in_amperes), "completed", at=later(1))

    station.refresh_from_db()
    assert station.refused_units == ["power"]
    assert confirmed(session) == (in_amperes, 1, True)


def test_a_station_that_knows_no_clear_is_remembered_too():
    station = make_station()
    session = make_session(make_connector(station))
    settle(send(session, FOUR_KW), "completed")
    settle(send(session, None), "failed", response_data={"status": "NotSupported"})
    everything = type(FOUR_KW)("current", 32)
    settle(send_again(session.commands.get(kind="clear"), limit=everything), "completed")

    station.refresh_from_db()
    assert station.refuses_clear
    assert confirmed(session) == (None, 2, False)


def test_a_station_that_is_offline_is_waited_for():
    session = make_session()
    attempt = send(session, FOUR_KW)

    settle(attempt, "failed", at=NOW, response_data={"error": "station offline"})

    command = session.commands.get()
    assert (command.state, command.reason) == ("due", "station_offline")
    assert command.next_attempt_at == later(60)
    assert command.rejections == 0


@pytest.mark.parametrize("state", ["due", "sent", "unconfirmed"])
def test_the_end_of_a_session_makes_its_commands_moot(state):
    session = make_session()
    attempt = send(session, FOUR_KW)
    session.commands.update(state=state)
    type(session).objects.update(status="ended", ended_at=NOW, may_be_limited=False)

    settlement.end_sessions([session.pk], now=later(1))
    settle(attempt, "completed", at=later(2))

    assert states(session) == ["moot"]
    assert confirmed(session) == (None, 0, False)


def test_a_command_without_a_webhook_in_time_is_unconfirmed_and_looked_after():
    session = make_session()
    send(session, FOUR_KW, at=NOW)

    assert settlement.expire_deadlines(now=later(-1), deadline=after_deadline()) == 0
    assert settlement.expire_deadlines(now=NOW, deadline=after_deadline()) == 1

    command = Command.objects.get()
    assert (command.state, command.step, command.reason) == (
        "unconfirmed",
        "look_action",
        "no_answer",
    )


def test_an_unconfirmed_command_is_still_settled_by_a_late_webhook():
    session = make_session()
    attempt = send(session, FOUR_KW)
    settlement.expire_deadlines(now=NOW, deadline=after_deadline())

    settle(attempt, "completed", at=later(100))

    assert states(session) == ["accepted"]
