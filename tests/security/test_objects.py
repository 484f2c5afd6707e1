"""OWASP API1:2023, broken object level authorization. The clients are those of one utility, and
whoever may write events may end any of them (ADR 10): what defends is the record of who did."""

import pytest

from chargers.models import AuditEntry
from tests.clients import Api, create_client, problem
from tests.dr_events.story import declaration, declare
from tests.fleet import make_session

pytestmark = pytest.mark.django_db

WRITER = ("events:read", "events:write")


@pytest.fixture
def scada(client, capsys):
    return Api(client, create_client(capsys, "scada", *WRITER))


@pytest.fixture
def market(client, capsys):
    """Another client of the same utility."""
    return Api(client, create_client(capsys, "market", *WRITER))


@pytest.mark.parametrize(
    ("change", "action"),
    [
        (lambda api, event: api.patch(f"events/{event}/", {"priority": 3}), "event.amended"),
        (lambda api, event: api.post(f"events/{event}/end/"), "event.restoring"),
        (lambda api, event: api.post(f"events/{event}/cancel/"), "event.restoring"),
    ],
    ids=["amend", "end", "cancel"],
)
def test_another_client_may_change_an_event_and_is_named_for_it(scada, market, change, action):
    make_session()
    event = scada.post("events/", declaration()).json()["id"]

    assert change(market, event).status_code == 200

    entry = AuditEntry.objects.filter(action=action, subject_ids__contains=[event]).get()
    assert (entry.actor, entry.origin) == ("client:market", "127.0.0.1")
    assert scada.get(f"events/{event}/").json()["declared_by"] == "client:scada"


def test_a_client_s_own_ids_and_keys_are_no_other_client_s(scada, market):
    body = declaration(external_id="F12-0142")
    key = {"Idempotency-Key": "the-same-key"}

    first = scada.post("events/", body, **key).json()
    second = market.post("events/", body, **key).json()

    assert first["id"] != second["id"]
    assert (first["declared_by"], second["declared_by"]) == ("client:scada", "client:market")


def test_nothing_is_reached_through_an_event_it_is_not_of(scada):
    session, event, other = make_session(), declare(), declare()
    said = {"type": "session", "value": session.external_id}
    out = scada.post(f"events/{event.id}/opt_outs/", said).json()["id"]

    problem(scada.delete(f"events/{other.id}/opt_outs/{out}/"), 404)
    assert scada.get(f"events/{event.id}/opt_outs/").json()["results"][0]["withdrawn_at"] is None


@pytest.mark.parametrize(
    "id_", ["1", "00000000-0000-0000-0000-000000000000", "../sites", "%00", "' OR 1=1 --"]
)
def test_an_id_that_is_none_finds_nothing(scada, id_):
    declare()

    problem(scada.get(f"events/{id_}/"), 404)


@pytest.mark.parametrize("kind", ["sites", "chargestations", "sessions"])
@pytest.mark.parametrize("id_", ["%00", "%27%20OR%201=1%20--", "9" * 40, "%F0%9F%9A%97", "-1"])
def test_an_id_of_the_fleet_that_is_none_finds_nothing(client, capsys, kind, id_):
    make_session()
    api = Api(client, create_client(capsys, "reader", "fleet:read"))

    problem(api.get(f"{kind}/{id_}/"), 404)
