"""OWASP API3:2023 mass assignment, API4:2023 unrestricted resource consumption: over every body and
every list that the description names."""

import base64
import io
from urllib.parse import urlencode

import orjson
import pytest
from drf_spectacular.generators import SchemaGenerator

from gateway import description
from tests.clients import Api, create_client, problem
from tests.dr_events.story import declaration, declare
from tests.fleet import make_session, make_site

pytestmark = pytest.mark.django_db

SCHEMA = SchemaGenerator().get_schema(request=None, public=True)
CALLS = [
    (method, path, call)
    for path, calls in SCHEMA["paths"].items()
    for method, call in calls.items()
]
BODIES = [(method, path) for method, path, call in CALLS if "requestBody" in call]
LISTS = [
    path
    for _, path, call in CALLS
    if any(parameter["name"] == "page_size" for parameter in call.get("parameters", ()))
]
NOT_A_CLIENT_S = {
    "id": "00000000-0000-0000-0000-000000000000",
    "status": "completed",
    "declared_by": "user:somebody",
    "declared_at": "2020-01-01T00:00:00Z",
    "activated_at": "2020-01-01T00:00:00Z",
    "restored_at": "2020-01-01T00:00:00Z",
    "revision": 99,
    "counts": {},
    "budget_of": "",
    "withdrawn_at": None,
    "silent": False,
    "__class__": "x",
}


@pytest.fixture
def api(client, capsys):
    return Api(client, create_client(capsys, "scada"))


def address_of(path):
    said = path.removeprefix("/api/v1/")
    if "{" not in said:
        return said
    thing = make_site().external_id if said.startswith("sites") else str(declare().pk)
    return said.partition("{")[0] + thing + said.partition("}")[2]


def test_every_body_and_list_is_found():
    assert len(BODIES) == 5
    assert len(LISTS) == 6


@pytest.mark.parametrize(("method", "path"), BODIES)
@pytest.mark.parametrize("field", NOT_A_CLIENT_S)
def test_what_is_not_a_client_s_to_set_is_refused_by_name(api, method, path, field):
    body = orjson.dumps({field: NOT_A_CLIENT_S[field]})

    answer = api.call(method.upper(), address_of(path), body)

    assert problem(answer, 400)[field] == "is not known here"


@pytest.mark.parametrize("part", ["limit", "targets"])
def test_nor_is_it_inside_what_is(api, part):
    inside = {"limit": {**declaration()["limit"], "binding": True},
              "targets": [{"type": "all", "event": 1}]}  # fmt: skip

    found = problem(api.post("events/", declaration(**{part: inside[part]})), 400)

    assert list(found.values()) == ["is not known here"]


@pytest.mark.parametrize(("method", "path"), BODIES)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000, 400),
        (b"9" * 100_000, 400),
        (b'{"name": "' + b"x" * 1_000_000 + b'"}', 413),
        (b"\xff\xfe", 400),
        (rb'{"\ud800": 1}', 400),
        (rb'{"name": "\ud83d"}', 400),
        (rb'{"below_minimum": "\ud83d", "type": "\udc00", "value": NaN}', 400),
        (b"[]", 400),
        (b"null", 400),
    ],
    ids=[
        "deep",
        "deep objects",
        "huge number",
        "large",
        "no utf-8",
        "half a name",
        "half a value",
        "half a choice",
        "list",
        "null",
    ],
)
def test_a_body_beyond_reason_is_refused(api, method, path, body, status):
    problem(api.call(method.upper(), address_of(path), body), status)


def test_an_answer_is_not_many_times_what_was_asked(api):
    target = {"type": "feeder", "value": "F12", **dict.fromkeys(map(str, range(100)), 0)}

    answer = api.post("events/", declaration(targets=[target] * 999))

    found = problem(answer, 400)
    assert len(found) == 100
    assert found["targets[0]"] == "90 more members are not known here"
    assert answer.json()["detail"].endswith(f"; and {999 * 11 - 100} more")
    assert len(answer.content) < 20_000


@pytest.mark.parametrize("field", ["name", "n" * 900_000])
def test_nor_is_what_it_says_in_one_piece(api, field):
    answer = api.post("events/", declaration(**{field: {"n" * 50_000: 1}}))

    assert len(problem(answer, 400)) == 1
    assert len(answer.json()["detail"]) < 5_000


