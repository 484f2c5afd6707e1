"""How a site or chargestation has done in past events, on its own page."""

from __future__ import annotations

import pytest
from django.test import Client

from chargers.models import ChargeStation, Site
from tests.admin.support import address, text_of
from tests.dr_events import story
from tests.fleet import make_connector, make_session, make_site, make_station


def test_who_complied_before_it_opted_out_is_not_counted_twice(root: Client) -> None:
    site = make_site()
    stays, leaves = (make_session(make_connector(make_station(site))) for _ in range(2))
    event = story.declare()
    story.accept(1)
    story.meter(stays, 4000, 30)
    story.meter(leaves, 4000, 31)
    story.opt_out(event, leaves, at=60)

    said = text_of(root.get(address(Site, "change", site.pk)))

    assert "100% of 1 session complied, in the last 1 event" in said


@pytest.mark.parametrize("type_", ["session", "chargestation", "site"])
def test_the_opt_outs_of_its_sessions_are_among_its_own(root: Client, type_: str) -> None:
    site = make_site()
    session = make_session(make_connector(make_station(site)))
    elsewhere = make_session(make_connector(make_station(make_site())))
    event = story.declare()
    story.opt_out(event, session, type_, at=1, reason="the nurse is on call")
    story.opt_out(event, elsewhere, type_, at=2, reason="somebody else")

    of_site = text_of(root.get(address(Site, "change", site.pk)))
    of_station = text_of(root.get(address(ChargeStation, "change", session.chargestation_id)))

    assert "the nurse is on call" in of_site
    assert ("the nurse is on call" in of_station) == (type_ != "site")
    assert "somebody else" not in of_site + of_station
