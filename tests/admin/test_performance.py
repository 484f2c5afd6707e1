"""How a site or chargestation has done in past events, on its own page."""

from __future__ import annotations

from django.test import Client

from chargers.models import Site
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
