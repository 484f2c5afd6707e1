"""Declaring: the same again is the same event, and everything wrong is named at once."""

import pytest
from rest_framework.serializers import ValidationError

from chargers.audit import Actor
from chargers.models import AuditEntry
from chargers.problems import Problem
from dr_events import intake
from dr_events.content import content_of
from dr_events.models import Event
from gateway.problems import problem_of
from tests.dr_events.story import OPERATOR, declaration
from tests.fleet import NOW, later

pytestmark = pytest.mark.django_db


def declare(*, key=None, actor=OPERATOR, at=0, **changes):
    return intake.declare(declaration(**changes), actor=actor, now=later(at), idempotency_key=key)


def limit(*, kind="per_session", unit="power", value=4200):
    return {"limit": {"kind": kind, "unit": unit, "value": value}}


def step(value=4200, *, kind="per_session", unit="power", **fields):
    return {**limit(kind=kind, unit=unit, value=value), **fields}


def stepped(*intervals, **changes):
    """A declaration with steps instead of a limit."""
    data = {**declaration(**changes), "intervals": list(intervals)}
    del data["limit"]
    return data


def minutes(number):
    return later(number * 60).isoformat()


def errors_of(raised):
    return raised.value.detail


def paths_of(raised):
    """As problem+json names them: path → detail."""
    return {error.field: error.detail for error in problem_of(raised.value).errors}


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
        (limit(unit="kW", value=4), ("limit", "unit"), '"kW" is none of power, current'),
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


SHARED = ["per_site", "per_event", "relief"]


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize(
    ("terms", "field", "says"),
    [
        ({"value": -1}, "limit.value", "0"),
        ({"value": 1e9}, "limit.value", "more than any substation feeds (999,000,000)"),
        ({"value": "5000"}, "limit.value", "must be a number"),
        ({"unit": "current", "value": 32}, "limit.unit", "must be power"),
        ({"unit": "percent"}, "limit.unit", "percent"),
    ],
)
def test_a_cap_that_makes_no_sense_is_refused_by_name(kind, terms, field, says):
    with pytest.raises(ValidationError) as raised:
        declare(**limit(kind=kind, **terms))

    assert list(paths_of(raised)) == [field]
    assert says in paths_of(raised)[field]
    assert_nothing_happened()


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"below_minimum": "minimum"}, "minimum contradicts"),
        ({"randomize_start": "PT5M"}, "from the same moment"),
        ({"randomize_start": "-PT5M"}, "from the same moment"),
    ],
)
def test_a_cap_has_no_terms_that_are_each_session_s_own(kind, terms, says):
    with pytest.raises(ValidationError) as raised:
        declare(**limit(kind=kind), **terms)

    assert list(paths_of(raised)) == list(terms)
    assert kind in str(paths_of(raised))
    assert says in str(paths_of(raised))
    assert_nothing_happened()


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [(100.5, "power", "more than 100"), (101, "current", "more than 100"), (-1, "power", "0")],
)
def test_a_percentage_goes_from_0_to_100(value, unit, says):
    with pytest.raises(ValidationError) as raised:
        declare(**limit(kind="percent", unit=unit, value=value))

    assert says in paths_of(raised)["limit.value"]
    assert_nothing_happened()


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"randomize_start": "P2D"}, "randomize_start", "-P1D to P1D"),
        ({"randomize_start": "5 min"}, "randomize_start", "ISO 8601"),
        ({"randomize_start": 300}, "randomize_start", "ISO 8601"),
        ({"restore": {}}, "restore.rate_w_per_min", "required"),
        ({"restore": {"rate_w_per_min": 0}}, "restore.rate_w_per_min", "1"),
        ({"restore": {"rate_w_per_min": -5}}, "restore.rate_w_per_min", "1"),
        (
            {"restore": {"rate_w_per_min": 9, "random_share": 1.5}},
            "restore.random_share", "1",
        ),
        ({"restore": {"rate_kw_per_min": 9}}, "restore.rate_kw_per_min", "not known"),
        ({"restore": "slow"}, "restore", "dictionary"),
        ({"restore_w_per_min": 9}, "restore_w_per_min", "not known"),
        ({"below_minimum": None}, "below_minimum", "null"),
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_are_refused_by_name(changes, field, says):
    with pytest.raises(ValidationError) as raised:
        declare(**changes)

    assert says in paths_of(raised)[field]
    assert_nothing_happened()


