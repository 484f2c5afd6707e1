"""What people edit of the fleet: our own fields, audited, and told to the planner."""

from __future__ import annotations

from typing import Any

from django.test import Client

from chargers.models import AuditEntry, ChargeStation, Connector, Session, SessionNews, Site
from tests.admin.support import address
from tests.fleet import later, make_connector, make_session, make_site, make_station


def save(client: Client, thing: Any, **fields: Any) -> None:
    response = client.post(address(type(thing), "change", thing.pk), fields)
    assert response.status_code == 302, response.context["adminform"].form.errors
    thing.refresh_from_db()


def news() -> set[int]:
    return set(SessionNews.objects.values_list("session_id", flat=True))


def test_the_place_of_a_site_is_changed_audited_and_told(operator: Client) -> None:
    site = make_site(feeder="F12", name="Depot")
    here = make_session(make_connector(make_station(site)))
    make_session(make_connector(here.chargestation), status="ended", ended_at=later(-5))
    make_session()

    save(operator, site, feeder="F13", voltage_v="230", exempt_reason="", name="Not ours to change")

    assert (site.feeder, site.name) == ("F13", "Depot")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.origin) == ("user:operator", "127.0.0.1")
    assert (entry.action, entry.subject, entry.subject_ids) == (
        "site.changed",
        "site",
        [str(site.pk)],
    )
    assert (entry.before, entry.after) == ({"feeder": "F12"}, {"feeder": "F13"})
    assert news() == {here.pk}


def test_saving_without_a_change_leaves_no_trace(operator: Client) -> None:
    site = make_site(feeder="F12")
    make_session(make_connector(make_station(site)))

    save(operator, site, feeder="F12", voltage_v="230", exempt_reason="")

    assert not AuditEntry.objects.exists()
    assert not news()


def test_a_station_can_be_made_to_forget_what_it_refused(operator: Client) -> None:
    station = make_station(refused_units=["power"], refuses_clear=True)
    session = make_session(make_connector(station))

    save(operator, station, exempt_reason="")

    assert (station.refused_units, station.refuses_clear) == ([], False)
    entry = AuditEntry.objects.get()
    assert entry.action == "chargestation.changed"
    assert entry.before == {"refused_units": ["power"], "refuses_clear": True}
    assert news() == {session.pk}


def test_a_station_can_be_told_what_it_cannot_take(operator: Client) -> None:
    station = make_station()

    save(operator, station, refused_units=["current"], refuses_clear="on", exempt_reason="")

    assert (station.refused_units, station.refuses_clear) == (["current"], True)


def test_the_circuit_of_a_connector_is_ours(operator: Client) -> None:
    session = make_session()
    connector = session.connector
    assert connector is not None

    save(operator, connector, voltage_v="400", phases="1", max_current_a="16")

    assert (connector.voltage_v, connector.phases, connector.max_current_a) == (400, 1, 16)
    assert AuditEntry.objects.get().action == "connector.changed"
    assert news() == {session.pk}


def test_an_impossible_circuit_is_refused_at_its_field(operator: Client) -> None:
    connector = make_connector()

    response = operator.post(
        address(Connector, "change", connector.pk), {"voltage_v": "4", "phases": "7"}
    )

    assert set(response.context["adminform"].form.errors) == {"voltage_v", "phases"}
    assert not AuditEntry.objects.exists()


def test_a_session_is_exempted_while_it_is_open(operator: Client) -> None:
    session = make_session()

    save(operator, session, exempt="on", exempt_reason="ambulance")

    assert (session.exempt, session.exempt_reason) == (True, "ambulance")
    assert AuditEntry.objects.get().action == "session.changed"
    assert news() == {session.pk}


def test_a_session_that_has_ended_is_no_longer_edited(operator: Client) -> None:
    session = make_session(status="ended", ended_at=later(-5))

    response = operator.post(address(Session, "change", session.pk), {"exempt": "on"})

    assert response.status_code == 403
    assert operator.get(address(Session, "change", session.pk)).status_code == 200


def test_saving_a_page_writes_back_nothing_but_our_own_fields(operator: Client) -> None:
    """Between opening and saving, the sync and the planner go on."""
    session = make_session()
    station = session.chargestation
    ChargeStation.objects.filter(pk=station.pk).update(online=False)
    Session.objects.filter(pk=session.pk).update(generation=7, wanted_cause="an event")

    from chargers import own_fields
    from chargers.audit import Actor

    actor = Actor("user:operator")
    assert own_fields.change(station, {"exempt": True}, actor=actor, now=later(0))
    assert own_fields.change(session, {"exempt": True}, actor=actor, now=later(0))

    station.refresh_from_db()
    session.refresh_from_db()
    assert (station.online, station.exempt) == (False, True)
    assert (session.generation, session.wanted_cause, session.exempt) == (7, "an event", True)


def test_only_our_own_fields_can_be_filled_in(operator: Client) -> None:
    site = make_site()

    form = operator.get(address(Site, "change", site.pk)).context["adminform"].form

    assert set(form.fields) == {
        "grid_zone",
        "substation",
        "feeder",
        "voltage_v",
        "exempt",
        "exempt_reason",
    }
