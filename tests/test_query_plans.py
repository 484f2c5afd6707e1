"""The statements that run all day go by index, however large the tables have grown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chargers import claims, dispatch, inbox, limits, sessions, settlement, sql
from chargers.edrv.calls import Endpoint
from chargers.electricity import Limit, Unit
from chargers.limits import Want
from chargers.models import Session, WebhookDelivery
from dr_events import (
    facts,
    fanout,
    intake,
    judgement,
    participations,
    pruning,
    reports,
    scope,
    troubles,
)
from dr_events.models import Event
from tests import large_fleet
from tests.dr_events import story

SESSIONS = 10_000
# Smaller ones are rightly read whole.
LARGE = {
    "chargers_session", "chargers_chargestation", "chargers_command", "chargers_attempt",
    "chargers_meterreading", "chargers_webhookdelivery", "dr_events_participation",
}  # fmt: skip


@pytest.fixture(scope="module")
def event(django_db_setup: None, django_db_blocker: Any) -> Iterator[Event]:
    """An event that a large fleet has accepted, and as many webhooks applied."""
    with django_db_blocker.unblock():
        try:
            large_fleet.fill(SESSIONS)
            said = story.declaration(targets=[{"type": "all"}])
            declared = intake.declare(said, actor=story.OPERATOR, now=timezone.now()).event
            large_fleet.limit(str(declared.id), limit_w=4200)
            for _ in range(4):
                remember_an_older_event()
            now = timezone.now()
            WebhookDelivery.objects.bulk_create(
                WebhookDelivery(external_id=str(number), type="session.updated", body=b"{}",
                                signature="", received_at=now, state="applied", applied_at=now)
                for number in range(SESSIONS)
            )  # fmt: skip
            sql.run("ANALYZE")
            yield declared
        finally:
            sql.run("TRUNCATE chargers_site, chargers_webhookdelivery, chargers_auditentry,"
                    " chargers_auditlink, dr_events_event CASCADE")  # fmt: skip


def remember_an_older_event() -> None:
    """The same sessions took part in it, and it is long over."""
    said = story.declaration(targets=[{"type": "all"}])
    old = intake.declare(said, actor=story.OPERATOR, now=timezone.now()).event
    Event.objects.filter(pk=old.pk).update(status="completed", ended_at=timezone.now())
    sql.run(
        "INSERT INTO dr_events_participation (event_id, session_id, state, reason, binding,"
        "       joined_at, joined_late, joined_generation, attempts, was_limited, released_at,"
        "       released_generation, restored_at)"
        " SELECT %s::uuid, id, 'confirmed', '', FALSE, now(), FALSE, 0, 1, TRUE, now(), 1, now()"
        "   FROM chargers_session",
        [str(old.pk)],
    )


def scanned(statement: str, parameters: Any = ()) -> set[str]:
    """The large tables that are read from one end to the other."""
    [found] = sql.rows(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    return _scanned(found["QUERY PLAN"][0]["Plan"]) & LARGE


def _scanned(node: dict[str, Any]) -> set[str]:
    found = {node["Relation Name"]} if node["Node Type"] == "Seq Scan" else set()
    return found.union(*(_scanned(inner) for inner in node.get("Plans", ())))


NOW = timezone.now()
SOME = [1, 2, 3, 4, 5]
NAMES = [f"{number:024x}" for number in SOME]
ACTIONS = [f"action-{number}" for number in SOME]
TIMES = [NOW] * len(SOME)
NOTHING = [None] * len(SOME)

STATEMENTS: dict[str, tuple[str, Any]] = {
    "claiming": (claims._DUE, {"now": NOW, "most": 100}),
    "back online": (claims._AT_ONLINE_STATIONS, [SOME]),
    "lost attempts": (dispatch._CLOSE_LOST, [NOW]),
    "deadlines": (settlement._EXPIRE, {"now": NOW, "reason": "no_answer", "batch": 100}),
    "leasing": (claims._LEASE, [NOW, SOME, [1] * len(SOME)]),
    "recording replies": (
        dispatch._RECORD_REPLIES,
        [SOME, *[NOTHING] * 4, ["requested"] * len(SOME), *[NOTHING] * 2],
    ),
    "next steps": (settlement._ADVANCE, [SOME, *[NOTHING] * 7, NOW]),
    "sent all the same": (settlement._NOTE_SENT, [SOME, TIMES]),
    "recording answers": (settlement._RECORD_ANSWERS, [SOME, *[NOTHING] * 4]),
    "tries of answers": (settlement._TRIES, [SOME]),
    "accepting": (settlement._ACCEPT_COMMANDS, {"attempts": SOME, "now": NOW}),
    "confirming": (settlement._CONFIRM_SESSIONS, {"attempts": SOME, "now": NOW}),
    "was one overtaken": (settlement._OVERTAKEN, {"sessions": SOME, "believable": NOW}),
    "does a limit remain": (settlement._RECONSIDER_LIMITED, {"sessions": SOME}),
    "pending webhooks": (inbox._PENDING, [100]),
    "attempts by action": (inbox._ATTEMPTS, [ACTIONS]),
    "sessions of a batch": (inbox._LOCK_SESSIONS, [NAMES, SOME, NAMES]),
    "waiting webhooks": (inbox._RETRY_WAITING, [100]),
    "waited too long": (inbox._GIVE_UP_WAITING, {"now": NOW, "before": NOW}),
    "woken by an answer": (dispatch._WAKE_WAITING, [ACTIONS]),
    "known sessions": (sessions._LOCK, [NAMES]),
    "facts": (facts._FACTS, [SOME]),
    "parts": (facts._PARTS, [SOME]),
    "standings": (judgement._STANDINGS, [SOME]),
    "events of sessions": (scope._PAIRS, [SOME]),
    "sessions of a site": (
        f"WITH {scope._aimed_at([('site', 'site-1')])} {scope._LARGEST_FIRST}",
        {"types": ["site"], "values": ["site-1"]},
    ),
    "proof of restoring": (participations._RESTORE, [SOME]),
    "events restored": (fanout._RESTORED_EVENTS, ()),
    "limits left behind": (troubles._STUCK, {"stuck_before": NOW}),
    "old readings": (pruning._OLDEST, {"after": 0, "before": NOW, "batch": 100}),
    "readings at the sites of events": (
        pruning._AT_SITES,
        {"readings": SOME, "sites": [1], "starts": [NOW], "ends": [NOW]},
    ),
    "pruning": (pruning._DELETE, {"readings": SOME, "margin": timedelta(hours=2)}),
}


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.django_db
def test_it_scans_no_large_table(event: Event, name: str) -> None:
    assert scanned(*STATEMENTS[name]) == set()


@pytest.mark.django_db
def test_the_latest_webhook_is_found_by_index(event: Event) -> None:
    query = WebhookDelivery.objects.order_by("-id").values_list("received_at")[:1].query

    assert scanned(str(query)) == set()


@pytest.mark.django_db
def test_the_report_of_a_small_event_does_not_read_the_readings_of_others(event: Event) -> None:
    assert "chargers_meterreading" not in scanned(reports._ROWS, [event.id])


@pytest.mark.django_db
def test_the_table_is_large_enough_for_a_scan_to_show(event: Event) -> None:
    assert Session.objects.count() == SESSIONS
    assert scanned("SELECT * FROM chargers_session WHERE power_w = 1") == {"chargers_session"}


@pytest.mark.django_db
def test_claiming_goes_by_expected_relief_without_sorting_all_that_is_due(event: Event) -> None:
    # By the statistics nothing is due, as at the beginning of every burst.
    sql.run(
        "UPDATE chargers_command SET state = 'due', accepted_at = NULL, settled_at = NULL,"
        " next_attempt_at = %s, expected_relief_w = id",
        [NOW - timedelta(hours=1)],
    )
    sql.run(claims._BY_INDEX_ONLY)

    plan = "\n".join(sql.texts(f"EXPLAIN {claims._DUE}", {"now": NOW, "most": 100}))

    assert "command_claimable" in plan
    assert "Sort Key: command.expected_relief_w" not in plan


@pytest.mark.django_db
def test_proofs_of_restoring_are_found_by_their_sessions_though_nobody_waited_for_any(
    event: Event,
) -> None:
    # By such statistics going through all of an event's end looks cheap, for each thousand of it.
    sql.run("UPDATE dr_events_participation SET was_limited = FALSE")
    sql.run("ANALYZE dr_events_participation")

    plan = "\n".join(sql.texts(f"EXPLAIN {participations._RESTORE}", [SOME]))

    assert "participation_unrestored" not in plan
    assert "Seq Scan on dr_events_participation" not in plan


@pytest.mark.django_db
def test_the_first_claim_of_a_database_checks_its_attempts_commands_by_index(event: Event) -> None:
    # PostgreSQL plans the check of a foreign key once a connection, and keeps to it.
    sql.run("DISCARD PLANS")
    sql.run("TRUNCATE chargers_command CASCADE")
    sql.run("ANALYZE chargers_command")
    limits.want([Want(number, Limit(Unit.POWER, 5000)) for number in range(1, 65)], now=NOW)
    endpoint = Endpoint("http://127.0.0.1:9/v1.1", "key")
    sql.run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    before = sequential_scans("chargers_command")

    claimed = claims.claim(100, endpoint=endpoint, now=NOW, lease_until=NOW + timedelta(minutes=1))
    sql.run("SET CONSTRAINTS ALL IMMEDIATE")

    assert len(claimed) == 64
    assert sequential_scans("chargers_command") == before


def sequential_scans(table: str) -> int:
    """How many this transaction has made."""
    return sql.ids("SELECT pg_stat_get_xact_numscans(%s::regclass)", [table])[0]
