"""The public contract, call by call: declaring events, following them, stopping them."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from dr_events.models import Event
from tests.clients import problem
from tests.dr_events.story import accept, declaration, declare, meter
from tests.fleet import FOUR_KW, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

EVENT_FIELDS = {
    "id", "external_id", "status", "starts_at", "ends_at", "activated_at", "ended_at",
    "restored_at", "counts",
}  # fmt: skip
COUNTS = {
    "targeted", "pending", "confirmed", "failed", "unreachable", "exempt", "ended", "complied",
    "restored",
}  # fmt: skip
PARTICIPATION_FIELDS = {
    "session", "state", "reason", "wanted", "confirmed", "attempts", "first_sent_at",
    "accepted_at", "complied_at", "restored_at",
}  # fmt: skip


# --- declaring ----------------------------------------------------------------------------


def test_the_contract_s_own_example_is_declared(api):
    make_session()
    body = {
        "external_id": "F12-0142", "name": "Feeder F12 overload", "reason": "T4 at 105 %",
        "priority": 0, "starts_at": None, "duration": "PT45M",
        "limit": {"kind": "per_session", "unit": "power", "value": 4200},
        "targets": [{"type": "feeder", "value": "F12"}], "test": False,
    }  # fmt: skip

    response = api.post("events/", body)

    event = response.json()
    assert response.status_code == 201
    assert set(event) >= EVENT_FIELDS
    assert set(event["counts"]) == COUNTS
    assert (event["external_id"], event["status"]) == ("F12-0142", "active")
    assert event["limit"] == {**body["limit"], "paused": False}
    assert event["targets"] == body["targets"]
    assert response.headers["Location"].endswith(f"/api/v1/events/{event['id']}/")
    assert event["warnings"] == []
    assert Event.objects.get().declared_by == "client:scada"


def test_the_same_declaration_again_answers_200_and_another_409(api):
    body = declaration(external_id="X")
    first = api.post("events/", body)
    again = api.post("events/", body)
    other = api.post("events/", {**body, "name": "another"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert set(problem(other, 409)) == {"external_id"}


def test_an_idempotency_key_answers_for_its_body(api):
    key = {"Idempotency-Key": "k-1"}
    first = api.post("events/", declaration(), **key)
    again = api.post("events/", declaration(), **key)
    other = api.post("events/", declaration(name="another"), **key)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert set(problem(other, 409)) == {"Idempotency-Key"}


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(api, key):
    response = api.post("events/", declaration(), **{"Idempotency-Key": key})

    assert set(problem(response, 400)) == {"Idempotency-Key"}


def test_a_pause_is_said_back_as_such(api):
    limit = {"kind": "per_session", "unit": "power", "value": 0}

    assert api.post("events/", declaration(limit=limit)).json()["limit"]["paused"] is True


def test_a_scope_that_matches_nothing_is_accepted_and_flagged(api):
    response = api.post("events/", declaration(targets=[{"type": "feeder", "value": "F99"}]))

    assert response.status_code == 201
    warnings = {warning["code"]: warning["detail"] for warning in response.json()["warnings"]}
    assert warnings == {
        "target_unknown": "Nothing in the fleet is known as feeder F99.",
        "scope_empty": "No car is charging in this scope right now.",
    }


def test_a_limit_that_pauses_cars_is_accepted_and_flagged_with_how_many(api):
    make_session()
    made = api.post("events/", declaration())
    lower = {"kind": "per_session", "unit": "power", "value": 3000}

    amended = api.patch(f"events/{made.json()['id']}/", {"limit": lower})

    assert made.json()["warnings"] == []
    [warning] = amended.json()["warnings"]
    assert (warning["code"], warning["detail"]) == (
        "below_minimum",
        "1 session pauses: less is left than the 6 A that AC charging needs.",
    )


def test_every_wrong_field_is_named_by_its_path(api):
    body = declaration(
        limit={"kind": "per_session", "unit": "power", "value": -1},
        targets=[{"type": "all"}, {"type": "moon"}],
        durration="PT1H",
    )

    errors = problem(api.post("events/", body), 400)

    assert set(errors) == {"limit.value", "targets[1].type", "durration"}
    assert errors["durration"] == "is not known here"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1" + b"0" * 400])
def test_an_impossible_number_is_refused_by_its_field(api, number):
    body = json.dumps(declaration()).encode().replace(b"4200", number)

    assert list(problem(api.post("events/", body), 400)) == ["limit.value"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"not json", b"\xff\xfe\x00", b"[" * 100_000, b'"\xed\xa0\x80"'],
)
def test_a_body_that_is_no_json_is_said_so(api, body):
    assert set(problem(api.post("events/", body), 400)) == {"body"}


def test_an_empty_body_is_told_what_it_needs(api):
    assert set(problem(api.post("events/", b""), 400)) == {"name", "limit", "targets"}


@pytest.mark.parametrize("body", [[], "text", 7, None, True])
def test_a_body_that_is_no_object_is_said_so(api, body):
    assert set(problem(api.post("events/", body), 400)) == {"body"}


def test_a_body_that_is_too_large_is_not_read(api):
    assert set(problem(api.post("events/", b" " * 1_000_001), 413)) == {"body"}


def test_a_body_that_is_not_called_json_is_refused(api, client):
    response = client.post(
        "/api/v1/events/", {"name": "x"}, headers={"Authorization": f"Bearer {api.token}"}
    )

    problem(response, 415)


# --- following, amending, ending -----------------------------------------------------------


def test_an_event_is_followed_by_its_live_counts(api):
    session = make_session()
    event = declare()
    accept(1)
    meter(session, 4000.0, 30)

    counts = api.get(f"events/{event.id}/").json()["counts"]

    assert counts == {**dict.fromkeys(COUNTS, 0), "targeted": 1, "confirmed": 1, "complied": 1}


def test_a_participation_tells_wanted_confirmed_reason_and_times(api):
    session = make_session()
    event = declare()
    accept(1)

    (told,) = api.get(f"events/{event.id}/participations/").json()["results"]

    assert set(told) >= PARTICIPATION_FIELDS
    assert told["session"] == session.external_id
    assert told["wanted"] == told["confirmed"] == FOUR_KW.as_json()
    assert (told["state"], told["attempts"]) == ("confirmed", 1)
    assert told["accepted_at"].endswith("Z")
    assert told["restored_at"] is None


def test_participations_are_narrowed_down_and_paged(api):
    for _ in range(3):
        make_session()
    event = declare()
    accept(1)
    path = f"events/{event.id}/participations/"

    first = api.get(path, page_size=2).json()
    second = api.get(first["next"].split("/api/v1/")[1])

    assert (len(first["results"]), len(second.json()["results"])) == (2, 1)
    assert api.get(path, state="failed").json()["results"] == []
    assert len(api.get(path, state="confirmed").json()["results"]) == 3
    assert set(problem(api.get(path, state="happy"), 400)) == {"state"}


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("events/", "page_size", "0"),
        ("events/", "page_size", "1001"),
        ("events/", "page_size", "many"),
        ("events/", "page_size", "000000001999999"),
        ("events/", "page_size", "000000001" + "9" * 5000),
        ("events/", "cursor", "next"),
        ("events/", "status", "running"),
        ("events/", "test", "maybe"),
        ("events/", "starts_after", "2026-07-01T17:00:00"),
        ("events/", "starts_before", "tomorrow"),
        ("chargestations/", "online", ""),
        ("events/", "target_type", ""),
        ("sites/", "feeder", ""),
        ("sessions/", "limited", "1"),
        # Taken for no filter at all, each would be answered with everything.
        ("events/", "state", "active"),
        ("sites/", "feader", "F12"),
        ("chargestations/", "is_online", "true"),
        ("sessions/", "page", "2"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_by_name(api, path, field, value):
    assert list(problem(api.get(path, **{field: value}), 400)) == [field]


@pytest.mark.parametrize("path", ["events/0/", "events/none/end/", "events/0/report/", "nothing/"])
def test_an_address_that_cannot_be_is_not_found(api, path):
    problem(api.get(path), 404)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"limit": {"value": 3000}}, "limit.unit"),
        ({"targets": [{"value": "F12"}]}, "targets[0].type"),
        ({"targets": []}, "targets"),
    ],
)
def test_what_is_amended_is_given_whole(api, changes, field):
    event = api.post("events/", declaration()).json()

    assert field in problem(api.patch(f"events/{event['id']}/", changes), 400)


def test_events_are_listed_newest_first_and_narrowed_down(api):
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    api.post("events/", declaration(name="first", starts_at=later))
    api.post("events/", declaration(name="second", test=True))

    names = [event["name"] for event in api.get("events/").json()["results"]]
    scheduled = api.get("events/", status="scheduled").json()["results"]

    assert names == ["second", "first"]
    assert [event["name"] for event in scheduled] == ["first"]
    assert len(api.get("events/", test="true").json()["results"]) == 1
    assert len(api.get("events/", target_value="F12").json()["results"]) == 2
    assert api.get("events/", external_id="nobody").json()["results"] == []


def test_type_and_value_of_a_target_are_of_one_target(api):
    targets = [{"type": "feeder", "value": "F13"}, {"type": "substation", "value": "F12"}]
    api.post("events/", declaration(targets=targets))

    def found(**query):
        return len(api.get("events/", **query).json()["results"])

    assert found(target_type="feeder", target_value="F12") == 0
    assert found(target_type="substation", target_value="F12") == 1
    assert found(target_type="feeder") == found(target_value="F12") == 1


def test_events_start_after_a_time_that_counts_and_before_one_that_does_not(api):
    later = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    api.post("events/", declaration(starts_at=later.isoformat()))

    def found(**query):
        return len(api.get("events/", **query).json()["results"])

    assert found(starts_after=later.isoformat()) == 1
    assert found(starts_before=later.isoformat()) == 0
    assert found(starts_after=(later + timedelta(seconds=1)).isoformat()) == 0


def test_an_event_is_amended_by_what_is_named(api):
    event = api.post("events/", declaration()).json()

    amended = api.patch(f"events/{event['id']}/", {"priority": 0, "duration": "PT2H"})

    assert amended.status_code == 200
    assert amended.json()["priority"] == 0
    assert amended.json()["name"] == event["name"]
    assert amended.json()["ends_at"] is not None


def test_a_duration_of_null_makes_an_event_endless(api):
    event = api.post("events/", declaration(duration="PT45M")).json()

    amended = api.patch(f"events/{event['id']}/", {"duration": None}).json()

    assert amended["ends_at"] is None


def test_an_event_is_ended_and_then_too_late_to_amend(api):
    event = api.post("events/", declaration()).json()
    path = f"events/{event['id']}/"

    ended = api.post(f"{path}end/")
    assert (ended.status_code, ended.json()["status"]) == (200, "restoring")
    assert api.post(f"{path}end/").status_code == 200
    problem(api.patch(path, {"name": "x"}), 409)
    problem(api.post(f"{path}cancel/"), 409)


def test_an_event_is_cancelled(api):
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    event = api.post("events/", declaration(starts_at=later)).json()

    cancelled = api.post(f"events/{event['id']}/cancel/")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


@pytest.mark.parametrize("path", ["", "participations/", "report/"])
def test_an_unknown_event_is_not_found(api, path):
    problem(api.get(f"events/{uuid.uuid4()}/{path}"), 404)
    assert api.get(f"events/nonsense/{path}").status_code == 404


# --- preview -------------------------------------------------------------------------------


def test_a_preview_says_what_would_happen_and_changes_nothing(api):
    site, now = make_site(feeder="F12"), {"metered_at": timezone.now()}
    make_session(make_connector(make_station(site)), power_w=11_000.0, **now)
    make_session(make_connector(make_station(site)), power_w=3_000.0, **now)
    make_session(make_connector(make_station(site, online=False)), power_w=7_000.0, **now)
    make_session(make_connector(make_station(site)), power_w=None, metered_at=None)
    make_session(make_connector(make_station(site, exempt=True)), power_w=5_000.0, **now)

    previewed = api.post("events/preview/", declaration()).json()

    assert previewed["sessions_in_scope"] == 5
    assert previewed["sessions_to_limit"] == 4
    assert previewed["sessions_unmetered"] == 1
    assert previewed["metered_w"] == 26_000
    assert previewed["expected_relief_w"] == 6_800  # 11,000 → 4,200; the offline one cannot
    assert previewed["cannot"] == {"station_offline": 1, "exempt_chargestation": 1}
    assert [line["power_w"] for line in previewed["sessions"]][:2] == [11_000, 7_000]
    assert not Event.objects.exists()


def test_a_preview_knows_who_is_held_by_a_more_important_event(api):
    make_session()
    declare(priority=0)

    previewed = api.post("events/preview/", declaration(priority=5)).json()

    assert previewed["cannot"] == {"outranked": 1}
    assert previewed["sessions"][0]["limited_now_by"] == "Feeder F12 overload"


def test_a_preview_names_bad_fields_as_declaring_does(api):
    errors = problem(api.post("events/preview/", {"name": "x"}), 400)

    assert set(errors) == {"limit", "targets"}


def test_a_declaration_without_its_final_slash_is_not_turned_into_a_question(api, client):
    response = client.post(
        "/api/v1/events",
        json.dumps(declaration()),
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )

    assert (response.status_code, response.headers["Location"]) == (308, "/api/v1/events/")


def test_nothing_is_known_by_a_nul(api):
    problem(api.get("sessions/a%00b/"), 404)


def test_a_key_stands_for_the_event_it_was_answered_with(api):
    first = api.post("events/", declaration(external_id="one"))
    again = api.post("events/", declaration(external_id="one"), **{"Idempotency-Key": "key-2"})
    other = api.post("events/", declaration(external_id="two"), **{"Idempotency-Key": "key-2"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert list(problem(other, 409)) == ["Idempotency-Key"]
