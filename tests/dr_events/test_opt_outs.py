"""Leaving one event: by a driver's or owner's opt-out, within the year's budget, or by an
operator's exemption; and taking part again."""

import uuid
from datetime import UTC, datetime

import pytest
from django.utils import timezone
from rest_framework.serializers import ValidationError

from chargers.models import AuditEntry
from chargers.problems import Problem
from dr_events import figures, intake, opt_outs
from dr_events.models import OptOut
from tests.clients import ALL_SCOPES, Api, create_client, problem
from tests.dr_events.story import (
    OPERATOR,
    accept,
    cap,
    declare,
    held_to,
    leave,
    opt_out,
    part,
    rejoin,
    status,
    steer,
)
from tests.fleet import (
    FOUR_KW,
    NOW,
    SIX_KW,
    later,
    make_connector,
    make_session,
    make_site,
    make_station,
)

pytestmark = pytest.mark.django_db

BUDGET_OF = {
    "site": lambda session: f"site {session.chargestation.site.external_id}",
    "chargestation": lambda session: f"chargestation {session.chargestation.external_id}",
    "session": lambda session: f"chargestation {session.chargestation.external_id}",
}
VALUE_OF = {
    "site": lambda session: session.chargestation.site.external_id,
    "chargestation": lambda session: session.chargestation.external_id,
    "session": lambda session: session.external_id,
}
TYPES = list(VALUE_OF)


def path_of(event):
    return f"events/{event.id}/opt_outs/"


def body(session, type_="session", **changes):
    return {"type": type_, "value": VALUE_OF[type_](session), **changes}


def neighbours(count=2):
    """Cars at one chargestation."""
    station = make_station()
    return [make_session(make_connector(station)) for _ in range(count)]


# --- the calls -----------------------------------------------------------------------------


@pytest.mark.parametrize("type_", TYPES)
def test_an_opt_out_is_made_and_read_back(api, type_):
    session, event = make_session(), declare()

    made = api.post(path_of(event), body(session, type_, reason="needs to leave at six"))
    [listed] = api.get(path_of(event)).json()["results"]

    assert made.status_code == 201
    assert listed == made.json()
    assert listed | {"id": 0, "declared_at": ""} == {
        "id": 0, "kind": "opt_out", "type": type_, "value": VALUE_OF[type_](session),
        "reason": "needs to leave at six", "budget_of": BUDGET_OF[type_](session),
        "declared_by": "client:scada", "declared_at": "", "withdrawn_at": None,
    }  # fmt: skip


