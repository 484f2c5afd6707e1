"""The first page: what runs, what the fleet draws, and what is wrong with the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chargers import pace
from chargers.edrv.errors import ProviderFailed
from chargers.inventory import SYNCED
from chargers.models import Heartbeat, Session
from dr_events import troubles
from dr_events.pulse import SWEPT
from dr_events.troubles import What
from tests.admin.support import (
    make_capacity,
    make_command,
    make_event,
    make_participation,
    page_of,
    text_of,
)
from tests.fleet import later, make_connector, make_session, make_site, make_station


def overview_of(client: Client) -> str:
    return text_of(client.get(reverse("admin:index")))


def test_events_that_run_stand_before_those_to_come(operator: Client) -> None:
    make_event(name="Tomorrow's test", status="scheduled", activated_at=None, starts_at=later(60))
    event = make_event(name="Feeder F12 overload", ends_at=later(45 * 60))
    make_participation(event, state="confirmed")
    make_participation(event, state="failed", reason="rejected_by_station")
    make_event(name="Yesterday's", status="completed", ended_at=later(1), restored_at=later(2))

    said = overview_of(operator)

    assert said.index("Feeder F12 overload") < said.index("Tomorrow's test")
    assert "confirmed 1 of 2 failed or unreachable 1" in said
    assert "At most 4,200 W for each session" in said
    assert "Yesterday's" not in said


def test_an_event_that_is_restoring_says_when_it_ended(operator: Client) -> None:
    ended: dict[str, Any] = {"ends_at": later(3600), "ended_at": later(-60)}
    make_event(status="restoring", ending_as="completed", **ended)

    said = overview_of(operator)

    assert "ended 2026-07-01 17:59:00 UTC" in said
    assert "19:00:00" not in said


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["f12"], "Aims at nobody: feeder f12 is not known in the fleet."),
        (["f12", "f13"], "Aims at nobody: feeder f12, feeder f13 are not known in the fleet."),
        (["F12", "f13"], "Feeder f13 is not known in the fleet."),
        (["F12"], "Nobody takes part yet."),
    ],
)
def test_an_event_that_holds_nobody_says_why(
    operator: Client, targets: list[str], said: str
) -> None:
    make_site(feeder="F12")
    event = make_event()
    for feeder in targets:
        event.targets.create(type="feeder", value=feeder)

    assert said in overview_of(operator)


def test_an_outage_of_edrv_is_one_trouble_and_not_one_a_session(operator: Client) -> None:
    event = make_event(name="Feeder F12 overload")
    for _ in range(3):
        make_participation(event, state="unreachable", reason="provider_failed")
    make_participation(event, state="failed", reason="rejected_by_station")
    pace.note_trouble(ProviderFailed("no", 502), jitter=0, now=later(-60))

    said = overview_of(operator)

    assert "waiting for eDRV 3 failed or unreachable 1" in said
    assert said.count("eDRV does not do its work") == 1


def test_the_fleet_is_summed_and_a_missing_reading_is_no_zero(operator: Client) -> None:
    make_session(power_w=11_000)
    make_session(power_w=7_400, may_be_limited=True)
    make_session(make_connector(make_station(online=False)), power_w=None)

    said = overview_of(operator)

    assert "cars charging 3 draw together 18.4 kW not metered 1 may be limited 1" in said
    assert "chargestations offline 1" in said


def test_an_old_reading_is_no_draw_of_the_fleet(operator: Client) -> None:
    make_session(power_w=11_000)
    make_session(power_w=3_695, metered_at=later(-900))

    said = overview_of(operator)

    assert "cars charging 2 draw together 11.0 kW not metered 1" in said


def test_a_gateway_that_cannot_do_its_work_says_so(operator: Client) -> None:
    Heartbeat.objects.update_or_create(name=SWEPT, defaults={"at": later(-60)})

    said = overview_of(operator)

    assert "The gateway plans nothing: its sweep does not run for 1 min" in said
    assert "can do its work" not in said


def test_a_gateway_without_a_key_to_edrv_does_not_call_itself_well(
    operator: Client, settings: Any
) -> None:
    settings.EDRV_API_KEY = ""

    assert "No EDRV_API_KEY is set" in overview_of(operator)


def test_a_gateway_that_is_well_says_so(operator: Client, settings: Any) -> None:
    settings.EDRV_API_KEY = "key"
    for name in (SWEPT, SYNCED):
        Heartbeat.note(name, at=timezone.now())

    assert "The gateway can do its work" in overview_of(operator)


def test_a_fresh_installation_has_an_overview_too(operator: Client) -> None:
    assert not Session.objects.exists()

    said = overview_of(operator)

    assert "No event is running and none is to come." in said
    assert "cars charging 0 draw together –" in said


def test_only_who_may_declare_is_offered_to(log_in: Callable[[str], Client]) -> None:
    assert "Declare event" in overview_of(log_in("operator"))
    assert "Declare event" not in overview_of(log_in("auditor"))


def test_somebody_without_a_role_sees_nothing_of_it(log_in: Callable[[str], Client]) -> None:
    make_event(name="Feeder F12 overload")

    said = overview_of(log_in("nobody"))

    assert "Feeder F12 overload" not in said
    assert "cars charging" not in said
    assert "gateway can" not in said


def test_the_overview_takes_as_many_queries_for_ten_events_as_for_one(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    make_participation(make_event())
    operator.get(reverse("admin:index"))
    with django_assert_max_num_queries(100) as of_one:
        operator.get(reverse("admin:index"))
    for _ in range(9):
        make_participation(make_event())

    with django_assert_max_num_queries(len(of_one)):
        operator.get(reverse("admin:index"))


def test_the_overview_fetches_itself_anew(operator: Client) -> None:
    page = page_of(operator.get(reverse("admin:index")))

    assert 'id="overview" data-live hx-get="/admin/overview/"' in page
    assert 'hx-trigger="every 2s, refresh"' in page


def test_what_is_wrong_is_said_in_the_words_of_the_notices(operator: Client) -> None:
    event = make_event(name="Feeder F12 overload")
    make_participation(event, state="failed", reason="rejected_by_station")
    make_participation(event, state="confirmed", reason="non_responsive")
    make_participation(event, released_at=later(-600), was_limited=True)
    make_capacity(make_site(name="Depot"), valid_until=later(-600))
    make_command(next_attempt_at=later(-600))

    said = overview_of(operator)

    found = troubles.present(now=timezone.now())
    assert {one.what for one in found} == set(What) - {What.EDRV, What.SWEEP}
    for one in found:
        assert one.subject in said
    assert "The capacity feed of 1 site is silent (Depot: safe values hold) for 10 min" in said
