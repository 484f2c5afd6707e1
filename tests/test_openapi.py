"""The REST interface against its own description: generated calls, sensible and senseless.

Every answer has to be described: no 5xx, no status, type or shape that the schema does not name,
and nothing taken that the schema excludes. The one check left out is that whatever fits the
schema is accepted: a schema cannot say that an event ends after its start, or what is a cursor.
"""

from collections import Counter

import pytest
import schemathesis
import yaml
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi import stateful
from schemathesis.specs.openapi.checks import positive_data_acceptance

from chargers.audit import Actor
from dr_events import intake, reconciliation
from dr_events.models import Event, Export
from gateway.openapi import SUMMARIES
from gateway.wsgi import application
from tests.clients import Api, create_client
from tests.fleet import make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db(transaction=True)

schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)
BODY = {
    "name": "Feeder F12 overload",
    "limit": {"kind": "per_session", "unit": "power", "value": 4200},
    "targets": [{"type": "all"}],
}


@pytest.fixture
def world(client, capsys):
    """A token, and something to find for it: a limited session, and one of each kind of event."""
    now = timezone.now()
    make_session(make_connector(make_station(make_site())))
    grid = Actor("client:grid")
    for _ in range(3):
        intake.declare(BODY, actor=grid, now=now)
    reconciliation.steer(clock=lambda: now)
    return Api(client, create_client(capsys, "schemathesis")).token


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case, world):
    case.call_and_validate(
        headers={"Authorization": f"Bearer {world}"}, excluded_checks=[positive_data_acceptance]
    )


# What a link needs besides the id it carries.
BODIES_OF_LINKS = {
    "events_partial_update": {"priority": 3},
    "events_opt_outs_create": {"type": "site", "value": "of-this-event"},
}


def test_every_link_of_a_declared_event_leads_to_it(world):
    headers = {"Authorization": f"Bearer {world}"}
    make_site(external_id="of-this-event")
    declare = schema.find_operation_by_id("events_create")
    declared = declare.Case(body=BODY, media_type="application/json").call(headers=headers)
    links = declare.definition.raw["responses"]["201"]["links"]
    assert len(links) == 9

    for name, link in links.items():
        ids = dict.fromkeys(link["parameters"], declared.json()["id"])
        body = {"media_type": "application/json", "body": BODIES_OF_LINKS.get(name)}
        case = schema.find_operation_by_id(name).Case(
            path_parameters=ids, **(body if name in BODIES_OF_LINKS else {})
        )
        answer = case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])
        # 409: ended by the link before.
        assert answer.status_code in (200, 201, 409), name


@pytest.mark.parametrize("operation", ["exports_file_retrieve", "exports_manifest_retrieve"])
@pytest.mark.parametrize(("state", "status"), [("waiting", 409), ("ready", 410)])
def test_a_file_that_is_not_there_is_answered_as_described(world, operation, state, status):
    export = Export.objects.create(
        event=Event.objects.first(),
        format="csv",
        state=state,
        size_bytes=1,
        requested_at=timezone.now(),
    )
    case = schema.find_operation_by_id(operation).Case(path_parameters={"id": str(export.pk)})

    answer = case.call_and_validate(
        headers={"Authorization": f"Bearer {world}"}, excluded_checks=[positive_data_acceptance]
    )

    assert answer.status_code == status


def test_every_answer_is_as_described_whatever_came_before_it(world, monkeypatch):
    """Walks along the links of the description, each time another way."""
    # It takes `external_id` for another thing's id and would begin with made-up events instead.
    monkeypatch.setattr(
        stateful, "is_likely_root_transition", lambda call, *_: call.path == "/api/v1/events/"
    )
    found = Counter()

    class Walk(schema.as_state_machine()):
        def get_call_kwargs(self, case):
            return {"headers": {"Authorization": f"Bearer {world}"}}

        def validate_response(self, response, case, **kwargs):
            case.validate_response(response, excluded_checks=[positive_data_acceptance])
            if response.status_code not in (401, 404, 405, 415):
                found[case.operation.definition.raw["operationId"]] += 1

    Walk.run(
        settings=settings(
            max_examples=20,
            stateful_step_count=12,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )

    assert found.keys() > {"events_list", "events_create"}


@pytest.mark.parametrize(
    ("accept", "type_"),
    [("*/*", "application/json"), ("application/json", "application/json"),
     ("application/yaml", "application/yaml")],
)  # fmt: skip
def test_the_description_is_openapi_3_1_as_json_unless_yaml_is_asked_for(client, accept, type_):
    response = client.get("/api/v1/schema/", headers={"Accept": accept})

    assert response.headers["Content-Type"].startswith(type_)
    # JSON is YAML, too.
    assert yaml.safe_load(response.content)["openapi"] == "3.1.0"


def test_every_call_has_a_name_of_its_own_and_no_name_is_left_over(client):
    described = yaml.safe_load(client.get("/api/v1/schema/").content)
    calls = [call for methods in described["paths"].values() for call in methods.values()]

    assert {call["operationId"]: call["summary"] for call in calls} == SUMMARIES
    assert len(set(SUMMARIES.values())) == len(SUMMARIES)
