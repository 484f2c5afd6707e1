"""The tree of the grid beside the form, and what the order would do while it is filled in."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chargers.models import Site
from dr_events.models import Event
from tests.admin.support import address, order, page_of, rows
from tests.dr_events import story
from tests.fleet import make_connector, make_session, make_site, make_station

PLACES = reverse("admin:dr_events_event_places")
PREVIEW = reverse("admin:dr_events_event_preview")


def grid() -> Site:
    """Two feeders of one substation, and a site that nobody has placed."""
    site = make_site(name="Canal Wharf", grid_zone="North", substation="Millbrook", feeder="F12")
    make_site(name="Market", grid_zone="North", substation="Millbrook", feeder="F11")
    make_site(name="Nowhere", feeder="")
    make_session(make_connector(make_station(site, name="Canal 1")), power_w=11_000)
    return site


def picks(client: Client, **query: str) -> list[tuple[str, str]]:
    page = page_of(client.get(PLACES, query))
    return re.findall(r'data-pick-type="(\w+)" data-pick-value="([^"]*)"', page)


def words_of(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page_of(response)).split())


def test_the_tree_goes_from_zone_to_chargestation(operator: Client) -> None:
    site = grid()

    assert [pick[0] for pick in picks(operator)] == ["grid_zone", "site"]
    assert picks(operator, type="grid_zone", value="North") == [("substation", "Millbrook")]
    assert picks(operator, type="substation", value="Millbrook") == [
        ("feeder", "F11"),
        ("feeder", "F12"),
    ]
    assert picks(operator, type="feeder", value="F12") == [("site", site.external_id)]
    [station] = picks(operator, type="site", value=site.external_id)
    assert station[0] == "chargestation"


def test_each_node_says_what_charges_there(operator: Client) -> None:
    grid()

    said = words_of(operator.get(PLACES, {"type": "substation", "value": "Millbrook"}))

    assert "F12 1 car, 11.0 kW" in said


def test_a_place_is_found_by_part_of_its_name(operator: Client) -> None:
    site = grid()

    assert picks(operator, find="mill") == [("substation", "Millbrook")]
    assert ("site", site.external_id) in picks(operator, find="canal")
    assert picks(operator, find="<script>") == []


def test_a_level_takes_as_many_queries_for_many_feeders_as_for_two(operator: Client) -> None:
    grid()
    under = {"type": "substation", "value": "Millbrook"}
    with CaptureQueriesContext(connection) as of_two:
        operator.get(PLACES, under)
    for number in range(30):
        make_site(grid_zone="North", substation="Millbrook", feeder=f"G{number}")

    with CaptureQueriesContext(connection) as of_many:
        operator.get(PLACES, under)

    assert len(of_many) == len(of_two)


def test_the_preview_follows_the_form_and_orders_nothing(operator: Client) -> None:
    make_session(power_w=11_000)

    said = words_of(operator.post(PREVIEW, order(name="")))

    assert "1 session in feeder F12 will be held to 4,200 W each until" in said
    assert "expected relief 6.8 kW." in said
    assert not Event.objects.exists()


def test_the_preview_says_who_cannot_be_held_and_why(operator: Client) -> None:
    make_session(make_connector(make_station(online=False)))

    said = words_of(operator.post(PREVIEW, order()))

    assert "1: the chargestation is offline; limited as soon as it is back" in said


def test_a_form_that_is_not_filled_in_yet_is_no_error(operator: Client) -> None:
    said = words_of(operator.post(PREVIEW, order(limit_value="", **rows(("", "")))))

    assert "Still to be filled in, or put right: Limit Where" in said


def test_an_amendment_is_previewed_as_it_would_be_and_not_made(operator: Client) -> None:
    make_session(power_w=11_000)
    event = story.declare(duration="PT45M")
    where = reverse("admin:dr_events_event_preview_amend", args=[event.pk])
    changed = {**order(limit_value="7000"), "revision": event.revision, "end": "open"}

    said = words_of(operator.post(where, changed))

    event.refresh_from_db()
    assert "1 session in feeder F12 will be held to 7,000 W each" in said
    assert event.limit_value == 4200


def test_an_auditor_previews_nothing(log_in: Any) -> None:
    auditor = log_in("auditor")

    assert auditor.post(PREVIEW, order()).status_code == 403
    assert auditor.get(address(Event, "add")).status_code == 403
