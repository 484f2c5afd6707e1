"""sync: the whole fleet, page by page, and what webhooks missed."""

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from chargers import dispatch, inventory, sessions
from chargers.edrv.client import EdrvClient
from chargers.edrv.errors import ProviderFailed, ProviderUnreachable, RateLimited
from chargers.models import ChargeStation, Connector, Heartbeat, Session, Site
from tests.fleet import make_session
from tests.simulation import Simulation

pytestmark = pytest.mark.django_db


def sync(**more):
    with EdrvClient(dispatch.endpoint()) as client:
        return inventory.sync(client, now=timezone.now(), **more)


def test_everything_edrv_has_is_taken_over(edrv):
    state = edrv.state()

    synced = sync()

    assert (synced.locations, synced.chargestations) == (3, state["stations"]["total"])
    assert Site.objects.count() == 3
    assert ChargeStation.objects.count() == state["stations"]["total"]
    assert Connector.objects.count() == state["connectors"]["total"]
    assert set(Session.objects.filter(ended_at=None).values_list("external_id", flat=True)) == set(
        edrv.limits()
    )


def test_a_long_list_is_read_page_by_page(edrv, monkeypatch):
    monkeypatch.setattr("chargers.edrv.client.PAGE_SIZE", 7)

    sync()

    assert Connector.objects.count() == edrv.state()["connectors"]["total"]


@pytest.mark.parametrize("first_page", ["0", "1"])
def test_pages_may_count_from_zero_or_from_one(settings, monkeypatch, first_page):
    monkeypatch.setattr("chargers.edrv.client.PAGE_SIZE", 5)
    flags = ("--sites", "2", "--sessions", "12", "--static", "--first-page", first_page)
    with Simulation(*flags) as edrv:
        settings.EDRV_API_URL, settings.EDRV_API_KEY = edrv.api_url, "simulator"

        sync()

        assert Connector.objects.count() == edrv.state()["connectors"]["total"]
        assert Session.objects.count() == 12


def test_the_fleet_is_read_whatever_edrv_s_quirks(settings):
    flags = ("--sites", "2", "--sessions", "12", "--static", "--quirks", "all")
    with Simulation(*flags) as edrv:
        settings.EDRV_API_URL, settings.EDRV_API_KEY = edrv.api_url, "simulator"

        sync()

        metered = {s.external_id: s.power_w for s in Session.objects.all()}
        assert len(metered) == 12
        for session_id, row in edrv.limits().items():
            assert metered[session_id] == pytest.approx(row["power_w"], rel=0.05, abs=50)


def test_our_own_fields_are_not_disturbed(edrv):
    sync()
    Site.objects.update(feeder="F12", voltage_v=240, exempt=True, address="")
    Connector.objects.update(phases=2, max_current_a=13)
    ChargeStation.objects.update(exempt=True, refused_units=["power"])

    sync(everything=True)

    assert set(Site.objects.values_list("feeder", "voltage_v", "exempt")) == {("F12", 240, True)}
    assert set(Connector.objects.values_list("phases", "max_current_a")) == {(2, 13)}
    assert set(ChargeStation.objects.values_list("exempt", flat=True)) == {True}
    assert "" not in Site.objects.values_list("address", flat=True)


def test_a_start_and_an_end_that_no_webhook_told_are_found(edrv):
    sync()
    arrived = edrv.plug_in()["_id"]
    # A station that is offline does not tell eDRV who left.
    left = Session.objects.filter(status="started", chargestation__online=True).first()
    edrv.unplug(left.external_id)

    sync()

    left.refresh_from_db()
    assert left.status == "ended"
    assert Session.objects.filter(external_id=arrived).exists()


def test_a_session_edrv_no_longer_lists_is_asked_for(edrv):
    sync()
    lost = make_session()
    Session.objects.filter(pk=lost.pk).update(
        heard_at=timezone.now() - sessions.UNHEARD_AFTER - timezone.timedelta(seconds=1)
    )

    sync()

    lost.refresh_from_db()
    assert lost.status == "ended"


@pytest.fixture
def lost():
    """Sessions that nobody has spoken of for long."""
    heard_at = timezone.now() - sessions.UNHEARD_AFTER - timezone.timedelta(seconds=1)
    return [make_session(heard_at=heard_at) for _ in range(8)]


@pytest.mark.parametrize(
    ("errors", "asked"),
    [
        ([ProviderUnreachable("timed out")], 3),
        ([RateLimited("slow down", 429)], 1),
        # What may be the trouble of a single session.
        ([ProviderFailed("oops", 500)], 8),
        ([ProviderUnreachable("timed out"), ProviderFailed("oops", 500)], 8),
    ],
)
def test_a_sync_does_not_go_on_asking_who_does_not_answer(edrv, lost, monkeypatch, errors, asked):
    tried = []

    def fail(client, external_id):
        tried.append(external_id)
        raise errors[len(tried) % len(errors)]

    monkeypatch.setattr(EdrvClient, "get_session", fail)

    sync()

    assert len(tried) == asked
    assert Heartbeat.objects.filter(name=inventory.SYNCED).exists()


def test_without_a_list_of_locations_the_fleet_is_read_all_the_same(edrv):
    edrv.fault("http_reject", match={"calls": ["list"]}, count=1)

    synced = sync()

    assert synced.locations == 0
    assert ChargeStation.objects.count() == edrv.state()["stations"]["total"]
    assert Site.objects.exclude(chargestations=None).count() == 3
    assert Session.objects.filter(ended_at=None).count() == len(edrv.limits())


def test_a_failed_sync_says_why_and_keeps_what_it_read(edrv):
    edrv.fault("server_error", code=502, html=True, match={"calls": ["list"]})

    with pytest.raises(CommandError, match="provider_failed: HTTP 502"):
        call_command("sync_chargers")
    assert not Heartbeat.objects.filter(name=inventory.SYNCED).exists()


def test_without_a_key_the_command_says_so(settings):
    settings.EDRV_API_KEY = ""

    with pytest.raises(CommandError, match="EDRV_API_KEY is not set"):
        call_command("sync_chargers")


def test_the_next_sync_asks_only_for_what_changed(edrv, monkeypatch):
    monkeypatch.setattr(inventory, "OVERLAP", timezone.timedelta(0))
    everything = sync().sessions

    assert sync().sessions < everything
    assert sync(everything=True).sessions == everything


@pytest.mark.parametrize(
    ("age_s", "silent", "due"),
    [
        (None, False, True),
        (299, False, False),
        (300, False, True),
        (31, True, True),
        (29, True, False),
    ],
)
def test_a_sync_is_due_by_the_clock_or_when_webhooks_are_silent(settings, age_s, silent, due):
    now = timezone.now()
    settings.EDRV_SYNC_INTERVAL_S = 300
    if age_s is not None:
        at = now - timezone.timedelta(seconds=age_s)
        Heartbeat.objects.create(name=inventory.SYNCED, at=at)
    if silent:
        make_session(started_at=now - timezone.timedelta(hours=1))

    assert inventory.is_sync_due(now=now) is due