FIRST = step(duration="PT15M")
LAST = step(6000, duration="PT15M")
BAD_STEPS = [
    ([], {}, "intervals", "empty"),
    ("now", {}, "intervals", "list"),
    ([FIRST, {}], {}, "intervals.1.limit", "required"),
    ([FIRST, step(-1)], {}, "intervals.1.limit.value", "0"),
    ([FIRST, step(101, kind="percent")], {}, "intervals.1.limit.value", "more than 100"),
    ([FIRST, step(32, kind="relief", unit="current")], {}, "intervals.1.limit.unit", "power"),
    ([FIRST, step(50, kind="percent")], {}, "intervals.1.limit.kind", "contradicts the first"),
    ([FIRST, step(duration="PT0S")], {}, "intervals.1.duration", "more than nothing"),
    ([FIRST, step(duration="P1M")], {}, "intervals.1.duration", "no fixed length"),
    ([FIRST, step(ends_at=minutes(30))], {}, "intervals.1.ends_at", "not known"),
    ([FIRST, step(starts_at="18:15")], {}, "intervals.1.starts_at", "must be a time"),
    ([FIRST, 4200], {}, "intervals.1", "dictionary"),
    ([FIRST, step(starts_at=minutes(14))], {}, "intervals.1.starts_at", "overlaps"),
    ([FIRST, step(starts_at=minutes(-5))], {}, "intervals.1.starts_at", "overlaps"),
    ([FIRST, LAST, step(starts_at=minutes(0))], {}, "intervals.2.starts_at", "overlaps"),
    ([FIRST, step(starts_at=minutes(15)), step(starts_at=minutes(15))], {},
     "intervals.2.starts_at", "overlaps"),
    ([step(), LAST], {}, "intervals.0.duration", "required"),
    ([step(starts_at=minutes(5))], {"starts_at": minutes(0)}, "intervals.0.starts_at", "event"),
    ([FIRST, LAST], {"duration": "PT29M"}, "intervals.1.duration", "leaves the event"),
    ([FIRST, LAST], {"ends_at": minutes(29)}, "intervals.1.duration", "leaves the event"),
    ([FIRST, LAST], {"duration": "PT31M"}, "intervals.1.duration", "ends before the event"),
    ([FIRST, LAST], {"duration": "PT15M"}, "intervals.1", "when the event is over"),
    ([FIRST, step(starts_at=minutes(40))], {"duration": "PT30M"}, "intervals.1.starts_at",
     "when the event is over"),
    ([FIRST, step(starts_at="9999-12-31T00:00:00Z", duration="P300D")], {},
     "intervals.1.starts_at", "3660 days after the event"),
    ([step(duration="P366D")] * 12, {}, "intervals.11", "3660 days after the event"),
    ([FIRST, step(starts_at=minutes(20))], {"restore": {"rate_w_per_min": 500}}, "restore", "gap"),
    ([FIRST, LAST], {"limit": limit()["limit"]}, "intervals", "together with limit"),
    ([step(kind="per_site", duration="PT1M")], {"below_minimum": "minimum"}, "below_minimum",
     "per_site"),
    ([step(kind="relief", duration="PT1M")], {"randomize_start": "PT1M"}, "randomize_start",
     "relief"),
]  # fmt: skip


@pytest.mark.parametrize(("intervals", "changes", "field", "says"), BAD_STEPS)
def test_steps_that_make_no_sense_are_refused_by_their_place(intervals, changes, field, says):
    data = stepped() | {"intervals": intervals} | changes

    with pytest.raises(ValidationError) as raised:
        intake.declare(data, actor=OPERATOR, now=NOW)

    assert list(paths_of(raised)) == [field]
    assert says in paths_of(raised)[field]
    assert_nothing_happened()