def test_said_again_it_is_the_same_opt_out(api):
    session, event = make_session(), declare()

    answers = [api.post(path_of(event), body(session)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert AuditEntry.objects.filter(action="opt_out.opt_out").count() == 1


def test_withdrawn_it_stays_on_record(api):
    session, event = make_session(), declare()
    made = api.post(path_of(event), body(session)).json()

    answers = [api.delete(f"{path_of(event)}{made['id']}/") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["withdrawn_at"] is not None
    assert api.get(path_of(event)).json()["results"] == [answers[0].json()]
    assert AuditEntry.objects.filter(action="opt_out.withdrawn").count() == 1


def test_after_withdrawing_one_can_opt_out_anew(api):
    session, event = make_session(), declare()
    first = api.post(path_of(event), body(session)).json()
    api.delete(f"{path_of(event)}{first['id']}/")

    again = api.post(path_of(event), body(session))

    assert again.status_code == 201
    assert again.json()["id"] != first["id"]


def test_who_left_and_who_came_back_is_on_record_with_its_actor():
    session, event = make_session(), declare()
    made = opt_out(event, session, at=1, kind="exemption", reason="ambulance")
    rejoin(made, at=2)

    left, back = AuditEntry.objects.filter(action__startswith="opt_out.").order_by("id")

    assert (left.action, back.action) == ("opt_out.exemption", "opt_out.withdrawn")
    assert {left.actor, back.actor} == {OPERATOR.name}
    assert left.subject_ids == back.subject_ids == [str(event.id)]
    assert left.after == {"type": "session", "value": session.external_id, "reason": "ambulance"}


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"type": "feeder"}, "type", "feeder"),
        ({"type": None}, "type", "null"),
        ({"value": "nobody"}, "value", "nothing is known as session nobody"),
        ({"value": ""}, "value", "empty"),
        ({"value": 12}, "value", "string"),
        ({"value": "x" * 65}, "value", "64"),
        ({"value": "a\x00b"}, "value", "Null"),
        ({"kind": "holiday"}, "kind", "holiday"),
        ({"reason": "x" * 201}, "reason", "200"),
        ({"until": "tomorrow"}, "until", "not known"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_changes_nothing(api, changes, field, says):
    session, event = make_session(), declare()
    entries = AuditEntry.objects.count()

    errors = problem(api.post(path_of(event), body(session) | changes), 400)

    assert list(errors) == [field]
    assert says in errors[field]
    assert not OptOut.objects.exists()
    assert AuditEntry.objects.count() == entries


def test_it_has_to_say_who(api):
    assert set(problem(api.post(path_of(declare()), {}), 400)) == {"type", "value"}


def test_an_unknown_event_is_not_found(api):
    session, path = make_session(), f"events/{uuid.uuid4()}/opt_outs/"

    problem(api.post(path, body(session)), 404)
    problem(api.get(path), 404)
    problem(api.delete(f"{path}1/"), 404)


@pytest.mark.parametrize("number", ["0", "9" * 30, "x", "-1"])
def test_an_unknown_opt_out_is_not_found(api, number):
    problem(api.delete(f"{path_of(declare())}{number}/"), 404)


def test_an_opt_out_of_another_event_is_not_found(api):
    session, event, other = make_session(), declare(), declare()
    made = opt_out(event, session, at=1)

    problem(api.delete(f"{path_of(other)}{made.id}/"), 404)
    made.refresh_from_db()
    assert made.withdrawn_at is None


def test_it_is_too_late_to_leave_an_event_that_is_over(api):
    session, event = make_session(), declare()
    intake.end(event.id, actor=OPERATOR, now=later(1))

    response = api.post(path_of(event), body(session))

    problem(response, 409)
    assert response.json()["code"] == "event_over"
    assert not OptOut.objects.exists()


def test_it_is_too_late_to_rejoin_an_event_that_is_over(api):
    session, event = make_session(), declare()
    made = opt_out(event, session, at=1)
    intake.end(event.id, actor=OPERATOR, now=later(2))

    response = api.delete(f"{path_of(event)}{made.id}/")

    problem(response, 409)
    assert response.json()["code"] == "event_over"
    made.refresh_from_db()
    assert made.withdrawn_at is None


@pytest.mark.parametrize(
    ("method", "scope"),
    [("get", "events:read"), ("post", "events:write"), ("delete", "events:write")],
)
def test_reading_and_changing_need_their_own_scopes(client, capsys, method, scope):
    session, event = make_session(), declare()
    made = opt_out(event, session, at=1)
    path = path_of(event) + (f"{made.id}/" if method == "delete" else "")
    others = [other for other in ALL_SCOPES if other != scope]

    def call(*scopes):
        api = Api(client, create_client(capsys, f"drivers-{len(scopes)}", *scopes))
        return getattr(api, method)(path, *([body(session)] if method == "post" else []))

    assert call(scope).status_code < 300
    problem(call(*others), 403)
    problem(getattr(client, method)(f"/api/v1/{path}"), 401)


# --- the limit -----------------------------------------------------------------------------


@pytest.mark.parametrize("type_", TYPES)
def test_the_limit_is_lifted_at_once_and_comes_back_on_withdrawal(type_):
    session, event = make_session(), declare()
    accept(1)

    made = opt_out(event, session, type_, at=10)
    assert held_to(session) == (None, FOUR_KW)
    accept(11)
    assert held_to(session) == (None, None)

    rejoin(made, at=20)
    assert held_to(session) == (FOUR_KW, None)
    accept(21)
    assert held_to(session) == (FOUR_KW, FOUR_KW)


@pytest.mark.parametrize(("kind", "reason"), [("opt_out", "opted_out"), ("exemption", "exempted")])
def test_who_is_out_stays_in_the_counts_as_exempt(kind, reason):
    session, other, event = make_session(), make_session(), declare()
    accept(1)

    made = opt_out(event, session, at=10, kind=kind)

    assert (part(event, session).state, part(event, session).reason) == ("exempt", reason)
    counts = figures.counts_of([event.id])[event.id]
    assert (counts.targeted, counts.exempt, counts.confirmed) == (2, 1, 1)

    rejoin(made, at=20)
    accept(21)
    assert part(event, session).state == part(event, other).state == "confirmed"


def test_the_limits_of_other_events_stay():
    session = make_session()
    event = declare(priority=0)
    declare(priority=5, limit={"kind": "per_session", "unit": "power", "value": 6000})
    accept(1)
    assert held_to(session) == (FOUR_KW, FOUR_KW)

    opt_out(event, session, at=10)

    assert held_to(session)[0] == SIX_KW
    accept(11)
    assert held_to(session) == (SIX_KW, SIX_KW)


def test_leaving_the_weaker_event_changes_no_limit():
    session = make_session()
    declare(priority=0)
    weaker = declare(priority=5, limit={"kind": "per_session", "unit": "power", "value": 6000})
    accept(1)

    opt_out(weaker, session, at=10)

    assert held_to(session) == (FOUR_KW, FOUR_KW)
    assert part(weaker, session).reason == "opted_out"


def test_a_site_s_opt_out_covers_all_its_cars_and_no_others():
    site = make_site()
    mine = [make_session(make_connector(make_station(site))) for _ in range(2)]
    other, event = make_session(), declare()
    accept(1)

    opt_out(event, mine[0], "site", at=10)

    assert [held_to(car)[0] for car in (*mine, other)] == [None, None, FOUR_KW]


def test_a_car_that_plugs_in_where_everybody_is_out_is_left_alone():
    session, event = make_session(), declare()
    opt_out(event, session, "chargestation", at=1)

    late = make_session(make_connector(session.chargestation), started_at=later(5))
    steer(61)

    assert held_to(late) == (None, None)
    assert part(event, late).reason == "opted_out"


def test_one_can_leave_an_event_before_it_begins():
    session, event = make_session(), declare(starts_at=later(600).isoformat())
    opt_out(event, session, at=1)

    steer(600)

    assert status(event) == "active"
    assert held_to(session) == (None, None)
    assert part(event, session).reason == "opted_out"


def test_who_leaves_a_shared_cap_still_uses_room_of_it():
    leaver, other = make_session(power_w=8_000), make_session()
    event = declare(limit=cap(20_000))
    accept(1)

    opt_out(event, leaver, at=10)
    accept(12)
    steer(120)

    assert held_to(leaver)[0] is None
    assert held_to(other)[0].value <= 20_000 - 8_000


def test_an_event_ends_as_ever_for_who_had_left():
    session, event = make_session(), declare()
    accept(1)
    opt_out(event, session, at=10)
    accept(11)

    intake.end(event.id, actor=OPERATOR, now=later(20))
    steer(20)

    assert status(event) == "completed"
    assert (part(event, session).state, part(event, session).reason) == ("exempt", "opted_out")


@pytest.mark.parametrize(("kind", "reason"), [("opt_out", "opted_out"), ("exemption", "exempted")])
def test_who_is_out_stays_exempt_when_its_car_leaves(kind, reason):
    session, event = make_session(), declare()
    accept(1)
    opt_out(event, session, at=10, kind=kind)
    accept(11)

    leave(session, 600)

    found = part(event, session)
    assert (found.state, found.reason) == ("exempt", reason)
    assert found.released_at == later(600)


def test_who_is_out_stays_exempt_when_the_event_no_longer_aims_at_it():
    session, event = make_session(), declare()
    opt_out(event, session, at=1)

    elsewhere = {"targets": [{"type": "feeder", "value": "F13"}]}
    intake.amend(event.id, elsewhere, actor=OPERATOR, now=later(10))
    steer(10)

    assert (part(event, session).state, part(event, session).reason) == ("exempt", "opted_out")


def test_who_takes_part_again_and_leaves_has_left():
    session, event = make_session(), declare()
    rejoin(opt_out(event, session, at=1), at=2)
    accept(3)

    leave(session, 600)

    assert (part(event, session).state, part(event, session).reason) == ("ended", "session_ended")


def test_a_session_says_that_it_has_opted_out(api):
    session, event = make_session(), declare()
    accept(1)
    opt_out(event, session, at=10)

    why = api.get(f"sessions/{session.external_id}/").json()["why"]

    assert (why["event"], why["limit"]) == (None, None)
    assert why["explanation"].startswith("No event limits it: it has opted out.")


# --- the budget of the year ----------------------------------------------------------------


def test_without_a_budget_everybody_may_always_leave():
    session = make_session()

    for number in range(5):
        opt_out(declare(), session, at=number)

    assert OptOut.objects.count() == 5


def test_a_spent_budget_is_said_so_and_the_limit_stays(api, settings):
    settings.OPT_OUTS_A_YEAR = 1
    session, event = make_session(), declare()
    opt_out(declare(), session, at=(timezone.now() - NOW).total_seconds())

    response = api.post(path_of(event), body(session))

    problem(response, 409)
    assert response.json()["code"] == "opt_out_budget_spent"
    assert response.json()["detail"] == (
        f"chargestation {session.chargestation.external_id} has used the 1 opt-outs of this year."
    )
    assert not OptOut.objects.filter(event=event).exists()
    assert held_to(session)[0] == FOUR_KW


def test_cars_at_one_chargestation_share_its_budget(settings):
    settings.OPT_OUTS_A_YEAR = 1
    first, second = neighbours()
    opt_out(declare(), first, at=1)

    with pytest.raises(Problem, match="has used"):
        opt_out(declare(), second, at=2)


def test_another_chargestation_and_the_site_have_budgets_of_their_own(settings):
    settings.OPT_OUTS_A_YEAR = 1
    session, event = make_session(), declare()

    opt_out(event, session, at=1)
    opt_out(event, make_session(), at=1)
    opt_out(event, session, "site", at=1)

    assert OptOut.objects.count() == 3


def test_saying_the_same_again_costs_nothing(settings):
    settings.OPT_OUTS_A_YEAR = 1
    session, event = make_session(), declare()

    assert opt_out(event, session, at=1) == opt_out(event, session, at=2)


def test_an_opt_out_that_is_withdrawn_is_used_up(settings):
    settings.OPT_OUTS_A_YEAR = 1
    session, event = make_session(), declare()
    rejoin(opt_out(event, session, at=1), at=2)

    with pytest.raises(Problem, match="has used"):
        opt_out(event, session, at=3)


def test_an_exemption_costs_nothing(settings):
    settings.OPT_OUTS_A_YEAR = 0
    session, event = make_session(), declare()

    assert opt_out(event, session, at=1, kind="exemption").kind == "exemption"
    with pytest.raises(Problem, match="has used"):
        opt_out(declare(), session, at=2)


def test_a_drill_costs_nothing_and_is_open_to_who_has_spent_all(settings):
    settings.OPT_OUTS_A_YEAR = 1
    session = make_session()

    opt_out(declare(test=True), session, at=1)
    opt_out(declare(), session, at=2)
    opt_out(declare(test=True), session, at=3)

    spent = opt_outs.budget(BUDGET_OF["session"](session), now=later(4))
    assert (spent.used, spent.allowed, spent.is_spent) == (1, 1, True)


@pytest.mark.parametrize(
    ("at", "used"),
    [
        (datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), 0),  # midnight in Berlin
    ],
)
def test_the_budget_is_of_the_calendar_year_where_the_gateway_stands(at, used):
    session = make_session()
    opt_out(declare(), session, at=1)

    with timezone.override("Europe/Berlin"):
        assert opt_outs.budget(BUDGET_OF["session"](session), now=at).used == used


def test_what_is_unknown_uses_up_no_budget(settings):
    settings.OPT_OUTS_A_YEAR = 1
    event = declare()

    with pytest.raises(ValidationError):
        opt_outs.opt_out(
            event.id, {"type": "site", "value": "nowhere"}, actor=OPERATOR, now=later(1)
        )
    assert opt_outs.budget("site nowhere", now=later(2)).used == 0
