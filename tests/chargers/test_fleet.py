"""Who is online, by what webhooks tell and by what a sync finds."""

import pytest

from chargers import fleet
from chargers.edrv import payloads
from chargers.models import Command
from tests.chargers.test_inbox import apply, deliver
from tests.chargers.test_settlement import send, send_again, settle
from tests.fleet import FOUR_KW, later, make_connector, make_session, make_station

pytestmark = pytest.mark.django_db


def find(station, online, at):
    """A sync reads it."""
    told = {"_id": station.external_id, "online": online}
    fleet.apply_chargestations([payloads.read_chargestation(told)], now=later(at))
    station.refresh_from_db()


def tell(station, online, at, heard_at=None):
    """A webhook of this time."""
    change = fleet.Online(station.external_id, online, later(at))
    fleet.apply_online([change], now=later(at if heard_at is None else heard_at))
    station.refresh_from_db()


def test_since_when_a_station_is_online_is_when_it_changed():
    station = make_station(online=True, online_changed_at=later(-3600))

    find(station, True, 0)
    assert station.online_changed_at == later(-3600)

    find(station, False, 300)
    assert (station.online, station.online_changed_at) == (False, later(300))


def test_a_sync_is_no_return_of_a_station():
    station = make_station(online=True, online_changed_at=later(-3600))
    attempt = send(make_session(make_connector(station)), FOUR_KW)
    find(station, True, 5)

    settle(attempt, "failed", at=later(30), response_data={"error": "timeout"})

    assert Command.objects.get().next_attempt_at == later(90)


def test_a_webhook_of_an_edrv_whose_clock_is_behind_is_believed_after_a_sync():
    station = make_station()
    find(station, True, 0)

    tell(station, False, -15, heard_at=5)

    assert not station.online


def test_a_webhook_from_before_a_sync_comes_too_late():
    station = make_station()
    find(station, True, 0)

    tell(station, False, -600, heard_at=5)

    assert station.online


def test_what_a_sync_finds_outdates_what_webhooks_told_before_it():
    station = make_station()
    tell(station, True, -5)

    find(station, False, 0)
    assert not station.online

    tell(station, True, -10, heard_at=1)
    assert not station.online


def test_a_return_wakes_what_waits_for_it_though_nobody_told_that_the_station_was_gone():
    station = make_station()
    attempt = send(make_session(make_connector(station)), FOUR_KW)
    settle(attempt, "failed", at=later(1), response_data={"error": "Chargestation is offline"})
    assert Command.objects.get().next_attempt_at == later(61)

    tell(station, True, 2)

    assert Command.objects.get().next_attempt_at == later(2)
    assert station.online_changed_at == later(2)


def test_the_same_return_told_once_more_wakes_nobody():
    station = make_station()
    tell(station, True, 2)
    attempt = send(make_session(make_connector(station)), FOUR_KW, at=later(3))
    settle(attempt, "failed", at=later(4), response_data={"error": "Chargestation is offline"})

    tell(station, True, 2, heard_at=10)

    assert Command.objects.get().next_attempt_at == later(64)


def test_a_station_that_is_found_online_as_it_was_wakes_nobody():
    station = make_station()
    attempt = send(make_session(make_connector(station)), FOUR_KW)
    settle(attempt, "failed", at=later(1), response_data={"error": "Chargestation is offline"})

    find(station, True, 5)

    assert Command.objects.get().next_attempt_at == later(61)


def test_what_a_station_had_refused_is_sent_anew_after_it_was_gone_within_one_batch():
    station = make_station()
    session = make_session(make_connector(station))
    attempt = send(session, FOUR_KW)
    for _ in range(3):
        settle(attempt, "failed", response_data={"status": "Rejected"})
        attempt = send_again(session.commands.get())
    settle(attempt, "failed", response_data={"status": "Rejected"})
    for online, at in (("offline", 10), ("online", 20)):
        deliver(f"chargestation.{online}", {"_id": station.external_id},
                at=later(20), created_at=later(at))  # fmt: skip

    apply(later(20))

    assert session.commands.count() == 2
    assert session.commands.get(generation=2).state == "due"


def test_all_that_is_written_is_locked_in_one_order_first(django_assert_num_queries):
    stations = [make_station() for _ in range(3)]
    connectors = [make_connector(station) for station in stations]

    with django_assert_num_queries(4) as asked:
        fleet.apply_connector_statuses({c.external_id: "Charging" for c in reversed(connectors)})

    assert "chargers_connector" in asked[1]["sql"]
    assert "ORDER BY id FOR NO KEY UPDATE" in asked[1]["sql"]
