"""The audit record: written with what it records, and never touched again."""

import pytest
from django.db import IntegrityError, connection, transaction

from chargers import audit
from chargers.models import AuditEntry
from tests.fleet import NOW

pytestmark = pytest.mark.django_db
ANNA = audit.Actor("user:anna", "192.0.2.7")


def write(**changes):
    entry = {"at": NOW, "subject": "site", "subject_ids": ["7"], "after": {"feeder": "F12"}}
    audit.record(ANNA, "site.changed", **(entry | changes))


def test_an_entry_says_who_what_when_from_where_before_and_after():
    write(before={"feeder": "F11"})

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.origin, entry.action) == ("user:anna", "192.0.2.7", "site.changed")
    assert (entry.at, entry.subject, entry.subject_ids) == (NOW, "site", ["7"])
    assert (entry.before, entry.after) == ({"feeder": "F11"}, {"feeder": "F12"})


def test_what_concerns_nothing_is_not_recorded():
    write(subject_ids=[])

    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE chargers_auditentry SET actor = 'user:eve'", "DELETE FROM chargers_auditentry"],
)
def test_the_database_itself_refuses_to_change_or_delete_an_entry(statement):
    write()

    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert AuditEntry.objects.get().actor == "user:anna"
