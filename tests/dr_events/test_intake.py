"""Declaring: the same again is the same event, and everything wrong is named at once."""

import pytest
from rest_framework.serializers import ValidationError

from chargers.audit import Actor
from chargers.models import AuditEntry
from chargers.problems import Problem
from dr_events import intake
from dr_events.models import Event
from tests.dr_events.story import OPERATOR, declaration
from tests.fleet import NOW, later

pytestmark = pytest.mark.django_db


def declare(*, key=None, actor=OPERATOR, at=0, **changes):
    return intake.declare(declaration(**changes), actor=actor, now=later(at), idempotency_key=key)


def limit(*, kind="per_session", unit="power", value=4200):
    return {"limit": {"kind": kind, "unit": unit, "value": value}}


def errors_of(raised):
    return raised.value.detail


def test_an_event_without_a_start_is_active_at_once():
    declared = declare()

    assert declared.created
    assert (declared.event.status, declared.event.activated_at) == ("active", NOW)
    assert declared.event.ends_at is None


def test_an_event_with_a_start_is_scheduled():
    event = declare(starts_at=later(60).isoformat(), duration="PT45M").event

    assert event.status == "scheduled"
    assert (event.starts_at, event.ends_at) == (later(60), later(60 + 45 * 60))


def test_a_start_a_few_seconds_ago_is_now():
    assert declare(starts_at=later(-30).isoformat()).event.status == "active"


@pytest.mark.parametrize("by", [{"key": "k1"}, {"external_id": "F12-0142"}])
def test_the_same_again_is_the_same_event(by):
    first = declare(**by)
    again = declare(**by, at=5)

    assert (first.created, again.created) == (True, False)
    assert again.event == first.event
    assert Event.objects.count() == 1
    assert AuditEntry.objects.filter(action="event.declared").count() == 1


@pytest.mark.parametrize(
    ("by", "field"), [({"key": "k1"}, "Idempotency-Key"), ({"external_id": "X"}, "external_id")]
)
def test_the_same_name_for_something_else_is_a_conflict(by, field):
    declare(**by)

    with pytest.raises(Problem) as raised:
        declare(**by, name="another")

    assert raised.value.status == 409
    assert [error.field for error in raised.value.errors] == [field]
    assert Event.objects.count() == 1


def test_the_order_of_targets_makes_no_other_event():
    targets = [{"type": "feeder", "value": "F1"}, {"type": "feeder", "value": "F2"}]
    declare(key="k", targets=targets)

    assert not declare(key="k", targets=targets[::-1] + targets[:1]).created


def test_an_external_id_is_the_declarer_s_own():
    declare(external_id="X")

    assert declare(external_id="X", actor=Actor("client:other"), name="another").created


def test_an_amended_event_is_still_found_by_what_was_declared():
    event = declare(external_id="X").event
    intake.amend(event.id, {"name": "renamed"}, actor=OPERATOR, now=later(1))

    assert declare(external_id="X").event.name == "renamed"


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        (limit(value=-1), ("limit", "value"), "0"),
        (limit(value=5e6), ("limit", "value"), "more than"),
        (limit(unit="current", value=5e3), ("limit", "value"), "more than"),
        (limit(unit="kW", value=4), ("limit", "unit"), "kW"),
        (limit(kind="percent", value=101), ("limit", "value"), "more than 100"),
        (limit(kind="per_moon"), ("limit", "kind"), "per_moon"),
        ({"limit": 4200}, ("limit",), "dictionary"),
        ({"targets": []}, ("targets",), "empty"),
        ({"targets": "all"}, ("targets",), "list"),
        ({"starts_at": "2026-07-01T17:00:00Z"}, ("starts_at",), "past"),
        ({"starts_at": "2026-07-01T19:00:00"}, ("starts_at",), "offset"),
        ({"starts_at": "2126-07-01T19:00:00Z"}, ("starts_at",), "ahead"),
        ({"ends_at": "2026-07-01T17:00:00Z"}, ("ends_at",), "past"),
        (
            {"ends_at": "2026-07-01T19:00:00Z", "starts_at": "2026-07-01T20:00:00Z"},
            ("ends_at",), "not after",
        ),
        ({"ends_at": "9999-12-31T23:59:59Z"}, ("ends_at",), "ahead"),
        ({"ends_at": "2026-07-01T19:00:00Z", "duration": "PT1H"}, ("duration",), "together"),
        ({"duration": "P1M"}, ("duration",), "no fixed length"),
        ({"durration": "PT1H"}, ("durration",), "not known"),
        ({"priority": -1}, ("priority",), "0"),
        ({"priority": 1.5}, ("priority",), "integer"),
        ({"name": ""}, ("name",), "empty"),
        ({"test": "yes"}, ("test",), "true or false"),
        ({"below_minimum": "ignore"}, ("below_minimum",), "ignore"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_the_field_is_named(changes, field, says):
    with pytest.raises(ValidationError) as raised:
        declare(**changes)

    found = errors_of(raised)
    for name in field:
        found = found[name]
    assert says in str(found)
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({"type": "moon", "value": "x"}, "type"),
        ({"type": "feeder"}, "value"),
        ({"type": "feeder", "value": None}, "value"),
        ({"type": "feeder", "value": ""}, "value"),
        ({"type": "feeder", "value": 12}, "value"),
        ({"type": "all", "value": "x"}, "value"),
        ({"value": "x"}, "type"),
        ({"type": "feeder", "value": "x", "radius": 3}, "radius"),
    ],
)
def test_a_bad_target_is_named_by_its_place(target, field):
    with pytest.raises(ValidationError) as raised:
        declare(targets=[{"type": "all"}, target])

    assert field in errors_of(raised)["targets"][1]


