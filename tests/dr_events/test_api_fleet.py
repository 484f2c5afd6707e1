"""The fleet over REST: by either id, narrowed down, and why a session is held to its limit."""

import pytest

from chargers.models import Session
from dr_events import intake
from tests.clients import problem
from tests.dr_events.story import OPERATOR, accept, declare, steer
from tests.fleet import later, make_connector, make_session, make_site, make_station, new_id

pytestmark = pytest.mark.django_db

SESSION_FIELDS = {
    "external_id", "status", "power_w", "current_a", "metered_at", "wanted", "confirmed",
    "binding_event",
}  # fmt: skip


def test_a_session_answers_why_it_is_at_this_limit(api):
    session = make_session()
    strict = declare(external_id="A", priority=3)
    declare(limit={"kind": "per_session", "unit": "power", "value": 6000}, priority=5)
    accept(1)

    told = api.get(f"sessions/{session.external_id}/").json()

    assert set(told) >= SESSION_FIELDS
    assert told["binding_event"] == str(strict.id)
    assert told["wanted"] == told["confirmed"] == {"unit": "power", "value": 4200}
    assert told["why"]["event"] == str(strict.id)
    assert told["why"]["explanation"] == (
        "A (priority 3) asks for 4,200 W: 6.1 A at 230 V × 3 phases, 4,200 W. "
        "1 other event would allow more, or counts less."
    )
    assert [one["limit"] for one in told["why"]["runners_up"]] == [{"unit": "power", "value": 6000}]


def test_an_event_that_takes_over_decides_while_another_still_gives_power_back(api):
    session = make_session()
    slow = declare(restore={"rate_w_per_min": 1}, priority=5)
    accept(1)
    intake.end(slow.id, actor=OPERATOR, now=later(10))
    steer(10)
    urgent = declare(
        at=20, priority=0, limit={"kind": "per_session", "unit": "power", "value": 4140}
    )
    accept(21)

    told = api.get(f"sessions/{session.external_id}/").json()

    assert told["binding_event"] == told["why"]["event"] == str(urgent.id)


def test_a_session_without_a_limit_says_so(api):
    session = make_session()

    told = api.get(f"sessions/{session.pk}/").json()

    assert (told["wanted"], told["confirmed"], told["binding_event"]) == (None, None, None)
    assert told["why"]["explanation"] == "No running event aims at it."


@pytest.mark.parametrize("kind", ["sites", "chargestations", "sessions"])
def test_the_fleet_is_known_by_our_ids_and_by_edrv_s(api, kind):
    session = make_session()
    thing = {
        "sites": session.chargestation.site,
        "chargestations": session.chargestation,
        "sessions": session,
    }[kind]

    by_ours = api.get(f"{kind}/{thing.pk}/").json()
    by_theirs = api.get(f"{kind}/{thing.external_id}/").json()
    (listed,) = api.get(f"{kind}/").json()["results"]

    assert by_ours == by_theirs
    assert by_ours["external_id"] == listed["external_id"] == thing.external_id
    problem(api.get(f"{kind}/{new_id()}/"), 404)
    problem(api.get(f"{kind}/0/"), 404)


def test_sessions_are_narrowed_down(api):
    here = make_session()
    make_session(make_connector(make_station(make_site(feeder="F13"))), may_be_limited=True)

    def found(**query):
        return [one["external_id"] for one in api.get("sessions/", **query).json()["results"]]

    assert found(feeder="F12") == [here.external_id]
    assert found(limited="false") == [here.external_id]
    assert found(chargestation=here.chargestation.external_id) == [here.external_id]
    assert len(found(status="started")) == 2
    assert found(status="ended") == []


@pytest.mark.parametrize("path", ["events/", "sites/", "chargestations/", "sessions/"])
def test_a_list_costs_the_same_whatever_its_length(api, path, django_assert_max_num_queries):
    for _ in range(12):
        make_session()
    for number in range(5):
        declare(external_id=str(number))

    with django_assert_max_num_queries(8):
        assert api.get(path, page_size=1000).status_code == 200


def test_a_session_is_found_by_edrv_s_id_before_ours(api):
    one, other = make_session(), make_session()
    Session.objects.filter(pk=other.pk).update(external_id=str(one.pk))

    assert api.get(f"sessions/{one.pk}/").json()["id"] == other.pk
