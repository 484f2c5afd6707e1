"""What moves on the pages: in how many queries, and what it says."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chargers import load
from chargers.models import Session
from dr_events import curve, intake
from dr_events.models import Event, EventLoad, Participation
from tests.admin.support import address, make_event, make_participation, page_of, text_of
from tests.dr_events import story
from tests.fleet import NOW, later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db


def queries_of(client: Client, where: str) -> int:
    client.get(where)
    with CaptureQueriesContext(connection) as found:
        assert client.get(where).status_code == 200
    return len(found)


def part_of_page(client: Client, event: Event, part: str, **query: str) -> str:
    response = client.get(address(Event, part, event.pk), query)
    return " ".join(re.sub(r"(?s)<script.*?</script>|<[^>]*>", " ", page_of(response)).split())


@pytest.mark.parametrize("part", ["figures", "curve", "roster", "change"])
def test_a_live_page_takes_as_many_queries_for_a_hundred_sessions_as_for_five(
    operator: Client, part: str
) -> None:
    event = make_event()
    for number in range(5):
        make_participation(event, state="failed" if number % 2 else "confirmed")
    curve.sample(now=NOW)
    where = address(Event, part, event.pk) + ("?status=active" if part == "figures" else "")
    of_five = queries_of(operator, where)

    for number in range(95):
        make_participation(event, state="failed" if number % 2 else "confirmed")
    curve.sample(now=later(30))

    assert queries_of(operator, where) == of_five


def test_the_overview_takes_as_many_queries_for_twenty_feeders_as_for_one(operator: Client) -> None:
    make_session(make_connector(make_station(make_site(grid_zone="North", feeder="F1"))))
    load.sample(now=NOW)
    of_one = queries_of(operator, reverse("overview"))

    for number in range(19):
        site = make_site(grid_zone="North", substation="S", feeder=f"F{number + 2}")
        make_session(make_connector(make_station(site)))
    load.sample(now=later(30))

    assert queries_of(operator, reverse("overview")) == of_one


def test_the_session_page_takes_as_many_queries_for_many_readings(operator: Client) -> None:
    session = make_session()
    where = reverse("admin:chargers_session_live", args=[session.pk])
    before = queries_of(operator, where)

    for number in range(100):
        story.meter(session, 11_000 + number, number)

    assert queries_of(operator, where) == before


def test_the_places_are_summed_up_the_grid(operator: Client) -> None:
    for feeder, power_w in (("F11", 11_000), ("F12", 7_000)):
        site = make_site(grid_zone="North", substation="Millbrook", feeder=feeder)
        make_session(make_connector(make_station(site)), power_w=power_w)
    load.sample(now=NOW)

    said = text_of(operator.get(reverse("overview"))) or page_of(operator.get(reverse("overview")))

    words = " ".join(re.sub(r"<[^>]*>", " ", said).split())
    assert re.search(r"North 18\.0 kW", words)
    assert re.search(r"Millbrook 18\.0 kW", words)
    assert re.search(r"F12 7\.0 kW", words)


def test_a_place_of_which_too_few_cars_are_metered_has_a_gap_and_no_small_sum() -> None:
    site = make_site(grid_zone="North", feeder="F12")
    make_session(make_connector(make_station(site)), power_w=11_000)
    make_session(make_connector(make_station(site)), power_w=11_000, metered_at=later(-3600))

    load.sample(now=NOW)

    zone = next(p for p in load.now_and_before(now=NOW).places if p.path == ("North",))
    assert (zone.power_w, zone.cars, zone.metered) == (None, 2, 1)


def test_a_place_without_cars_draws_nothing() -> None:
    make_site(grid_zone="North", feeder="F12")

    load.sample(now=NOW)

    zone = next(p for p in load.now_and_before(now=NOW).places if p.path == ("North",))
    assert zone.power_w == 0


def test_a_sample_is_taken_once_a_slot_by_however_many_workers() -> None:
    make_site(grid_zone="North", feeder="F12")

    for at in (0, 3, 14, 16):
        load.sample(now=later(at))

    assert load.now_and_before(now=later(16)).at == later(15)


def curve_data(client: Client, event: Event) -> dict[str, Any]:
    page = page_of(client.get(address(Event, "curve", event.pk)))
    found = re.search(r'<script id="curve-data" type="application/json">(.*?)</script>', page)
    assert found
    return dict(json.loads(found.group(1)))


def test_the_curve_has_what_was_metered_allowed_and_expected(operator: Client) -> None:
    session, free = make_session(power_w=11_000), make_session(power_w=3_000)
    event = story.declare()
    story.accept(1)
    curve.sample(now=later(5))
    story.meter(session, 4_000, 8)
    story.meter(free, 3_000, 8)
    curve.sample(now=later(10))

    data = curve_data(operator, event)

    assert data["metered"] == [14.0, 7.0]
    assert data["limit"] == [8.4, 8.4]
    assert data["expected"] == [7.2, 7.2]
    assert data["before"] == [14.0, 14.0]


def test_where_nothing_was_sampled_the_curve_has_a_gap(operator: Client) -> None:
    event = make_event(activated_at=later(-600))
    for at in (*range(-600, -400, 5), *range(-100, 0, 5)):
        EventLoad.objects.create(
            event=event, at=later(at), sessions=1, metered=1, power_w=1000, limit_w=4200
        )

    data = curve_data(operator, event)

    assert data["metered"].count(None) == 1


def test_before_the_start_the_curve_is_that_of_its_places(operator: Client) -> None:
    make_session(make_connector(make_station(make_site(feeder="F12"))), power_w=11_000)
    make_session(make_connector(make_station(make_site(feeder="F13"))), power_w=22_000)
    load.sample(now=later(-30))
    event = story.declare()
    curve.sample(now=later(5))

    assert curve_data(operator, event)["metered"] == [11.0, 11.0]


def test_the_worst_stand_first_with_the_reason_in_words(operator: Client) -> None:
    event = make_event()
    make_participation(event, state="confirmed", complied_at=later(30), confirmed_unit="power",
                       confirmed_value=4200)  # fmt: skip
    make_participation(event, state="unreachable", reason="station_offline",
                       next_attempt_at=later(600))  # fmt: skip
    make_participation(event, state="failed", reason="rejected_by_station", attempts=4)

    said = part_of_page(operator, event, "roster")

    refuses = "Its chargestation refuses the limit. Tried 4 times. Not tried again by itself."
    assert said.index(refuses) < said.index("Its chargestation is offline. Next try in")
    assert said.index("offline") < said.index("The meter shows it.")


def test_after_the_end_whoever_lacks_his_proof_stands_first_and_is_named(operator: Client) -> None:
    here, there = (make_session(make_connector(make_station())) for _ in range(2))
    event = story.declare()
    story.accept(1)
    intake.end(event.pk, actor=story.OPERATOR, now=later(60))
    story.steer(60)
    [mine, _] = sorted(story.send(61), key=lambda one: one.session_id == there.pk)
    story.answer([mine], "completed", 62)

    def shown(**query: str) -> list[str]:
        page = page_of(operator.get(address(Event, "roster", event.pk), query))
        rows = page.split('<tr id="row-')[1:]
        return [here.external_id if here.external_id in row else there.external_id for row in rows]

    said = part_of_page(operator, event, "roster")
    assert said.index("of this event is not proven gone yet.") < said.index("event is gone.")
    assert shown() == [there.external_id, here.external_id]
    assert shown(state="unrestored") == [there.external_id]


def test_a_refusal_that_is_tried_again_says_when(operator: Client) -> None:
    event = make_event()
    make_participation(event, state="failed", reason="rejected_by_station", attempts=2,
                       next_attempt_at=timezone.now() + timedelta(hours=1))  # fmt: skip

    said = part_of_page(operator, event, "roster")

    assert "Its chargestation refuses the limit. Tried 2 times. Next try in 3," in said
    assert "Not tried again" not in said


def test_a_car_that_accepted_and_draws_more_is_not_without_a_reading(operator: Client) -> None:
    session = make_session(power_w=11_055)
    event = story.declare(limit={"kind": "per_session", "unit": "power", "value": 0})
    story.accept(2)

    before = text_of(operator.get(address(Event, "change", event.pk)))
    story.meter(session, 11_055, 65)
    with time_machine.travel(later(66)):
        after = text_of(operator.get(address(Event, "change", event.pk)))
        own = text_of(operator.get(address(Session, "change", session.pk)))
    with time_machine.travel(later(900)):
        silent = text_of(operator.get(address(Event, "change", event.pk)))

    assert "Accepted; no reading yet." in before
    assert "Accepted; still draws 11,055 W." in after
    assert "Accepted; still draws 11,055 W." in own
    assert "Accepted; no reading any more." in silent


def test_a_limit_in_watts_that_is_confirmed_in_amperes_is_not_open(operator: Client) -> None:
    event = make_event()
    confirmed = {"confirmed_unit": "current", "confirmed_value": 6}
    make_participation(event, state="confirmed", accepted_at=NOW, complied_at=NOW, **confirmed)

    said = text_of(operator.get(address(Event, "change", event.pk)))

    assert "4,200 W wanted" not in said


def test_the_table_is_narrowed_down_by_state_and_by_name(operator: Client) -> None:
    event = make_event()
    station = make_station(make_site(name="Canal 100% Wharf"))
    mine = make_participation(event, state="failed", session=make_session(make_connector(station)))
    other = make_participation(event, state="failed")
    confirmed = make_participation(event, state="confirmed")

    def shown(**query: str) -> set[str]:
        page = page_of(operator.get(address(Event, "roster", event.pk), query))
        everybody = Participation.objects.all()
        return {part.session.external_id for part in everybody if f"row-{part.pk}" in page}

    assert shown(q="100%") == {mine.session.external_id}
    assert shown(state="failed") == {mine.session.external_id, other.session.external_id}
    assert shown(state="confirmed") == {confirmed.session.external_id}
    assert len(shown(state="nonsense")) == 3