@pytest.mark.parametrize(("intervals", "changes", "field", "says"), BAD_STEPS)
def test_an_amendment_refuses_the_same_steps(intervals, changes, field, says):
    event = declare(at=-60, starts_at=minutes(0)).event
    before = content_of(event)

    with pytest.raises(ValidationError) as raised:
        intake.amend(event.id, {"intervals": intervals} | changes, actor=OPERATOR, now=later(-30))

    assert list(paths_of(raised)) == [field]
    assert says in paths_of(raised)[field]
    assert_nothing_changed(event, before)


def assert_nothing_happened():
    assert not Event.objects.exists()
    assert not AuditEntry.objects.exists()


def assert_nothing_changed(event, before):
    found = Event.objects.get(pk=event.pk)
    assert content_of(found) == before
    assert found.revision == event.revision
    assert not AuditEntry.objects.filter(action="event.amended").exists()


def test_a_relief_of_more_than_is_drawn_is_no_mistake():
    assert declare(**limit(kind="relief", value=900_000)).created


def test_a_relief_of_nothing_is_no_pause():
    assert not declare(**limit(kind="relief", value=0)).event.amount.is_pause


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"limit": limit(kind="per_event")["limit"]}, "below_minimum"),
        ({"restore": {"rate_w_per_min": 100}}, "restore"),
        ({"duration": "PT20M"}, "ends_at"),
        ({"ends_at": minutes(20)}, "ends_at"),
        ({"randomize_start": "PT5M"}, "randomize_start"),
        ({"intervals": [FIRST, step(starts_at=minutes(10))]}, "intervals.1.starts_at"),
        ({"limit": limit(kind="relief", unit="current")["limit"]}, "limit.unit"),
    ],
)
def test_a_refused_amendment_leaves_steps_and_targets_as_they_were(changes, field):
    data = stepped(FIRST, step(starts_at=minutes(20), duration="PT10M"), below_minimum="minimum")
    event = intake.declare(data, actor=OPERATOR, now=NOW).event
    before = content_of(event)

    with pytest.raises(ValidationError) as raised:
        intake.amend(
            event.id,
            {**changes, "name": "x", "targets": [{"type": "all"}]},
            actor=OPERATOR,
            now=later(1),
        )

    assert list(paths_of(raised)) == [field]
    assert_nothing_changed(event, before)


@pytest.mark.parametrize(
    ("first", "again", "is_same"),
    [
        (stepped(FIRST, LAST), stepped(FIRST, LAST), True),
        (stepped(FIRST, LAST), stepped(LAST, FIRST), False),
        (stepped(FIRST, LAST), stepped(FIRST, step(6000, duration="PT900S")), True),
        (stepped(FIRST, LAST), stepped(FIRST), False),
        (stepped(FIRST), declaration(duration="PT15M"), False),
        (declaration(), declaration(**limit(kind="per_event")), False),
        (declaration(), declaration(**limit(kind="percent", value=42)), False),
        (declaration(), declaration(randomize_start=None, restore=None), True),
        (declaration(), declaration(randomize_start="PT0S"), True),
        (declaration(), declaration(randomize_start="PT1M"), False),
        (declaration(), declaration(restore={"rate_w_per_min": 100}), False),
        (
            declaration(restore={"rate_w_per_min": 100}),
            declaration(restore={"rate_w_per_min": 100.0, "random_share": 0}),
            True,
        ),
        (declaration(), declaration(below_minimum="pause", test=False), True),
        (declaration(), declaration(below_minimum="minimum"), False),
    ],
)
def test_a_key_stands_for_what_was_meant_not_for_how_it_was_written(first, again, is_same):
    intake.declare(first, actor=OPERATOR, now=NOW, idempotency_key="k")

    def say_again():
        return intake.declare(again, actor=OPERATOR, now=later(5), idempotency_key="k")

    if is_same:
        assert not say_again().created
    else:
        with pytest.raises(Problem) as raised:
            say_again()
        assert raised.value.status == 409


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
