"""The promises, as checks that hold after every single step: between our records and the wire's
truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from chargers import sql
from dr_events import participations, pools
from dr_events.models import Event
from tests.faults.wire import MOST_A, MOST_W, Car, Wire

SETTLED = ("accepted", "rejected", "superseded", "moot")


@dataclass(slots=True)
class Seen:
    """What was established before: it may be added to, never taken back."""

    generations: dict[str, tuple[int, int]] = field(default_factory=dict)
    settled: dict[int, str] = field(default_factory=dict)


def check(wire: Wire, seen: Seen) -> None:
    """P2 to P5, at any moment, also in the middle of anything."""
    sessions = {row["external_id"]: row for row in sql.rows(_SESSIONS)}
    for car in wire.cars.values():
        if car.id in sessions:
            _no_limit_is_out_of_sight(car, sessions[car.id], wire)
    _nothing_regresses(sessions, seen)
    _every_command_goes_on_or_is_settled(seen)
    _no_answer_counts_twice(wire)
    _no_event_is_over_too_early(wire, sessions)


def check_plans(now: datetime) -> None:
    """After a sweep everybody is wanted what a plan made anew from all that is known wants: news of
    answers and readings alone is not planned for where nobody shares power."""
    if pools.any_at_all():
        return
    wanted = sql.rows(_WANTED)
    with transaction.atomic():
        participations.plan_sessions(sql.ids(_OPEN), now=now)
        anew = sql.rows(_WANTED)
        transaction.set_rollback(True)
    assert anew == wanted


def _no_limit_is_out_of_sight(car: Car, row: dict[str, Any], wire: Wire) -> None:
    """P2: where a limit is in force, or may come into force, we know that it may."""
    if row["ended_at"] is None and (car.held or wire.may_still_take_effect(car)):
        assert row["may_be_limited"], f"P2: {car} is limited and nobody knows: {row}"
    if car.held and row["ended_at"] is None and row["wanted_unit"] is None:
        assert row["unsettled"], f"P2: {car} keeps its limit and nothing is on its way: {row}"


def _nothing_regresses(sessions: dict[str, dict[str, Any]], seen: Seen) -> None:
    """P5: generations only rise."""
    for key, row in sessions.items():
        now = (row["generation"], row["confirmed_generation"])
        before = seen.generations.get(key, (0, 0))
        assert now[0] >= before[0], f"P5: {key} went from generation {before} to {now}"
        assert now[1] >= before[1], f"P5: {key} went from generation {before} to {now}"
        seen.generations[key] = now


def _every_command_goes_on_or_is_settled(seen: Seen) -> None:
    """P1: what is not settled has a time of its next step. P5: what is settled stays so."""
    for row in sql.rows("SELECT id, state, next_attempt_at FROM chargers_command"):
        if row["state"] in SETTLED:
            before = seen.settled.setdefault(row["id"], row["state"])
            assert before == row["state"], f"P5: {row} had been {before}"
        else:
            assert row["id"] not in seen.settled, f"P5: {row} had been {seen.settled[row['id']]}"
            assert row["next_attempt_at"], f"P1: {row} waits for nothing"


def _no_answer_counts_twice(wire: Wire) -> None:
    """P3: whatever is told twice counts once, and what can be read is never set aside."""
    for row in sql.rows("SELECT id, rejections FROM chargers_command WHERE rejections > 0"):
        said_no = wire.failures.get(row["id"], 0)
        assert row["rejections"] <= said_no, f"P3: {row}, but only {said_no} have said no"
    assert not sql.rows("SELECT note FROM chargers_webhookdelivery WHERE state = 'failed'")


def _no_event_is_over_too_early(wire: Wire, sessions: dict[str, dict[str, Any]]) -> None:
    """P2: whoever took part in an event that is over holds no limit, but for another event."""
    for row in sql.rows(_PARTS_OF_THE_PAST):
        car, session = wire.cars[row["session"]], sessions[row["session"]]
        assert row["released_at"], f"P2: {row} is still in an event that is over"
        assert row["restored_at"] or not row["was_limited"], f"P2: {row} is not proven"
        if car.held and car.status == "Started":
            assert session["running"], f"P2: {car} is still limited though {row} is over"


def check_events(wire: Wire) -> None:
    """P1, once a sweep has come to its end: every car in the scope of a running event is
    confirmed at what is wanted, or there is a reason, and what is next."""
    unplanned = sql.rows(_UNPLANNED)
    assert not unplanned, f"a sweep has left out {unplanned}"
    for event in Event.objects.filter(status="active").prefetch_related("targets"):
        aimed_at = {target.value for target in event.targets.all()}
        parts = {row["session"]: row for row in sql.rows(_PARTS, [event.id])}
        for row in sql.rows(_CHARGING):
            if {"", row["chargestation"], row["external_id"]} & aimed_at:
                assert row["external_id"] in parts, f"P1: {row} is forgotten by {event}"
                _stands_somewhere(parts[row["external_id"]])


def _stands_somewhere(part: dict[str, Any]) -> None:
    match part["state"]:
        case "exempt":
            assert part["reason"]
        case "confirmed":
            wanted_w = watts(part["wanted_unit"], part["wanted_value"])
            held_w = watts(part["held_unit"], part["held_value"])
            # Said in the other unit it may be less, by what is rounded away.
            assert 0 <= wanted_w - held_w <= watts("current", 0.1), f"P1: {part}"
        case "failed":
            assert part["reason"], f"P1: {part}"
        case "pending" | "unreachable":
            assert part["state"] == "pending" or part["reason"], f"P1: {part}"
            is_spared = part["wanted_unit"] is None and not part["may_be_limited"]
            assert part["unsettled"] or is_spared, f"P1: {part} waits for nothing"
        case _:
            raise AssertionError(f"P1: {part} has left a running event")


def watts(unit: str, value: float) -> float:
    """On the connectors of this fleet."""
    return value * MOST_W / MOST_A if unit == "current" else value


def check_rest(wire: Wire) -> None:
    """When all is over and everything was told: nobody is limited, and both books agree."""
    open_events = Event.objects.filter(status__in=Event.UNFINISHED)
    assert not open_events, f"P2: {list(open_events.values())}"
    assert not sql.rows(_UNSETTLED), f"P1: {sql.rows(_UNSETTLED)}"
    for row in sql.rows(_SESSIONS):
        car = wire.cars[row["external_id"]]
        assert car.held is None, f"P2: {car} {row}"
        assert not row["may_be_limited"], f"P2: {row}"
        assert (row["ended_at"] is None) == (car.status == "Started"), f"P1: {car} {row}"


_OPEN = "SELECT id FROM chargers_session WHERE ended_at IS NULL"

_WANTED = """
    SELECT id, generation, wanted_unit, wanted_value FROM chargers_session ORDER BY id
