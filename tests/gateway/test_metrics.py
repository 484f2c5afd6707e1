"""What Prometheus reads: well-formed, and moving with what happens."""

import uuid

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from chargers import counters
from chargers.models import Heartbeat, WebhookDelivery
from chargers.webhooks import REFUSALS
from dr_events.notices.models import Subscription
from dr_events.pulse import SWEPT
from tests.dr_events.story import accept, declare, send
from tests.fleet import make_session

pytestmark = pytest.mark.django_db

GAUGES = {
    "dr_check_ok", "dr_check_seconds", "dr_events", "dr_sessions", "dr_commands",
    "dr_webhook_deliveries", "dr_notices_due",
}  # fmt: skip
COUNTERS = {"dr_webhooks_refused", "dr_webhooks_applied", "dr_attempts"}


def scrape(client):
    response = client.get("/metrics")
    assert response.status_code == 200
    return list(text_string_to_metric_families(response.content.decode()))


def value(client, name, **labels):
    """None where there is no such sample."""
    samples = [sample for family in scrape(client) for sample in family.samples]
    found = [s.value for s in samples if s.name == name and s.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def test_the_exposition_is_one_prometheus_can_parse(client):
    families = {family.name: family for family in scrape(client)}

    assert set(families) == GAUGES | COUNTERS
    assert {families[name].type for name in GAUGES} == {"gauge"}
    assert {families[name].type for name in COUNTERS} == {"counter"}
    assert all(family.documentation for family in families.values())
    assert client.get("/metrics").headers["Content-Type"].startswith("text/plain; version=")


def test_metrics_are_for_reading_and_ask_for_no_log_in(client):
    assert client.get("/metrics").status_code == 200
    assert client.head("/metrics").status_code == 200
    refused = client.post("/metrics")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")


def test_a_scrape_names_no_car_client_or_place(client):
    session = make_session()
    event = declare(name="Harbour overload")

    text = client.get("/metrics").content.decode()

    for telling in (session.external_id, str(event.id), "Harbour", "F12"):
        assert telling not in text


def test_gauges_follow_an_event_from_declared_to_over(client):
    make_session()
    make_session()
    assert value(client, "dr_events", status="active") == 0
    assert value(client, "dr_sessions", limited="no") == 2

    declare()
    assert value(client, "dr_events", status="active") == 1
    assert value(client, "dr_commands", state="due") == 2

    send(1)
    assert value(client, "dr_commands", state="sent") == 2
    assert value(client, "dr_commands", state="due") == 0


def test_a_session_counts_as_limited_while_a_limit_may_be_in_force(client):
    make_session()
    declare()
    accept(1)

    assert value(client, "dr_sessions", limited="yes") == 1
    assert value(client, "dr_sessions", limited="no") == 0
    assert value(client, "dr_commands", state="sent") == 0


@pytest.mark.parametrize("state", ["pending", "waiting", "failed"])
def test_deliveries_that_are_not_applied_are_counted_by_their_state(client, state):
    before = value(client, "dr_webhook_deliveries", state=state)

    WebhookDelivery.objects.create(
        external_id="d1", type="x", body=b"", received_at=timezone.now(), state=state
    )

    assert value(client, "dr_webhook_deliveries", state=state) == before + 1


def test_notices_that_nobody_sends_are_counted(client, django_user_model):
    owner = django_user_model.objects.create_superuser("operator")
    Subscription.objects.create(
        owner=owner, channel="email", address="a@example.com", kinds=["declared"],
        created_at=timezone.now(),
    )  # fmt: skip
    assert value(client, "dr_notices_due") == 0

    declare()

    assert value(client, "dr_notices_due") == 1


def test_the_checks_of_readiness_can_be_alarmed_on(client):
    assert value(client, "dr_check_ok", check="sweep") == 0
    assert value(client, "dr_check_seconds", check="sweep") is None

    Heartbeat.objects.create(name=SWEPT, at=timezone.now())

    assert value(client, "dr_check_ok", check="sweep") == 1
    assert value(client, "dr_check_seconds", check="sweep") >= 0


@pytest.mark.parametrize(
    ("name", "metric", "label"),
    [
        ("webhook_refused", "dr_webhooks_refused_total", "reason"),
        ("webhook_applied", "dr_webhooks_applied_total", "state"),
        ("attempt", "dr_attempts_total", "outcome"),
    ],
)
def test_counters_grow_by_what_is_counted(client, name, metric, label):
    what = f'odd "{uuid.uuid4()}"\\\n'
    assert value(client, metric, **{label: what}) is None

    counters.count(name, what)
    counters.count(name, what, by=2)

    assert value(client, metric, **{label: what}) == 3


def test_every_reason_to_refuse_a_webhook_has_a_count_before_the_first(client):
    """From nothing to one is no rate that an alarm could see."""
    counters.connection().delete(counters.KEY)

    told = {
        reason: value(client, "dr_webhooks_refused_total", reason=reason) for reason in REFUSALS
    }

    assert told == dict.fromkeys(REFUSALS, 0)


def test_a_forged_webhook_is_counted(client):
    before = value(client, "dr_webhooks_refused_total", reason="missing")

    client.post("/webhooks/edrv/", b"{}", content_type="application/json")

    assert value(client, "dr_webhooks_refused_total", reason="missing") == before + 1


def test_without_redis_there_are_the_gauges_and_no_counts(client, redis_away):
    assert value(client, "dr_check_ok", check="redis") == 0
    assert value(client, "dr_events", status="active") == 0
    samples = [s for family in scrape(client) if family.name in COUNTERS for s in family.samples]
    assert samples == []
