"""want(): the one way to cause a command."""

import pytest

from chargers import limits
from chargers.models import AuditEntry, Command
from tests.fleet import FOUR_KW, NOW, SIX_KW, later, make_session, wanting

pytestmark = pytest.mark.django_db


def commands_of(session):
    found = session.commands.order_by("generation")
    return [(c.generation, c.kind, c.limit, c.state) for c in found]


def test_a_new_limit_is_a_command_that_is_due_now():
    session = make_session()

    assert limits.want([wanting(session, FOUR_KW, 6800)], now=NOW) == [session.pk]

    session.refresh_from_db()
    command = session.commands.get()
    assert (session.wanted, session.generation) == (FOUR_KW, 1)
    assert (command.limit, command.state, command.next_attempt_at) == (FOUR_KW, "due", NOW)
    assert (command.cause, command.expected_relief_w) == ("test", 6800)


def test_wanting_the_same_again_changes_nothing():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)

    assert limits.want([wanting(session, FOUR_KW)], now=later(1)) == []

    assert commands_of(session) == [(1, "set", FOUR_KW, "due")]


def test_another_limit_supersedes_the_command_before():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)

    limits.want([wanting(session, SIX_KW)], now=later(1))

    assert commands_of(session) == [(1, "set", FOUR_KW, "superseded"), (2, "set", SIX_KW, "due")]


def test_the_end_of_a_limit_that_was_never_sent_needs_no_command():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)

    limits.want([wanting(session, None)], now=later(1))

    session.refresh_from_db()
    assert commands_of(session) == [(1, "set", FOUR_KW, "superseded")]
    assert session.confirmed_generation == session.generation == 2


def test_the_end_of_a_limit_that_may_be_in_force_is_a_clear():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    type(session).objects.update(may_be_limited=True)

    limits.want([wanting(session, None)], now=later(1))

    session.refresh_from_db()
    assert commands_of(session)[-1] == (2, "clear", None, "due")
    assert session.confirmed_generation == 0


def test_the_end_of_a_limit_that_was_given_up_is_on_record_and_nothing_is_sent():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    session.commands.update(state="rejected", settled_at=later(60), next_attempt_at=None)

    limits.want([wanting(session, None)], now=later(600))
    limits.want([wanting(session, SIX_KW)], now=later(900))

    session.refresh_from_db()
    given_up, end, again = session.commands.order_by("generation")
    assert (given_up.state, given_up.settled_at) == ("rejected", later(60))
    assert (end.generation, end.kind, end.state) == (2, "clear", "moot")
    assert (end.created_at, end.settled_at, end.next_attempt_at) == (later(600), later(600), None)
    assert (again.generation, again.state, session.confirmed_generation) == (3, "due", 2)
    assert AuditEntry.objects.get(action="command.moot").subject_ids == [str(end.pk)]


def test_a_session_that_has_ended_wants_nothing():
    session = make_session(status="ended", ended_at=NOW)

    assert limits.want([wanting(session, FOUR_KW)], now=NOW) == []
    assert not Command.objects.exists()


def test_of_two_wishes_at_once_the_last_counts():
    session = make_session()

    limits.want([wanting(session, FOUR_KW), wanting(session, SIX_KW)], now=NOW)

    assert commands_of(session) == [(1, "set", SIX_KW, "due")]


def test_every_command_that_becomes_due_or_superseded_is_on_record():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    limits.want([wanting(session, SIX_KW)], now=later(1))

    first, second = (str(pk) for pk in Command.objects.order_by("id").values_list("id", flat=True))
    recorded = AuditEntry.objects.order_by("id").values_list("action", "subject_ids", "actor")
    assert list(recorded) == [
        ("command.due", [first], "gateway"),
        ("command.superseded", [first], "gateway"),
        ("command.due", [second], "gateway"),
    ]


def test_thousands_at_once_cost_the_same_few_statements(django_assert_max_num_queries):
    sessions = [make_session() for _ in range(30)]

    with django_assert_max_num_queries(8):
        limits.want([wanting(session, FOUR_KW) for session in sessions], now=NOW)

    assert Command.objects.count() == 30


def test_a_limit_is_sent_anew_when_an_older_one_overtook_it():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)

    limits.reassert([session.pk], now=later(1))

    assert commands_of(session) == [(1, "set", FOUR_KW, "superseded"), (2, "set", FOUR_KW, "due")]
