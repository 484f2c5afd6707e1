"""Every model can be read, in as many queries for fifty rows as for five."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chargers.admin.pages import BoundedPaginator
from chargers.admin.pictures import picture_of
from chargers.models import (
    Attempt,
    AuditEntry,
    ChargeStation,
    Command,
    Connector,
    Heartbeat,
    MeterReading,
    Session,
    Site,
    WebhookDelivery,
)
from dr_events import intake
from dr_events.models import Event, EventTarget, Participation
from tests.admin.support import (
    EVERYTHING,
    address,
    make,
    make_attempt,
    make_command,
    make_delivery,
    make_entry,
    make_event,
    make_participation,
    make_reading,
    page_of,
    text_of,
)
from tests.dr_events.story import OPERATOR, accept, declare, steer
from tests.fleet import NOW, later, make_connector, make_session, make_site, make_station

BIG_TABLES = (Command, Attempt, WebhookDelivery, MeterReading, AuditEntry, Participation, Session)


@pytest.mark.parametrize("model", EVERYTHING)
def test_a_list_and_a_page_of_every_model_can_be_read(root: Client, model: Any) -> None:
    row = make(model)

    assert root.get(address(model, "changelist")).status_code == 200
    assert root.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", EVERYTHING)
def test_a_list_takes_as_many_queries_for_fifty_rows_as_for_five(
    root: Client, model: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        _make_full(model)
    root.get(address(model, "changelist"))
    with CaptureQueriesContext(connection) as of_five:
        root.get(address(model, "changelist"))
    for _ in range(45):
        _make_full(model)

    with django_assert_max_num_queries(len(of_five)):
        page = root.get(address(model, "changelist"))

    assert len(page.context["cl"].result_list) == 50


def _make_full(model: Any) -> None:
    row = make(model)
    if model is Event:
        EventTarget.objects.create(event=row, type="feeder", value="F12")
        make_participation(row, state="confirmed")


@pytest.mark.parametrize("model", BIG_TABLES)
def test_a_big_table_is_counted_to_a_bound_and_no_further(
    root: Client, model: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(BoundedPaginator, "most", 3)
    for _ in range(5):
        make(model)

    with CaptureQueriesContext(connection) as queries:
        page = root.get(address(model, "changelist"))

    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 4" in sql for sql in counts)
    assert f"The newest 3 {model._meta.verbose_name_plural}" in page_of(page)


@pytest.mark.parametrize("model", EVERYTHING)
def test_every_list_can_be_searched(root: Client, model: Any) -> None:
    make(model)

    assert root.get(address(model, "changelist"), {"q": "F12"}).status_code == 200


def test_limits_and_readings_are_written_for_people(root: Client) -> None:
    make_command(unit="power", value=4200)
    make_command(unit="current", value=16)
    make_command(unit="power", value=0)
    make_reading(power_w=7_400, current_a=None)

    commands = text_of(root.get(address(Command, "changelist")))
    readings = text_of(root.get(address(MeterReading, "changelist")))

    assert "set 4,200 W" in commands
    assert "set 16 A" in commands
    assert "set pause (0)" in commands
    assert "7,400 W –" in readings, "a missing reading is a gap, never a zero"


def test_times_are_shown_with_their_zone(root: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Amsterdam"
    site = make_site(timezone="Europe/Lisbon")
    session = make_session(make_connector(make_station(site)), started_at=NOW)

    response = root.get(address(Session, "change", session.pk))
    page = text_of(response)

    assert "2026-07-01 19:00:00 WEST (+01:00)" in page
    assert "(here 20:00:00 CEST (+02:00))" in page
    assert ">20:00:0" in page_of(response), "as of when the page holds"


def test_a_webhook_is_shown_as_json_over_several_lines(root: Client) -> None:
    delivery = make_delivery(body=b'{"data":{"status":"Started"}}')

    page = page_of(root.get(address(WebhookDelivery, "change", delivery.pk)))

    assert "{\n  &quot;data&quot;: {\n    &quot;status&quot;: &quot;Started&quot;" in page
    assert delivery.signature not in page


def test_a_webhook_that_is_no_json_is_shown_as_it_came(root: Client) -> None:
    delivery = make_delivery(body=b"<b>\xff</b>")

    page = page_of(root.get(address(WebhookDelivery, "change", delivery.pk)))

    assert "&lt;b&gt;\\xff&lt;/b&gt;" in page


def test_things_that_belong_together_are_linked(root: Client) -> None:
    event = make_event()
    part = make_participation(event)
    command = make_command(part.session)
    attempt = make_attempt(command)
    site = part.session.chargestation.site

    _links(root, address(Event, "change", event.pk), f"participation/?event__id__exact={event.pk}")
    _links(root, address(Participation, "changelist"), address(Session, "change", part.session_id))
    session_page = address(Session, "change", part.session_id)
    _links(root, session_page, address(Command, "change", command.pk))
    _links(root, session_page, address(Participation, "change", part.pk))
    _links(root, session_page, f"/site/{site.pk}/change/")
    _links(root, address(Command, "change", command.pk), address(Attempt, "change", attempt.pk))


def _links(client: Client, page: str, target: str) -> None:
    assert target in page_of(client.get(page)).replace("&amp;", "&")


def test_a_link_to_a_narrowed_list_narrows_it(root: Client) -> None:
    mine, other = make_participation(), make_participation(make_event(name="Another"))

    narrowed = root.get(address(Participation, "changelist"), {"event__id__exact": mine.event_id})

    assert [part.pk for part in narrowed.context["cl"].result_list] == [mine.pk]
    assert other.pk != mine.pk


def test_a_session_says_why_it_is_at_its_limit(root: Client) -> None:
    part = make_participation(make_event(name="Feeder F12 overload", priority=2))

    page = text_of(root.get(address(Session, "change", part.session_id)))

    assert "Why is it at this limit? Feeder F12 overload (priority 2) asks for" in page.replace(
        "Because", "because"
    )


def test_the_audit_trail_is_found_by_the_id_of_its_subject(root: Client) -> None:
    make_entry(subject_ids=["41", "42"], action="site.imported")
    make_entry(subject_ids=["43"], action="site.changed")

    found = root.get(address(AuditEntry, "changelist"), {"q": "42"})

    assert [entry.action for entry in found.context["cl"].result_list] == ["site.imported"]


def test_a_period_is_read_in_the_gateways_zone(root: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Amsterdam"
    early, late = make_entry(at=NOW), make_entry(at=later(7200))

    found = root.get(
        address(AuditEntry, "changelist"), {"at_from_0": "2026-07-01", "at_from_1": "21:00"}
    )

    assert [entry.pk for entry in found.context["cl"].result_list] == [late.pk]
    assert early.pk != late.pk


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2026-07-01"])
def test_a_period_that_cannot_be_read_narrows_nothing(root: Client, day: str) -> None:
    make_entry(at=NOW)

    page = root.get(address(AuditEntry, "changelist"), {"at_from_0": day, "at_from_1": "soon"})

    assert page.status_code == 200
    assert page.context["cl"].result_count == 1


def test_tokens_and_grants_of_oauth_are_not_there(root: Client) -> None:
    page = page_of(root.get(reverse("admin:index")))

    assert "oauth2_provider" not in page


def test_no_page_asks_anything_of_another_host(root: Client) -> None:
    pages = [root.get(address(Event, "changelist")), root.get(address(Event, "add"))]

    assert all('src="http' not in page_of(page) for page in pages)
    assert all('href="http' not in page_of(page) for page in pages)


def test_a_reason_is_found_as_it_is_written(root: Client) -> None:
    part = make_participation(state="unreachable", reason="station_offline")
    make_participation(make_event(name="Another"), state="failed", reason="rejected_by_station")

    found = root.get(address(Participation, "changelist"), {"q": "station offline"})

    assert [row.pk for row in found.context["cl"].result_list] == [part.pk]


def test_a_settled_command_has_no_next_step(root: Client) -> None:
    settled = make_command(state="accepted", step="look_action", settled_at=NOW)
    due = make_command(state="due", step="send", next_attempt_at=NOW)

    assert "Next step –" in text_of(root.get(address(Command, "change", settled.pk)))
    assert "Next step Send" in text_of(root.get(address(Command, "change", due.pk)))


def test_a_flag_that_is_off_is_no_alarm(root: Client) -> None:
    station = make_station(online=True, is_simulator=False)

    said = text_of(root.get(address(ChargeStation, "changelist")))

    assert "online" in said
    assert "offline" not in said
    assert "Simulated no" in text_of(root.get(address(ChargeStation, "change", station.pk)))


@pytest.mark.parametrize("role", ["operator", "auditor"])
def test_quantities_name_their_units(log_in: Any, role: str) -> None:
    connector = make_connector()

    said = text_of(log_in(role).get(address(Connector, "change", connector.pk)))

    assert "Voltage (V)" in said
    assert "Greatest current (A)" in said
    assert "Id at eDRV" in said


@pytest.mark.parametrize("model", EVERYTHING)
def test_an_empty_list_says_whether_anything_is_hidden(operator: Client, model: Any) -> None:
    named = model._meta.verbose_name_plural
    model.objects.all().delete() if model is Heartbeat else None

    assert f"There are no {named} yet" in text_of(operator.get(address(model, "changelist")))
    if operator.get(address(model, "changelist")).context["cl"].search_fields:
        searched = operator.get(address(model, "changelist"), {"q": "nowhere"})
        assert f"None of the {named} match" in text_of(searched)


@pytest.mark.django_db
def test_a_limit_in_the_picture_of_a_session_is_drawn_to_the_moment_of_its_end() -> None:
    session = make_session()
    event = declare()
    accept(1)
    intake.end(event.pk, actor=OPERATOR, now=later(60))
    steer(60)
    accept(61)

    _, wanted, _ = picture_of(session, now=later(120))["lines"]

    lasts_s = [round(at - later(0).timestamp()) for at in wanted["at"]]
    assert list(zip(lasts_s, wanted["kw"], strict=True)) == [
        (0, 4.2), (60, 4.2), (60, None), (120, None),
    ]  # fmt: skip


@pytest.mark.parametrize("model", [Event, Session, Command, Participation, WebhookDelivery])
@pytest.mark.parametrize("name", ["q", "status", "state", "state__exact", "reason"])
def test_a_filter_by_nul_is_refused(root: Client, model: Any, name: str) -> None:
    assert root.get(f"{address(model, 'changelist')}?{name}=%00").status_code == 400


def test_what_cannot_be_asked_for_is_refused(root: Client) -> None:
    make_site()
    event = make_event()
    search = "/admin/search/?s=e&extended=1&page="

    for asked in (
        address(Event, "roster", event.pk) + "?q=%00",
        address(Event, "change", event.pk) + "?q=a%00b",
        address(Event, "places") + "?find=%00",
        address(Event, "places") + "?type=feeder&value=%00",
        address(Event, "places") + "?type=site&value=%00",
        address(Site, "export") + "?format=0",
        f"{search}2",
        f"{search}x",
        f"{search}-1",
    ):
        assert root.get(asked).status_code == 400, asked
    assert root.get(f"{search}1").status_code == 200