def test_everything_that_is_wrong_is_named_at_once():
    with pytest.raises(ValidationError) as raised:
        declare(name=7, priority="x", durration="PT1H", limit={"kind": "per_session"})

    assert {"name", "priority", "durration", "limit"} <= set(errors_of(raised))


def test_zero_is_a_pause_and_no_mistake():
    event = declare(limit={"kind": "per_session", "unit": "current", "value": 0}).event

    assert event.amount.is_pause


@pytest.mark.parametrize("status", ["restoring", "completed", "cancelled"])
def test_what_has_ended_cannot_be_amended(status):
    event = declare().event
    Event.objects.update(status=status, ended_at=NOW, ending_as="completed")

    with pytest.raises(Problem, match=f"The event is {status}") as raised:
        intake.amend(event.id, {"name": "x"}, actor=OPERATOR, now=later(1))
    assert raised.value.status == 409


def test_an_amendment_that_says_nothing_new_changes_nothing():
    event = declare().event
    entries = AuditEntry.objects.count()

    intake.amend(event.id, {"name": event.name}, actor=OPERATOR, now=later(1))

    assert AuditEntry.objects.count() == entries
    assert Event.objects.get().revision == event.revision


def test_an_amendment_is_on_record_with_before_and_after():
    event = declare().event

    intake.amend(event.id, {"name": "x", "priority": 3}, actor=OPERATOR, now=later(1))

    entry = AuditEntry.objects.get(action="event.amended")
    assert entry.before == {"name": "Feeder F12 overload", "priority": None}
    assert entry.after == {"name": "x", "priority": 3}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"starts_at": later(600).isoformat()}, "starts_at"),
        ({"ends_at": later(-1).isoformat()}, "ends_at"),
        ({"external_id": "new"}, "external_id"),
        ({"test": True}, "test"),
        ({"targets": []}, "targets"),
    ],
)
def test_what_cannot_be_amended_is_said_so(data, field):
    event = declare().event

    with pytest.raises(ValidationError) as raised:
        intake.amend(event.id, data, actor=OPERATOR, now=later(1))
    assert field in errors_of(raised)


def test_a_scheduled_event_can_be_moved():
    event = declare(starts_at=later(600).isoformat(), duration="PT10M").event

    moved = intake.amend(
        event.id,
        {"starts_at": later(900).isoformat(), "duration": "PT5M"},
        actor=OPERATOR,
        now=later(1),
    )

    assert (moved.starts_at, moved.ends_at) == (later(900), later(1200))


def test_ending_twice_is_ending_once():
    event = declare().event
    intake.end(event.id, actor=OPERATOR, now=later(1))

    assert intake.end(event.id, actor=OPERATOR, now=later(2)).ended_at == later(1)


def test_cancelling_twice_is_cancelling_once():
    event = declare(starts_at=later(600).isoformat()).event
    intake.cancel(event.id, actor=OPERATOR, now=later(1))

    assert intake.cancel(event.id, actor=OPERATOR, now=later(2)).ended_at == later(1)


@pytest.mark.parametrize(
    ("first", "then", "code"),
    [
        (None, intake.end, None),
        (intake.end, intake.cancel, "event_over"),
        (intake.cancel, intake.end, "event_over"),
    ],
)
def test_an_event_ends_one_way_only(first, then, code):
    event = declare().event
    if first:
        first(event.id, actor=OPERATOR, now=later(1))

    if code is None:
        assert then(event.id, actor=OPERATOR, now=later(2)).status == "restoring"
    else:
        with pytest.raises(Problem) as raised:
            then(event.id, actor=OPERATOR, now=later(2))
        assert (raised.value.status, raised.value.code) == (409, code)


def test_a_scheduled_event_is_cancelled_and_not_ended():
    event = declare(starts_at=later(600).isoformat()).event

    with pytest.raises(Problem, match="cancel it instead"):
        intake.end(event.id, actor=OPERATOR, now=later(1))


def test_an_unknown_event_is_not_found():
    import uuid

    for call in (intake.end, intake.cancel):
        with pytest.raises(Problem) as raised:
            call(uuid.uuid4(), actor=OPERATOR, now=NOW)
        assert raised.value.status == 404