def test_half_of_a_character_is_named(api):
    found = problem(api.call("POST", "events/", rb'{"name": "a\ud83d", "priority": NaN}'), 400)

    assert found == {"body": r"The body cannot be read: '\ud83d' is half of a character"}


def test_a_whole_character_beside_what_is_no_number_is_none_of_that(api):
    found = problem(api.call("POST", "events/", rb'{"name": "\ud83d\ude97", "priority": NaN}'), 400)

    assert "priority" in found


def test_a_body_of_unsaid_length_is_not_read(api, client):
    """Chunked: the web server hands on what has no end that anybody said."""
    endless = io.BytesIO(orjson.dumps(declaration()) * 10_000)
    environ = {"CONTENT_TYPE": "application/json", "wsgi.input": endless}
    headers = {"Authorization": f"Bearer {api.token}", "Transfer-Encoding": "chunked"}

    answer = client.generic("POST", "/api/v1/events/", headers=headers, **environ)

    problem(answer, 400)
    assert endless.tell() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("targets", [{"type": "session", "value": str(number)} for number in range(1001)]),
        ("intervals", [{"duration": "PT1M", "limit": declaration()["limit"]}] * 1001),
        ("name", "x" * 201),
        ("reason", "x" * 501),
        ("external_id", "x" * 129),
    ],
)
def test_nothing_in_a_declaration_is_without_end(api, field, value):
    assert field in str(problem(api.post("events/", declaration(**{field: value})), 400))


@pytest.mark.parametrize("path", LISTS)
def test_no_list_is_longer_than_its_page(api, path):
    for _ in range(3):
        make_session()
        declare()
    address = address_of(path)

    for size in ("0", "1001", "-1", "99999999999999999999", "all", "1e3", ""):
        assert "page_size" in problem(api.get(address, page_size=size), 400)
    page = api.get(address, page_size=2).json()
    assert len(page["results"]) <= 2
    assert len(api.get(address).json()["results"]) <= 100


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "position",
    ["abc", "", "null", "infinity", "\0", "²", "1.5", "2026-07-01", "2026-07-01 18:00:00",
     "2026-07-01T18:00:00+20:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"],
)  # fmt: skip
def test_a_cursor_with_a_made_up_place_is_refused_by_name(api, path, position):
    cursor = base64.b64encode(urlencode({"p": position}).encode()).decode()

    found = problem(api.get(address_of(path), cursor=cursor), 400)

    assert found == {"cursor": "is no cursor of this list"}


@pytest.mark.parametrize("path", ["events/", "sessions/"])
def test_the_cursors_of_a_list_lead_through_it_and_back(api, path):
    for number in range(3):
        make_session()
        declare(at=number)

    def follow(link):
        return api.get(link.partition("/api/v1/")[2]).json()

    first = api.get(path, page_size=1).json()
    second = follow(first["next"])

    assert first["results"] + second["results"] == api.get(path, page_size=2).json()["results"]
    assert follow(second["previous"])["results"] == first["results"]


def test_a_preview_names_a_thousand_sessions_and_no_more(api):
    properties = SCHEMA["components"]["schemas"]["PreviewRepresentation"]["properties"]

    assert "1,000 at most" in properties["sessions"]["description"]


def test_the_description_is_built_once_whoever_asks_and_however(client, monkeypatch):
    """It is open to anybody."""
    built = []
    build = SchemaGenerator.get_schema
    monkeypatch.setattr(
        SchemaGenerator, "get_schema", lambda *said, **more: built.append(1) or build(*said, **more)
    )
    description.rendered.cache_clear()
    asked = [
        {},
        {"query_params": {"version": "2"}},
        {"query_params": {"version": "a\nb", "lang": "de"}},
        {"headers": {"Host": "localhost"}},
        {"headers": {"Authorization": "Bearer nonsense"}},
    ]

    answers = [client.get("/api/v1/schema/", **how) for how in asked]

    assert {answer.status_code for answer in answers} == {200}
    assert {orjson.dumps(answer.json()) for answer in answers} == {orjson.dumps(SCHEMA)}
    assert len(built) == 1
