"""Alive is this process; ready is the whole gateway."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chargers import inventory, limits, pace
from chargers.edrv.errors import ProviderFailed, Unauthorized
from chargers.models import Command, Heartbeat, WebhookDelivery
from dr_events.pulse import SWEPT
from gateway import health
from tests.fleet import FOUR_KW, NOW, later, make_session, wanting


def swept(at=None):
    Heartbeat.objects.create(name=SWEPT, at=at or timezone.now())


def read():
    Heartbeat.objects.create(name=inventory.SYNCED, at=timezone.now())


def delivery(at):
    WebhookDelivery.objects.create(external_id=str(at), type="x", body=b"", received_at=at)


def due_since(at):
    limits.want([wanting(make_session(), FOUR_KW)], now=at)


def ask(client):
    response = client.get("/health/ready/")
    body = response.json()
    failing = {name for name, check in body["checks"].items() if not check["ok"]}
    return response.status_code, body["status"], failing


def check(name, at=NOW):
    return health.run_checks(now=at)[name]


def test_alive_is_said_without_asking_anybody_else(client, redis_away):
    response = client.get("/health/live/")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/health/live/", "/health/ready/"])
def test_health_is_for_reading(client, path):
    refused = client.post(path)

    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET, HEAD"
    assert refused.json()["code"] == "method_not_allowed"


@pytest.mark.django_db
def test_ready_is_when_every_check_is_ok(client):
    swept()
    read()

    response = client.get("/health/ready/")

    assert (response.status_code, response.json()["status"]) == (200, "ready")
    checks = response.json()["checks"]
    assert set(checks) == {"database", "redis", "sweep", "oldest_due", "webhooks", "edrv"}
    assert all(set(found) == {"ok", "detail", "seconds"} for found in checks.values())
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.django_db
def test_until_the_fleet_has_been_read_the_gateway_is_degraded(client):
    swept()

    assert ask(client) == (200, "degraded", {"edrv"})


@pytest.mark.django_db
def test_without_a_sweep_the_gateway_is_down(client):
    read()

    assert ask(client) == (503, "down", {"sweep"})


@pytest.mark.django_db
def test_without_redis_the_gateway_is_down_and_says_the_rest_all_the_same(client, redis_away):
    swept()
    read()

    assert ask(client) == (503, "down", {"redis"})


def an_hour_overdue():
    due_since(timezone.now() - timedelta(hours=1))


def silence():
    make_session(started_at=timezone.now() - timedelta(hours=1))


def trouble():
    pace.note_trouble(ProviderFailed("no", 502), jitter=0, now=timezone.now())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arrange", "failing"),
    [(an_hour_overdue, "oldest_due"), (silence, "webhooks"), (trouble, "edrv")],
)
def test_what_the_gateway_can_work_without_degrades_it(client, arrange, failing):
    swept()
    delivery(timezone.now() - timedelta(minutes=10))
    arrange()

    status, said, checks = ask(client)

    assert (status, said) == (200, "degraded")
    assert failing in checks


@pytest.mark.django_db
@pytest.mark.parametrize(("age_s", "ok"), [(0, True), (14.9, True), (15, False), (3600, False)])
def test_a_sweep_is_late_after_15_seconds(age_s, ok):
    swept(at=later(-age_s))

    found = check("sweep")
    assert (found.ok, found.seconds, found.essential) == (ok, age_s, True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "overdue_s", "ok", "seconds"),
    [
        ("due", 59, True, 59),
        ("due", 60, False, 60),
        ("due", -30, True, 0),
        ("unconfirmed", 61, False, 61),
        # A station is answering; nobody has to send.
        ("sent", 3600, True, 0),
    ],
)
def test_a_command_that_nobody_sends_is_noticed_after_a_minute(state, overdue_s, ok, seconds):
    due_since(NOW)
    Command.objects.update(state=state, next_attempt_at=later(-overdue_s))

    found = check("oldest_due")

    assert (found.ok, found.seconds, found.essential) == (ok, seconds, False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("last_s", "charging_s", "here_s", "ok"),
    [
        (None, None, None, True),  # nobody charges: nothing to say
        (3600, None, None, True),
        (None, 100, None, True),  # nobody has charged for long enough
        (None, 180, None, True),
        (None, 181, None, False),
        (180, 3600, None, False),
        (179, 3600, None, True),
        (100, 3600, None, True),
        # Nobody was there to hear them.
        (None, 3600, 179, True),
        (None, 3600, 180, False),
        (3600, 3600, 5, True),
    ],
)
def test_webhooks_are_silent_when_cars_charge_and_nothing_comes(
    settings, last_s, charging_s, here_s, ok
):
    settings.EDRV_WEBHOOK_SILENCE_S = 180
    if here_s is not None:
        inventory.note_return(now=later(-here_s))
    if last_s is not None:
        delivery(later(-last_s))
    if charging_s is not None:
        make_session(started_at=later(-charging_s))

    found = check("webhooks")

    assert (found.ok, found.seconds, found.essential) == (ok, last_s, False)


@pytest.mark.django_db
def test_edrv_s_trouble_is_told_with_its_reason_until_edrv_answers(settings):
    pace.note_trouble(Unauthorized("invalid key", 401), jitter=0, now=NOW)

    found = check("edrv", at=later(90))
    assert (found.ok, found.seconds) == (False, 90)
    assert found.detail == "unauthorized: HTTP 401: invalid key"

    pace.note_success(sent_at=later(90), now=later(91))
    assert check("edrv", at=later(92)).ok
    settings.EDRV_API_KEY = ""
    assert check("edrv").detail == "no EDRV_API_KEY is set"


@pytest.mark.django_db
def test_an_outage_of_edrv_is_one_alarm_that_counts_what_waits_for_it(client):
    swept()
    delivery(timezone.now())
    for _ in range(3):
        an_hour_overdue()
    Command.objects.filter(pk=Command.objects.first().pk).update(
        reason="provider_failed", next_attempt_at=timezone.now() + timedelta(minutes=1)
    )
    trouble()

    said = client.get("/health/ready/").json()

    failing = {name: found for name, found in said["checks"].items() if not found["ok"]}
    assert set(failing) == {"edrv"}
    assert "3 commands wait for it" in failing["edrv"]["detail"]
    assert "see edrv" in said["checks"]["oldest_due"]["detail"]
