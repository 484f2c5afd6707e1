"""Standing site capacity over REST: what is told, for how long it holds, and beside what."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chargers import fleet, news
from chargers.audit import Actor
from chargers.edrv import payloads
from chargers.models import AuditEntry, Command
from dr_events import capacity
from dr_events.models import SiteCapacity
from tests.clients import ALL_SCOPES, Api, create_client, problem
from tests.dr_events.story import OPERATOR, accept, cap, declare, held_to, part, steer
from tests.fleet import later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return make_site()


def path_of(site):
    return f"sites/{site.external_id}/available_power/"


def said(power_w=20_000, *, minutes=15, **changes):
    until = timezone.now() + timedelta(minutes=minutes)
    return {"power_w": power_w, "valid_until": until.isoformat(), **changes}


def tell(site, power_w, *, at=0, until=900, **changes):
    """The feed speaks, and the loop turns."""
    data = {"power_w": power_w, "valid_until": later(until).isoformat(), **changes}
    found = capacity.put(site, data, actor=OPERATOR, now=later(at))
    steer(at)
    return found


def charging_at(site, count=2, **fields):
    return [make_session(make_connector(make_station(site)), **fields) for _ in range(count)]


def watts_of(*sessions):
    return [wanted and wanted.value for wanted, _ in map(held_to, sessions)]


# --- the calls -----------------------------------------------------------------------------


def test_what_is_told_is_read_back(api, site):
    put = api.put(path_of(site), said(20_000, safe_power_w=6_000))
    got = api.get(path_of(site))

    assert (put.status_code, got.status_code) == (200, 200)
    assert got.json() == put.json()
    assert put.json() | {"valid_until": "", "declared_at": ""} == {
        "site": site.external_id, "power_w": 20_000, "safe_power_w": 6_000, "in_force_w": 20_000,
        "silent": False, "declared_by": "client:scada", "valid_until": "", "declared_at": "",
    }  # fmt: skip


def test_either_id_finds_the_site(api, site):
    assert api.put(f"sites/{site.pk}/available_power/", said()).status_code == 200
    assert api.get(path_of(site)).json()["site"] == site.external_id


def test_the_safe_value_stays_until_another_is_told(api, site, settings):
    settings.SITE_SAFE_POWER_W = 3_000

    assert api.put(path_of(site), said()).json()["safe_power_w"] == 3_000
    assert api.put(path_of(site), said(safe_power_w=6_000)).json()["safe_power_w"] == 6_000
    assert api.put(path_of(site), said(10_000)).json()["safe_power_w"] == 6_000
    assert SiteCapacity.objects.count() == 1


def test_it_is_silent_from_valid_until_on(api, site):
    api.put(path_of(site), said(safe_power_w=6_000))
    SiteCapacity.objects.update(valid_until=timezone.now())

    found = api.get(path_of(site)).json()

    assert (found["power_w"], found["in_force_w"], found["silent"]) == (20_000, 6_000, True)


def test_removed_it_is_gone_and_removing_it_again_changes_nothing(api, site):
    api.put(path_of(site), said())

    answers = [api.delete(path_of(site)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert answers[0].content == b""
    problem(api.get(path_of(site)), 404)
    assert AuditEntry.objects.filter(action="site_capacity.removed").count() == 1


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_an_unknown_site_is_not_found(api, method):
    body = [said()] if method == "put" else []

    response = getattr(api, method)("sites/nowhere/available_power/", *body)

    problem(response, 404)
    assert response.json()["detail"] == "Nothing is known as nowhere."
    assert response.json()["errors"][0]["field"] == "id"
    assert not SiteCapacity.objects.exists()


def test_a_site_of_which_nothing_is_said_is_told_apart_from_an_unknown_one(api, site):
    response = api.get(path_of(site))

    problem(response, 404)
    assert response.json()["code"] == "no_capacity"


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"power_w": -1}, "power_w", "0"),
        ({"power_w": "20000"}, "power_w", "number"),
        ({"power_w": None}, "power_w", "null"),
        ({"power_w": 1e9}, "power_w", "999000000"),
        ({"safe_power_w": -1}, "safe_power_w", "0"),
        ({"safe_power_w": None}, "safe_power_w", "null"),
        ({"valid_until": None}, "valid_until", "null"),
        ({"valid_until": "2026-07-01T17:00:00"}, "valid_until", "offset"),
        ({"valid_until": "2020-07-01T17:00:00Z"}, "valid_until", "past"),
        ({"valid_until": "9999-07-01T17:00:00Z"}, "valid_until", "ahead"),
        ({"valid_for": "PT15M"}, "valid_for", "not known"),
        ({"current_a": 32}, "current_a", "not known"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name_and_changes_nothing(
    api, site, changes, field, says
):
    api.put(path_of(site), said(20_000))
    entries = AuditEntry.objects.count()

    errors = problem(api.put(path_of(site), said(1_000) | changes), 400)

    assert list(errors) == [field]
    assert says in errors[field]
    assert SiteCapacity.objects.get().power_w == 20_000
    assert AuditEntry.objects.count() == entries


def test_it_has_to_say_how_much_and_until_when(api, site):
    assert set(problem(api.put(path_of(site), {}), 400)) == {"power_w", "valid_until"}


@pytest.mark.parametrize(
    ("method", "scope"),
    [("get", "fleet:read"), ("put", "events:write"), ("delete", "events:write")],
)
def test_reading_it_is_the_fleet_s_right_and_telling_it_the_events(
    client, capsys, site, method, scope
):
    tell(site, 20_000, until=10**7)
    others = [other for other in ALL_SCOPES if other != scope]
    body = [said()] if method == "put" else []

    def call(*scopes):
        api = Api(client, create_client(capsys, f"feed-{len(scopes)}", *scopes))
        return getattr(api, method)(path_of(site), *body)

    assert call(scope).status_code < 300
    problem(call(*others), 403)
    problem(getattr(client, method)(f"/api/v1/{path_of(site)}"), 401)


# --- on record -----------------------------------------------------------------------------


def test_each_change_is_on_record_and_each_repetition_is_not(site):
    tell(site, 20_000)
    tell(site, 20_000, at=60, until=960)
    tell(site, 15_000, at=120, until=1020, safe_power_w=2_000)
    capacity.remove(site, actor=Actor("client:feed", "192.0.2.1"), now=later(180))

    entries = AuditEntry.objects.filter(subject="site").order_by("id")

    assert [(entry.action, entry.before, entry.after) for entry in entries] == [
        ("site_capacity.set", None, {"power_w": 20_000, "safe_power_w": 0}),
        (
            "site_capacity.set",
            {"power_w": 20_000, "safe_power_w": 0},
            {"power_w": 15_000, "safe_power_w": 2_000},
        ),
        ("site_capacity.removed", {"power_w": 15_000, "safe_power_w": 2_000}, None),
    ]
    assert {tuple(entry.subject_ids) for entry in entries} == {(site.external_id,)}
    assert (entries[2].actor, entries[2].origin) == ("client:feed", "192.0.2.1")


# --- in force ------------------------------------------------------------------------------


def test_it_holds_without_any_event(site):
    cars = charging_at(site)
    elsewhere = make_session()

    tell(site, 12_000)

    assert watts_of(*cars) == [6_000, 6_000]
    assert watts_of(elsewhere) == [None]


def test_who_has_not_begun_to_charge_takes_nothing_of_it(site):
    [running] = charging_at(site, 1)
    [waiting] = charging_at(site, 1, status="created", started_at=None, power_w=None)
    tell(site, 11_000)
    accept(1)
    before = watts_of(running)

    news.tell([waiting.pk])
    steer(10)

    assert watts_of(running, waiting) == [*before, None]
    assert not Command.objects.filter(session=waiting).exists()


def test_silence_makes_it_the_safe_value(site):
    cars = charging_at(site)
    tell(site, 20_000, until=900, safe_power_w=9_000)
    accept(1)

    steer(899)
    assert watts_of(*cars) == [10_000, 10_000]
    steer(900)
    assert watts_of(*cars) == [4_500, 4_500]


def test_a_feed_that_speaks_again_ends_the_silence(site):
    cars = charging_at(site)
    tell(site, 20_000, until=900, safe_power_w=9_000)
    accept(1)
    steer(900)
    accept(901)

    tell(site, 18_000, at=1000, until=1900)

    assert watts_of(*cars) == [9_000, 9_000]


def test_a_safe_value_of_nothing_pauses_the_site(site):
    cars = charging_at(site)
    tell(site, 20_000, until=900, safe_power_w=0)
    accept(1)

    steer(900)

    assert watts_of(*cars) == [0, 0]


@pytest.mark.parametrize(
    ("capacity_w", "event_w", "wanted"), [(12_000, 20_000, 6_000), (20_000, 12_000, 6_000)]
)
@pytest.mark.parametrize("priority", [0, None])
def test_the_stricter_of_it_and_an_event_s_cap_holds(site, capacity_w, event_w, wanted, priority):
    cars = charging_at(site)
    tell(site, capacity_w)

    declare(at=5, limit=cap(event_w), priority=priority)

    assert watts_of(*cars) == [wanted, wanted]


def test_a_limit_for_each_that_is_stricter_leaves_room_to_nobody_else(site):
    cars = charging_at(site)
    tell(site, 20_000)

    event = declare(at=5)

    assert watts_of(*cars) == [4_200, 4_200]
    assert [part(event, car).binding for car in cars] == [True, True]


def test_when_it_is_removed_every_limit_of_its_own_is_lifted(site):
    cars = charging_at(site)
    tell(site, 12_000)
    accept(1)

    capacity.remove(site, actor=OPERATOR, now=later(60))
    steer(60)
    accept(61)

    assert [held_to(car) for car in cars] == [(None, None), (None, None)]


def test_when_it_is_removed_the_event_s_own_limit_stays(site):
    [car] = charging_at(site, 1)
    declare()
    accept(1)
    tell(site, 3_000, at=10)
    assert watts_of(car) == [0]
    accept(11)

    capacity.remove(site, actor=OPERATOR, now=later(60))
    steer(60)

    assert watts_of(car) == [4_200]


def test_a_session_says_that_the_capacity_holds_it(api, site):
    cars = charging_at(site)
    api.put(path_of(site), said(12_000))
    steer((timezone.now() - later(0)).total_seconds())

    found = api.get(f"sessions/{cars[0].external_id}/").json()

    assert (found["wanted"], found["binding_event"]) == ({"unit": "power", "value": 6_000}, None)
    assert found["why"]["event"] is None
    assert found["why"]["explanation"].startswith(
        "Site capacity allows 12,000 W for 2 sessions together."
    )
    assert [cap["name"] for cap in found["why"]["caps"]] == ["site capacity"]


def test_a_station_that_moves_elsewhere_leaves_the_capacity_of_its_old_site_behind(site):
    session, other = charging_at(site)
    tell(site, 20_000)
    accept(1)
    assert watts_of(session, other) == [10_000, 10_000]

    station = {"_id": session.chargestation.external_id, "location": make_site().external_id}
    fleet.apply_chargestations([payloads.read_chargestation(station)], now=later(10))
    steer(10)
    accept(11)

    assert held_to(session) == (None, None)
    assert held_to(other)[0] is not None
