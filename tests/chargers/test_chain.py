"""The hash chain: whatever is done to the audit record behind the gateway's back is named."""

import json
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from chargers import anchors, audit, chain
from chargers.canonical import GENESIS, canonical, digest_of, link
from chargers.chain import Head
from chargers.models import AuditEntry, AuditLink
from tests.fleet import NOW, later

ANNA = audit.Actor("user:anna", "192.0.2.7")


@pytest.fixture
def entries(transactional_db):
    """Five entries, each of a transaction of its own."""
    for number in range(5):
        write(number)
    return list(AuditEntry.objects.order_by("id"))


def write(number, **changes):
    said = {"after": {"feeder": f"F{number}", "limit": 4200.0 + number}}
    audit.record(
        ANNA,
        "site.changed",
        at=later(number),
        subject="site",
        subject_ids=[number],
        **said | changes,
    )


def tamper(*statements):
    """What an administrator of the database can do."""
    with transaction.atomic(), connection.cursor() as cursor:
        for table in ("chargers_auditentry", "chargers_auditlink"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        for table in ("chargers_auditentry", "chargers_auditlink"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_every_entry_is_linked_when_it_is_committed(entries):
    links = list(AuditLink.objects.order_by("position"))

    assert [one.position for one in links] == [1, 2, 3, 4, 5]
    assert [one.entry_id for one in links] == [entry.id for entry in entries]
    before = GENESIS
    for one, entry in zip(links, entries, strict=True):
        before = link(before, bytes(entry.digest))
        assert bytes(one.hash) == before
    assert chain.head() == Head(5, before)
    assert chain.verify() is None


def test_what_is_rolled_back_leaves_no_link(entries):
    with transaction.atomic():
        write(9)
        transaction.set_rollback(True)

    write(5)

    assert chain.head().position == 6
    assert chain.verify() is None


def test_transactions_that_commit_at_once_are_linked_one_after_the_other(entries):
    def write_many(start):
        try:
            for number in range(start, start + 25):
                with transaction.atomic():
                    write(number)
                    write(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=write_many, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert chain.head().position == 205
    assert chain.verify() is None


CHANGES = {
    "actor": "'user:eve'",
    "origin": "'elsewhere'",
    "action": "'site.seen'",
    "subject": "'session'",
    "subject_ids": "ARRAY['77']",
    "before": '\'{"feeder": "F0"}\'',
    "after": '\'{"feeder": "F2", "limit": 4202.1}\'',
    "at": "at + interval '1 microsecond'",
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_field_is_named(entries, field):
    tamper(f"UPDATE chargers_auditentry SET {field} = {CHANGES[field]} WHERE id = {entries[2].id}")

    found = chain.verify()

    assert (found.what, found.position, found.entry_id) == ("changed", 3, entries[2].id)


def test_a_changed_entry_with_a_new_digest_is_still_named(entries):
    content = {name: getattr(entries[2], name) for name in chain.ENTRY_FIELDS} | {"actor": "eve"}
    digest = digest_of(content).hex()
    tamper(
        f"UPDATE chargers_auditentry SET actor = 'eve', digest = '\\x{digest}'"
        f" WHERE id = {entries[2].id}",
        f"UPDATE chargers_auditlink SET digest = '\\x{digest}' WHERE position = 3",
    )

    assert chain.verify().position == 3


def test_a_removed_entry_and_a_removed_link_are_named(entries):
    tamper(f"DELETE FROM chargers_auditentry WHERE id = {entries[3].id}")
    assert (chain.verify().what, chain.verify().position) == ("removed", 4)

    tamper("DELETE FROM chargers_auditlink WHERE position = 4")
    assert (chain.verify().what, chain.verify().position) == ("removed", 4)


def test_an_inserted_entry_is_named(entries):
    tamper(
        "INSERT INTO chargers_auditentry (at, actor, action, subject, subject_ids, digest)"
        " SELECT at, actor, action, subject, subject_ids, digest FROM chargers_auditentry LIMIT 1"
    )

    found = chain.verify()

    assert (found.what, found.entry_id) == ("inserted", AuditEntry.objects.first().id)


def test_two_entries_that_changed_places_are_named(entries):
    a, b = entries[1].id, entries[3].id
    tamper(
        f"UPDATE chargers_auditentry SET id = -1 WHERE id = {a}",
        f"UPDATE chargers_auditentry SET id = {a} WHERE id = {b}",
        f"UPDATE chargers_auditentry SET id = {b} WHERE id = -1",
    )

    found = chain.verify()

    assert (found.what, found.position) == ("reordered", 2)


def test_a_chain_made_anew_or_cut_short_does_not_pass_its_anchors(entries, tmp_path, settings):
    settings.AUDIT_ANCHOR_FILE = tmp_path / "anchors.jsonl"
    anchors.anchor_due(now=NOW)
    noted = anchors.read(settings.AUDIT_ANCHOR_FILE)
    assert noted == [chain.head()]

    tamper(
        f"DELETE FROM chargers_auditentry WHERE id = {entries[4].id}",
        "DELETE FROM chargers_auditlink WHERE position = 5",
    )
    assert chain.verify() is None  # by itself it cannot tell
    assert chain.verify(noted).what == "removed"

    write(44)
    assert (chain.verify(noted).what, chain.verify(noted).position) == ("changed", 5)


def test_the_command_says_the_head_or_what_is_wrong(entries, capsys, settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = None
    call_command("verify_audit")
    assert f"Head 5 {chain.head().hash.hex()}" in capsys.readouterr().out

    tamper(f"UPDATE chargers_auditentry SET actor = 'eve' WHERE id = {entries[0].id}")
    with pytest.raises(CommandError, match=f"changed: audit entry {entries[0].id} "):
        call_command("verify_audit")

    (tmp_path / "bad").write_text("no json")
    with pytest.raises(CommandError, match="--anchors"):
        call_command("verify_audit", anchors=tmp_path / "bad")


def test_anchors_are_noted_on_schedule_and_one_place_does_not_keep_the_others(
    entries, settings, tmp_path, mailoutbox
):
    settings.AUDIT_ANCHOR_FILE = tmp_path / "anchors.jsonl"
    settings.AUDIT_ANCHOR_EMAILS = ["audit@utility.example"]
    settings.AUDIT_ANCHOR_WEBHOOK_URL = "http://127.0.0.1:1/"  # nobody listens
    head = chain.head()

    anchors.anchor_due(now=NOW)
    anchors.anchor_due(now=later(60))  # not due
    anchors.anchor_due(now=later(3700))  # nothing new
    write(6)
    anchors.anchor_due(now=later(3800))

    lines = [json.loads(line) for line in settings.AUDIT_ANCHOR_FILE.read_text().splitlines()]
    assert [line["position"] for line in lines] == [5, 6]
    assert lines[0]["hash"] == head.hash.hex()
    assert [message.subject for message in mailoutbox] == ["Audit anchor 5", "Audit anchor 6"]
    assert head.hash.hex() in mailoutbox[0].body


def test_links_cannot_be_changed_either(entries):
    with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM chargers_auditlink")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.integers(-(10**25), 10**25),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_canonical_json_is_the_same_after_a_round_trip(value):
    once = canonical(value)

    assert canonical(json.loads(once)) == once


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 4200.0, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":4200}'),
        (1e22, "1e+22"),
        (0.00001, "0.00001"),
        (-0.0, "0"),
    ],
)
def test_canonical_json_is_that_of_rfc_8785(value, text):
    assert canonical(value).decode() == text
