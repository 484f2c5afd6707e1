"""Declaring an event: a form, a page that says what will happen, then the deed."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from chargers import pace
from chargers.edrv.errors import ProviderFailed
from chargers.models import AuditEntry
from dr_events.models import Event
from tests.admin.support import (
    address,
    hidden_of,
    make_event,
    messages_of,
    order,
    page_of,
    rows,
    text_of,
)
from tests.fleet import later, make_connector, make_session, make_site, make_station

ADD = address(Event, "add")


def preview(client: Client, **changes: Any) -> Any:
    return client.post(ADD, {**order(**changes), "step": "preview", "key": uuid.uuid4().hex})


def confirm(client: Client, previewed: Any) -> Any:
    return client.post(ADD, {**hidden_of(previewed), "step": "confirm"})


def test_an_event_is_declared_in_two_steps(operator: Client) -> None:
    make_session()

    form = operator.get(ADD)
    previewed = operator.post(ADD, {**order(), **hidden_of(form)})
    assert not Event.objects.exists(), "a preview changes nothing"
    done = confirm(operator, previewed)

    event = Event.objects.get()
    assert done.headers["Location"] == address(Event, "change", event.pk)
    assert (event.name, event.reason, event.status) == (
        "Feeder F12 overload",
        "T4 at 105 %",
        "active",
    )
    assert str(event.amount.limit) == "4,200 W"
    assert event.duration is not None
    assert event.duration.total_seconds() == 45 * 60
    assert list(event.targets.values_list("type", "value")) == [("feeder", "F12")]
    assert event.declared_by == "user:operator"
    assert event.idempotency_key == hidden_of(form)["key"]
    entry = AuditEntry.objects.get(action="event.declared")
    assert (entry.actor, entry.origin) == ("user:operator", "127.0.0.1")


def test_the_preview_says_in_plain_words_what_will_happen(operator: Client) -> None:
    make_session(power_w=11_000)
    make_session(make_connector(make_station(make_site(exempt=True))), power_w=7_400)
    make_session(make_connector(make_station(online=False)), power_w=3_600)
    make_session(power_w=None)

    page = text_of(preview(operator))

    assert "4 cars are charging in this scope, drawing 22.0 kW together." in page
    assert "2 sessions will be held to 4,200 W each." in page
    assert "Expected draw afterwards: 15.2 kW, which is 6.8 kW less." in page
    assert "1 session is not limited by this event: the site is exempt." in page
    assert "the chargestation is offline; limited as soon as it is back." in page
    assert "1 session is not metered" in page
    assert "now until 2026-07-01 18:45" in page


def test_a_zero_is_said_back_as_a_pause(operator: Client) -> None:
    make_session()

    page = text_of(preview(operator, limit_value="0"))

    assert "Charging pauses for 1 session: the limit is 0." in page
    assert "charging pauses (limit 0)" in page


def test_what_ac_cannot_signal_is_said_before(operator: Client) -> None:
    make_session()

    pausing = text_of(preview(operator, limit_value="2000"))
    floored = text_of(preview(operator, limit_value="2000", below_minimum="minimum"))

    assert "less than 6 A, the least AC can be held to: their charging pauses." in pausing
    assert "they are held to 4,140 W." in floored


@pytest.mark.parametrize(
    ("watts", "said", "is_red"),
    [("4200", "W each until", False), ("2000", "; 2 of them pause; expected", True),
     ("4.2", "; all of them pause; expected", True)],
)  # fmt: skip
def test_the_headline_says_that_cars_pause_and_the_button_is_red(
    operator: Client, watts: str, said: str, is_red: bool
) -> None:
    single = make_connector(make_station(), power_type="ac_1_phase")
    for connector in (None, None, single):
        make_session(connector)

    page = preview(operator, limit_value=watts)
    panel = operator.post(address(Event, "preview"), order(limit_value=watts))

    [headline] = re.findall(r'id="headline">([^<]*)<', page_of(page))
    assert said in headline
    assert said in page_of(panel)
    assert bool(re.search(r'value="confirm"[^>]*bg-red-600', page_of(page))) is is_red


def test_all_that_is_still_to_be_filled_in_is_listed_and_marked(operator: Client) -> None:
    bare = order(name="", limit_value="", **rows(("", "")))

    def missing(**named: str) -> list[str]:
        panel = page_of(operator.post(address(Event, "preview"), {**bare, **named}))
        return re.findall("<li>([^<]*)", panel)

    form = text_of(operator.get(ADD))

    assert missing() == ["Name", "Limit", "Where"]
    assert missing(name="T4") == ["Limit", "Where"]
    assert "Name *" in form
    assert "Limit *" in form


def test_an_outage_of_edrv_is_said_on_both_pages(operator: Client, settings: Any) -> None:
    settings.EDRV_API_KEY = "key"
    make_session()
    pace.note_trouble(ProviderFailed("no", 502), jitter=0, now=later(-60))

    panel = text_of(preview(operator)), page_of(operator.post(address(Event, "preview"), order()))

    for said in panel:
        assert "eDRV does not do its work since 2026-07-01 17:59:00 UTC" in said


def test_an_empty_scope_and_an_unknown_target_are_warned_of(operator: Client) -> None:
    make_site(feeder="F12")

    page = text_of(preview(operator, **rows(("feeder", "F12"), ("feeder", "F99"))))

    assert "No car is charging in this scope right now." in page
    assert "Nothing in the fleet is known as feeder F99." in page


def test_another_event_that_decides_is_named(operator: Client) -> None:
    from tests.dr_events import story

    make_session()
    story.declare(name="Transformer T4", priority=0)

    page = text_of(preview(operator, priority="5"))

    assert "another event of higher priority, or with a lower limit, decides" in page
    assert "outranked" in page


def test_a_double_submit_declares_once(operator: Client) -> None:
    previewed = preview(operator)

    first, second = confirm(operator, previewed), confirm(operator, previewed)

    assert Event.objects.count() == 1
    assert first.headers["Location"] == second.headers["Location"]
    assert "had been declared already" in messages_of(operator, second)


def test_the_same_form_with_other_content_is_told_apart_and_not_lost(operator: Client) -> None:
    previewed = preview(operator)
    confirm(operator, previewed)

    again = operator.post(ADD, {**hidden_of(previewed), "step": "confirm", "limit_value": "6000"})

    assert again.status_code == 200
    assert "This form was sent before" in text_of(again)
    assert Event.objects.count() == 1
    fresh = {**order(limit_value="6000"), "key": hidden_of(again)["key"], "step": "confirm"}
    assert operator.post(ADD, fresh).status_code == 302
    assert Event.objects.count() == 2


def test_an_id_that_stands_for_another_event_is_refused_at_its_field(operator: Client) -> None:
    confirm(operator, preview(operator, external_id="F12-0142"))

    second = confirm(operator, preview(operator, external_id="F12-0142", limit_value="6000"))

    assert "already stands for event" in str(second.context["form"].errors["external_id"])
    assert Event.objects.count() == 1


def test_a_scheduled_drill_until_somebody_ends_it(operator: Client) -> None:
    previewed = preview(
        operator, start="at", starts_at="2026-07-01T19:30", end="open", test="on", priority="0"
    )
    assert "It starts later." in text_of(previewed)
    assert "yes: real limits are sent, marked as a test" in text_of(previewed)
    confirm(operator, previewed)

    event = Event.objects.get()
    assert (event.status, event.test, event.priority) == ("scheduled", True, 0)
    assert (event.starts_at, event.ends_at) == (later(90 * 60), None)


def test_times_are_typed_in_the_gateways_zone(operator: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Amsterdam"

    assert "Times are in Europe/Amsterdam (CEST)." in text_of(operator.get(ADD))
    confirm(operator, preview(operator, end="at", ends_at="2026-07-01T21:00"))

    assert Event.objects.get().ends_at == later(3600)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "  "}, "name", "This field is required."),
        ({"limit_value": "-1"}, "limit_value", "greater than or equal to 0"),
        ({"limit_value": "5000000"}, "limit_value", "Is more than any charger delivers"),
        ({"limit_value": "3001", "limit_unit": "current"}, "limit_value", "Is more than any"),
        ({"limit_value": "nan"}, "limit_value", "Enter a number."),
        ({"limit_value": "much"}, "limit_value", "Enter a number."),
        ({"limit_unit": "amps"}, "limit_unit", "not one of the available choices"),
        ({"priority": "-1"}, "priority", "greater than or equal to 0"),
        ({"end": "at"}, "ends_at", "Say when"),
        ({"end": "at", "ends_at": "soon"}, "ends_at", "Enter a valid date/time."),
        ({"end": "at", "ends_at": "2026-07-01T17:00"}, "ends_at", "Is in the past"),
        ({"start": "at"}, "starts_at", "Say when"),
        ({"start": "at", "starts_at": "2026-07-01T17:00"}, "starts_at", "Is in the past"),
        ({"start": "at", "starts_at": "2039-07-01T17:00"}, "starts_at", "days ahead"),
        ({"duration": "PT0S"}, "duration", "not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    operator: Client, changes: dict[str, str], field: str, message: str
) -> None:
    page = preview(operator, **changes)

    assert page.status_code == 200
    assert set(page.context["form"].errors) == {field}
    assert message in page.context["form"].errors[field][0]
    assert message in text_of(page)


@pytest.mark.parametrize(
    ("targets", "row", "message"),
    [
        ([("feeder", "")], 0, "Is required"),
        ([("", "F12")], 0, "Say what this is."),
        ([("feeder", "F12"), ("", ""), ("site", "")], 2, "Is required"),
        ([("all", "F12")], 0, "Has no meaning for the type all"),
        ([("street", "F12")], 0, "not one of the available choices"),
        ([("feeder", "F" * 65)], 0, "at most 64 characters"),
    ],
)
def test_a_wrong_target_is_marked_in_its_row(
    operator: Client, targets: list[tuple[str, str]], row: int, message: str
) -> None:
    page = preview(operator, **rows(*targets))

    assert message in str(page.context["targets"].forms[row].errors)
    assert message in text_of(page)


def test_an_event_needs_a_target(operator: Client) -> None:
    page = preview(operator, **rows(("", ""), ("", "")))

    assert "Name at least one target." in text_of(page)


def test_the_whole_fleet_is_a_target_without_a_name(operator: Client) -> None:
    confirm(operator, preview(operator, **rows(("all", ""))))

    assert list(Event.objects.get().targets.values_list("type", "value")) == [("all", "")]


def test_going_back_shows_the_form_as_it_was_filled_in(operator: Client) -> None:
    previewed = preview(operator, name="T4 & <F12>")

    form = operator.post(ADD, {**hidden_of(previewed), "step": "edit"})

    assert 'value="T4 &amp; &lt;F12&gt;"' in page_of(form)
    assert 'value="F12"' in page_of(form)
    assert not form.context["form"].errors


def test_the_form_suggests_the_places_the_fleet_knows(operator: Client) -> None:
    make_site(feeder="F12", substation="S3", grid_zone="North", external_id="loc_7", name="Depot")

    page = page_of(operator.get(ADD))

    assert '<datalist id="known-feeder"> <option value="F12">' in " ".join(page.split())
    assert '<option value="loc_7">Depot</option>' in page


def test_a_confirmation_that_has_become_impossible_comes_back_as_a_form(operator: Client) -> None:
    import time_machine

    previewed = preview(operator, end="at", ends_at="2026-07-01T18:01")
    with time_machine.travel(later(120)):
        late = confirm(operator, previewed)

    assert "Is in the past" in text_of(late)
    assert not Event.objects.exists()


def test_a_form_without_its_rows_is_no_server_error(operator: Client) -> None:
    page = operator.post(ADD, {"name": "x", "step": "confirm"})

    assert page.status_code == 200
    assert not Event.objects.exists()


def test_without_a_csrf_token_nothing_is_declared(operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies

    assert strict.post(ADD, {**order(), "step": "confirm"}).status_code == 403
    assert not Event.objects.exists()


def test_asking_for_a_page_changes_nothing(operator: Client) -> None:
    event = make_event()
    before = Event.objects.values().get()

    for name in ("amend", "end", "cancel"):
        assert operator.get(address(Event, name, event.pk)).status_code == 200
    operator.get(ADD, {**order(), "step": "confirm"})

    assert Event.objects.values().get() == before
    assert not AuditEntry.objects.exists()


def test_all_that_is_wrong_is_said_at_once(operator: Client) -> None:
    page = preview(operator, name="", limit_value="-5", **rows(("feeder", "")))

    said = text_of(page)
    assert "This field is required." in said
    assert "greater than or equal to 0" in said
    assert "Is required" in said


def test_a_missing_field_is_complained_of_once(operator: Client) -> None:
    page = preview(operator, name="", limit_value="")

    errors = page.context["form"].errors
    assert errors == {
        "name": ["This field is required."],
        "limit_value": ["This field is required."],
    }


def test_errors_speak_of_the_form_and_not_of_the_interface(operator: Client) -> None:
    times = {"starts_at": "2026-07-02T18:00", "ends_at": "2026-07-02T17:00"}

    page = preview(operator, start="at", end="at", **times)

    assert page.context["form"].errors == {"ends_at": ["Is not after the start"]}


def test_a_mistyped_place_is_answered_with_those_that_are_known(operator: Client) -> None:
    make_site(feeder="F11")
    make_site(feeder="F13")

    said = text_of(preview(operator, **rows(("feeder", "F21"))))

    assert "Nothing in the fleet is known as feeder F21." in said
    assert "Known as feeder: F11, F13." in said
    assert "Sessions, the largest draws first" not in said, "there are none to show"


def test_a_place_that_no_site_has_says_where_places_come_from(operator: Client) -> None:
    make_site(feeder="")

    said = text_of(preview(operator, **rows(("feeder", "F21"))))

    assert "No site has a feeder yet. Import their places as CSV" in said


def test_the_form_says_when_there_is_nothing_to_aim_at(operator: Client) -> None:
    assert "No site is known yet" in text_of(operator.get(ADD))

    site = make_site(grid_zone="", substation="", feeder="")
    assert "No site has its place in the grid yet" in text_of(operator.get(ADD))

    site.feeder = "F12"
    site.save()
    assert "yet" not in text_of(operator.get(ADD)).replace("sent yet", "")


def test_on_a_fresh_installation_an_event_can_be_declared(operator: Client) -> None:
    done = confirm(operator, preview(operator, **rows(("all", ""))))

    page = text_of(operator.get(done.headers["Location"]))
    assert Event.objects.get().status == "active"
    assert "No car is charging in this scope right now." in page
    assert "sessions 0 = confirmed 0" in page
