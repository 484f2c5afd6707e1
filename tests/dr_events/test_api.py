"""The public contract, call by call."""

import csv
import io
import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from chargers.models import AuditEntry
from dr_events.models import Event
from tests.clients import Api, create_client
from tests.dr_events.story import accept, declaration, declare, meter, steer
from tests.fleet import FOUR_KW, make_connector, make_session, make_site, make_station, new_id

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
SESSION_FIELDS = {
    "external_id", "status", "power_w", "current_a", "metered_at", "wanted", "confirmed",
    "binding_event",
}  # fmt: skip


@pytest.fixture
def api(client, capsys):
    return Api(client, create_client(capsys, "scada"))


def problem(response, status):
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    return {error["field"]: error["detail"] for error in body["errors"]}


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


def test_every_wrong_field_is_named_by_its_path(api):
    body = declaration(
        limit={"kind": "per_session", "unit": "power", "value": -1},
        targets=[{"type": "all"}, {"type": "moon"}],
        durration="PT1H",
    )

    errors = problem(api.post("events/", body), 400)

    assert set(errors) == {"limit.value", "targets[1].type", "durration"}
    assert errors["durration"] == "is not known here"


@pytest.mark.parametrize(
    "body",
    [b"{", b"not json", b"\xff\xfe\x00", b'{"limit": NaN}', b"[" * 100_000, b'"\xed\xa0\x80"'],
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


def test_an_event_is_amended_by_what_is_named(api):
    event = api.post("events/", declaration()).json()

    amended = api.patch(f"events/{event['id']}/", {"priority": 0, "duration": "PT2H"})

    assert amended.status_code == 200
    assert amended.json()["priority"] == 0
    assert amended.json()["name"] == event["name"]
    assert amended.json()["ends_at"] is not None


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
    site = make_site(feeder="F12")
    make_session(make_connector(make_station(site)), power_w=11_000.0)
    make_session(make_connector(make_station(site)), power_w=3_000.0)
    make_session(make_connector(make_station(site, online=False)), power_w=7_000.0)
    make_session(make_connector(make_station(site)), power_w=None, metered_at=None)
    make_session(make_connector(make_station(site, exempt=True)), power_w=5_000.0)

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


# --- reports -------------------------------------------------------------------------------


def body_of(response):
    return b"".join(response.streaming_content)


def test_the_report_has_a_row_a_participation_and_counts_that_add_up(api):
    site = make_site(feeder="F12", name="=HYPERLINK(1)")
    session = make_session(make_connector(make_station(site)))
    make_session(exempt=True)
    event = declare(external_id="F12-0142", duration="PT10M")
    accept(1)
    meter(session, 4000.0, 30)
    steer(600)
    accept(601)

    as_json = api.get(f"events/{event.id}/report/", format="json")
    report = json.loads(body_of(as_json))
    as_csv = api.get(f"events/{event.id}/report/", format="csv")
    rows = list(csv.DictReader(io.StringIO(body_of(as_csv).decode())))

    counts = report["counts"]
    assert counts["targeted"] == len(report["participations"]) == len(rows) == 2
    assert counts["targeted"] == sum(
        counts[state] for state in ("confirmed", "failed", "unreachable", "exempt", "ended")
    )
    assert report["event"]["status"] == "completed"
    assert report["reasons"] == [{"state": "exempt", "reason": "exempt_session", "sessions": 1}]
    assert report["seconds_to_accepted"] == {"p50": 1.0, "p95": 1.0}
    row = next(row for row in rows if row["session"] == session.external_id)
    assert (row["state"], row["confirmed_unit"], row["confirmed_value"]) == (
        "confirmed",
        "power",
        "4200.0",
    )
    assert (row["seconds_to_accepted"], row["seconds_to_complied"]) == ("1.0", "30.0")
    assert row["restored_at"] == "2026-07-01T18:10:01.000Z"
    assert row["site_name"] == "'=HYPERLINK(1)"  # no formula for a spreadsheet
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert AuditEntry.objects.filter(action="report.exported", actor="client:scada").count() == 2


@pytest.mark.parametrize("format_", ["xlsx", "pdf", "parquet", "docx", ""])
def test_a_format_there_is_not_is_said_so(api, format_):
    event = declare()

    errors = problem(api.get(f"events/{event.id}/report/", format=format_), 400)

    assert set(errors) == {"format"}


# --- the fleet -----------------------------------------------------------------------------


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
        "A (priority 3) asks for 4200 W: 6.1 A at 230 V x 3 phases, 4,200 W. "
        "1 other event would ask less, or counts less."
    )
    assert [one["limit"] for one in told["why"]["runners_up"]] == [{"unit": "power", "value": 6000}]


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


# --- who may -------------------------------------------------------------------------------

CALLS = [
    ("get", "events/", "events:read"),
    ("get", "events/{id}/", "events:read"),
    ("get", "events/{id}/participations/", "events:read"),
    ("post", "events/", "events:write"),
    ("post", "events/preview/", "events:write"),
    ("patch", "events/{id}/", "events:write"),
    ("post", "events/{id}/end/", "events:write"),
    ("post", "events/{id}/cancel/", "events:write"),
    ("get", "events/{id}/report/", "reports:read"),
    ("get", "sites/", "fleet:read"),
    ("get", "chargestations/", "fleet:read"),
    ("get", "sessions/", "fleet:read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_a_call_needs_its_scope_and_nothing_else(client, capsys, method, path, scope):
    event = declare()
    others = [
        s for s in ("events:read", "events:write", "fleet:read", "reports:read") if s != scope
    ]
    with_it = Api(client, create_client(capsys, "with", scope))
    without = Api(client, create_client(capsys, "without", *others))
    path = path.format(id=event.id)

    def call(api):
        return getattr(api, method)(path, *([declaration()] if method != "get" else []))

    assert call(with_it).status_code < 300
    problem(call(without), 403)
    anonymous = getattr(client, method)(f"/api/v1/{path}", content_type="application/json")
    problem(anonymous, 401)
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_that_is_none_is_refused(client):
    response = client.get("/api/v1/events/", headers={"Authorization": "Bearer nonsense"})

    problem(response, 401)


def test_a_client_asks_for_no_more_than_it_was_given(client, capsys):
    given = create_client(capsys, "reader", "events:read")
    ask = {"grant_type": "client_credentials", "client_id": given["client_id"],
           "client_secret": given["client_secret"]}  # fmt: skip

    assert client.post("/oauth/token/", ask).json()["scope"] == "events:read"
    refused = client.post("/oauth/token/", {**ask, "scope": "events:write"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    wrong = client.post("/oauth/token/", {**ask, "client_secret": "guess"})
    assert wrong.status_code == 401


def test_a_client_that_asks_too_often_is_told_when_to_come_back(client, capsys, monkeypatch):
    from gateway.throttling import ClientThrottle

    monkeypatch.setattr(ClientThrottle, "THROTTLE_RATES", {"client": "2/min"})
    api = Api(client, create_client(capsys, f"eager-{uuid.uuid4()}"))

    answers = [api.get("events/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem(answers[-1], 429)
    assert int(answers[-1].headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v2/", "/webhooks/other/"])
def test_an_unknown_address_is_a_problem_too(client, path):
    problem(client.get(path), 404)