"""

_SESSIONS = """
    SELECT session.external_id, session.ended_at, session.may_be_limited, session.generation,
           session.confirmed_generation, session.wanted_unit, session.wanted_value,
           session.confirmed_unit, session.confirmed_value,
           EXISTS (SELECT FROM chargers_command AS command
                    WHERE command.session_id = session.id
                      AND command.state IN ('due', 'sent', 'unconfirmed')) AS unsettled,
           EXISTS (SELECT FROM dr_events_participation AS part
                     JOIN dr_events_event AS event ON event.id = part.event_id
                    WHERE part.session_id = session.id
                      AND event.status IN ('active', 'restoring')) AS running
      FROM chargers_session AS session
"""

_PARTS_OF_THE_PAST = """
    SELECT event.name, event.status, session.external_id AS session, part.released_at,
           part.restored_at, part.was_limited
      FROM dr_events_participation AS part
      JOIN dr_events_event AS event ON event.id = part.event_id
      JOIN chargers_session AS session ON session.id = part.session_id
     WHERE event.status IN ('completed', 'cancelled')
"""

_UNPLANNED = """
    SELECT id, status, revision, planned_revision FROM dr_events_event
     WHERE status IN ('active', 'restoring') AND planned_revision < revision
"""

_CHARGING = """
    SELECT session.external_id, station.external_id AS chargestation
      FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
     WHERE session.status = 'started'
"""

_PARTS = """
    SELECT session.external_id AS session, part.state, part.reason, part.wanted_unit,
           part.wanted_value, session.confirmed_unit AS held_unit,
           session.confirmed_value AS held_value, session.may_be_limited,
           EXISTS (SELECT FROM chargers_command AS command
                    WHERE command.session_id = session.id
                      AND command.state IN ('due', 'sent', 'unconfirmed')) AS unsettled
      FROM dr_events_participation AS part
      JOIN chargers_session AS session ON session.id = part.session_id
     WHERE part.event_id = %s AND part.released_at IS NULL
"""

_UNSETTLED = """
    SELECT command.id, command.session_id, command.state, command.reason
      FROM chargers_command AS command WHERE state IN ('due', 'sent', 'unconfirmed')
"""
