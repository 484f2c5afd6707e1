"""Many items, one commit: on a real database."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.db import connection

from chargers import group_commit, webhooks
from chargers.group_commit import GroupCommit
from chargers.models import WebhookDelivery
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def row(number, type_="session.updated", body=b"{}"):
    return webhooks.Row(f"d{number}", type_, body, "", datetime.now(UTC))


class Group:
    """Webhooks that are stored together; `batches` is which of them were."""

    def __init__(self, most=1_000):
        self.batches, self.outcomes, self.count = [], {}, 0
        self.had_connection = []
        self.commit = GroupCommit(
            self._insert, tell=self._told, weight=lambda item: len(item[1].body), most=most
        )

    def _insert(self, items):
        rows = [row for _, row in items]
        self.had_connection.append(connection.connection is not None)
        webhooks.insert(rows)
        self.batches.append([row.external_id for row in rows])

    def add(self, *rows):
        for one in rows:
            self.commit.submit((self.count, one))
            self.count += 1

    def _told(self, outcomes):
        for (number, _), error in outcomes:
            self.outcomes[number] = type(error).__name__ if error else "stored"

    def outcome(self):
        wait_until(lambda: len(self.outcomes) == self.count)
        return [self.outcomes[number] for number in range(self.count)]


@contextmanager
def table_locked():
    """Whoever stores has to wait."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE chargers_webhookdelivery IN SHARE MODE")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def cut_who_waits():
    """Whether there was anybody to be cut off."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
        )
        return bool(cursor.fetchall())


def stored():
    return sorted(WebhookDelivery.objects.values_list("external_id", flat=True))


def one_storing(group):
    """The first is in the middle of its commit."""
    group.add(row(0))
    wait_until(lambda: group.commit._committer and not group.commit._gathered)


def test_one_alone_commits_at_once():
    group = Group()
    group.add(row(1))

    assert group.outcome() == ["stored"]
    assert group.batches == [["d1"]]


def test_who_comes_while_another_commits_shares_the_next_commit():
    group = Group()
    with table_locked():
        one_storing(group)
        group.add(row(1), row(2), row(3))

    assert group.outcome() == ["stored"] * 4
    assert group.batches == [["d0"], ["d1", "d2", "d3"]]
    assert stored() == ["d0", "d1", "d2", "d3"]


def test_many_at_once_are_all_stored_exactly_once():
    group = Group()
    group.add(*(row(number % 150) for number in range(300)))

    assert group.outcome() == ["stored"] * 300
    assert stored() == sorted(f"d{number}" for number in range(150))
    assert sum(map(len, group.batches)) == 300


def test_the_same_twice_in_one_commit_is_stored_once():
    group = Group()
    with table_locked():
        one_storing(group)
        group.add(row(1), row(1, body=b"[]"), row(1, type_="session.ended"))

    assert group.outcome() == ["stored"] * 4
    assert list(
        WebhookDelivery.objects.filter(external_id="d1").order_by("type").values_list("type")
    ) == [("session.ended",), ("session.updated",)]


def test_one_that_the_database_refuses_fails_alone():
    group = Group()
    with table_locked():
        one_storing(group)
        group.add(row(1), row(2), row(3, type_="nul \x00"), row(4), row(5, type_="\ud800"))

    assert group.outcome() == [
        "stored", "stored", "stored", "DataError", "stored", "UnicodeEncodeError",
    ]  # fmt: skip
    assert stored() == ["d0", "d1", "d2", "d4"]


def test_a_commit_takes_no_more_than_it_may_but_always_one():
    group = Group(most=10)
    with table_locked():
        one_storing(group)
        group.add(*(row(number, body=b"{   }") for number in (1, 2, 3)))
        group.add(row(4, body=b"x" * 100))

    assert group.outcome() == ["stored"] * 5
    assert group.batches == [["d0"], ["d1", "d2"], ["d3"], ["d4"]]


def test_where_the_connection_is_cut_nobody_of_that_commit_is_stored_and_the_next_are():
    group = Group()
    with table_locked():
        one_storing(group)
        group.add(row(1), row(2))
        wait_until(cut_who_waits)
        wait_until(lambda: not group.commit._gathered)
        group.add(row(3))
        wait_until(cut_who_waits)

    assert group.outcome() == ["OperationalError"] * 3 + ["stored"]
    assert stored() == ["d3"]


def stored_together(group):
    """The last commit was for two."""
    with table_locked():
        one_storing(group)
        group.add(row(1), row(2))
    group.outcome()


def test_after_a_commit_for_several_the_next_waits_for_as_many_and_no_longer(monkeypatch):
    monkeypatch.setattr(group_commit, "COMPANY_S", 1_000)
    group = Group()
    stored_together(group)

    group.add(row(3))
    time.sleep(0.05)
    group.add(row(4))

    assert group.outcome() == ["stored"] * 5
    assert group.batches[-1] == ["d3", "d4"]


def test_who_is_left_without_company_is_committed_alone():
    group = Group()
    stored_together(group)

    group.add(row(3))

    assert group.outcome() == ["stored"] * 4
    assert group.batches[-1] == ["d3"]


def test_the_connection_is_kept_for_those_who_come_soon_and_given_back_after_that(monkeypatch):
    given_back, let_go = threading.Event(), group_commit._let_go
    monkeypatch.setattr(group_commit, "_let_go", lambda: (let_go(), given_back.set()))
    monkeypatch.setattr(group_commit, "KEEPS_CONNECTION_S", 20)
    group = Group()
    group.add(row(1))
    group.outcome()
    monkeypatch.setattr(group_commit, "KEEPS_CONNECTION_S", 0)
    group.add(row(2))
    group.outcome()
    assert group.had_connection == [False, True]

    assert given_back.wait(20)
    group.add(row(3))

    assert group.outcome() == ["stored"] * 3
    assert group.had_connection[2:] == [False]


@pytest.mark.parametrize("error", [SystemExit, MemoryError, RuntimeError])
def test_whatever_breaks_a_commit_those_after_it_are_stored(monkeypatch, error):
    def insert(rows):
        monkeypatch.undo()
        raise error

    monkeypatch.setattr(webhooks, "insert", insert)
    group = Group()
    for number in (1, 2):
        group.add(row(number))
        group.outcome()

    assert group.outcome() == [error.__name__, "stored"]
    assert stored() == ["d2"]


def test_where_no_thread_could_be_started_nothing_is_left_behind(monkeypatch):
    def refuse(thread):
        monkeypatch.undo()
        raise RuntimeError("can't start new thread")

    group = Group()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        group.commit.submit((0, row(1)))

    group.add(row(2))

    assert group.outcome() == ["stored"]
    assert stored() == ["d2"]
