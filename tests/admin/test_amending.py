"""Amending an event, also while it is active."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.test import Client

from chargers.models import AuditEntry, Session
from dr_events.models import Event
from tests.admin.support import address, hidden_of, messages_of, rows, steps, text_of
from tests.dr_events import story
from tests.fleet import later, make_connector, make_session, make_site, make_station


def form_of(client: Client, event: Event) -> dict[str, Any]:
    """The amend form as it comes, filled in."""
    page = client.get(address(Event, "amend", event.pk))
    form, targets = page.context["form"], page.context["targets"]
    fields = {name: form[name].value() for name in form.fields}
    typed = {
        name: value.strftime("%Y-%m-%dT%H:%M:%S") if hasattr(value, "strftime") else value
        for name, value in fields.items()
    }
    return {
        **{name: "" if value is None else value for name, value in typed.items()},
        **rows(*((row["type"].value() or "", row["value"].value() or "") for row in targets)),
        **steps(*_told(page.context["steps"])),
    }


def _told(rows_of_steps: Any) -> list[tuple[str, str]]:
    told = [tuple(row[name].value() for name in ("minutes", "value")) for row in rows_of_steps]
    return [(text(minutes), text(value)) for minutes, value in told if value is not None]


def text(value: Any) -> str:
    return "" if value is None else str(value)


def amend(client: Client, event: Event, **changes: Any) -> Any:
    """Both steps; the answer to the last one made."""
    page = client.post(
        address(Event, "amend", event.pk),
        {**form_of(client, event), **changes, "step": "preview"},
    )
    if page.status_code != 200 or page.context.get("form") is not None:
        return page
    return client.post(address(Event, "amend", event.pk), {**hidden_of(page), "step": "confirm"})


@pytest.fixture
def event(db: None) -> Event:
    """4,200 W on feeder F12 for an hour, with one car charging there."""
    make_session()
    return story.declare(ends_at=later(3600.5).isoformat())


def test_a_form_that_is_sent_unchanged_changes_nothing(operator: Client, event: Event) -> None:
    done = amend(operator, event)

    assert "Nothing was changed" in messages_of(operator, done)
    assert not AuditEntry.objects.filter(action="event.amended").exists()


@pytest.mark.parametrize("ends_at", ["2026-10-25T00:30:00.5Z", "2026-10-25T01:30:00.5Z"])
@pytest.mark.parametrize("shown", ["2026-10-25T02:30:00", "2026-10-25T02:30"])
def test_an_event_that_ends_in_the_hour_that_comes_twice_can_be_amended(
    operator: Client, settings: Any, ends_at: str, shown: str
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    make_session()
    event = story.declare(ends_at=ends_at)
    before = event.ends_at

    amend(operator, event, name="Feeder F12 overload, again", ends_at=shown)

    event.refresh_from_db()
    assert (event.name, event.ends_at) == ("Feeder F12 overload, again", before)


def test_a_time_in_the_hour_that_comes_twice_is_not_guessed_at(
    operator: Client, settings: Any, event: Event
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"

    page = amend(operator, event, ends_at="2026-10-25T02:45")

    assert "may be ambiguous" in str(page.context["form"].errors["ends_at"])


def test_a_limit_that_rises_is_foreseen_as_a_rise(operator: Client, event: Event) -> None:
    story.accept(1)
    story.meter(Session.objects.get(), 4_200, 30)

    with time_machine.travel(later(31)):
        form = {**form_of(operator, event), "limit_value": "6000", "step": "preview"}
        said = text_of(operator.post(address(Event, "amend", event.pk), form))

    assert "expected rise 1.8 kW." in said
    assert "Expected draw afterwards: at most 6.0 kW, which is 1.8 kW more." in said
    assert "6,000 W (+1,800 W)" in said


def test_an_active_event_gets_another_limit(operator: Client, event: Event) -> None:
    done = amend(operator, event, limit_value="16", limit_unit="current")

    assert done.headers["Location"] == address(Event, "change", event.pk)
    event.refresh_from_db()
    assert str(event.amount.limit) == "16 A"
    entry = AuditEntry.objects.get(action="event.amended")
    assert (entry.actor, set(entry.after)) == ("user:operator", {"limit"})


def test_the_confirmation_says_what_differs_and_what_it_does(
    operator: Client, event: Event
) -> None:
    elsewhere = make_site(feeder="F13")
    make_session(make_connector(make_station(elsewhere)), power_w=22_000)
    fields = {**form_of(operator, event), "limit_value": "0", **rows(("feeder", "F13"))}

    page = operator.post(address(Event, "amend", event.pk), {**fields, "step": "preview"})

    said = text_of(page)
    assert "at most 4,200 W for each session charging pauses (limit 0)" in said
    assert "feeder F12 feeder F13" in said
    assert "1 car is charging in this scope, drawing 22.0 kW together." in said
    assert "No longer in its scope: 1 session takes part in it now." in said
    assert "Priority" not in said
    event.refresh_from_db()
    assert str(event.amount.limit) == "4,200 W", "a preview changes nothing"
    assert not AuditEntry.objects.filter(action="event.amended").exists()


def test_an_active_event_is_prolonged_from_now_on(operator: Client, event: Event) -> None:
    amend(operator, event, end="for", duration="PT2H")

    event.refresh_from_db()
    assert event.ends_at is not None
    assert 0 <= (event.ends_at - later(7200)).total_seconds() < 30


def test_an_event_is_left_open(operator: Client, event: Event) -> None:
    amend(operator, event, end="open")

    event.refresh_from_db()
    assert event.ends_at is None


def test_a_scheduled_event_is_moved(operator: Client) -> None:
    event = story.declare(starts_at=later(3600).isoformat(), duration="PT1H")

    amend(operator, event, starts_at="2026-07-01T20:00:00", ends_at="2026-07-01T22:00:00")

    event.refresh_from_db()
    assert (event.starts_at, event.ends_at) == (later(7200), later(4 * 3600))


def test_the_start_of_an_active_event_is_not_asked_for(operator: Client, event: Event) -> None:
    page = operator.get(address(Event, "amend", event.pk))

    assert "starts_at" not in page.context["form"].fields


def test_an_end_in_the_past_is_refused_at_its_field(operator: Client, event: Event) -> None:
    page = amend(operator, event, end="at", ends_at="2026-07-01T17:00:00")

    assert page.context["form"].errors == {"ends_at": ["Is in the past"]}


def test_a_target_more_is_all_that_changes(operator: Client, event: Event) -> None:
    amend(operator, event, **rows(("feeder", "F12"), ("feeder", "F13")))

    assert set(event.targets.values_list("value", flat=True)) == {"F12", "F13"}
    assert set(AuditEntry.objects.get(action="event.amended").after) == {"targets"}


def test_somebody_elses_change_is_not_overruled_unseen(operator: Client, event: Event) -> None:
    fields = {**form_of(operator, event), "limit_value": "6000", "step": "confirm"}
    amend(operator, event, name="Feeder F12 and T4")

    late = operator.post(address(Event, "amend", event.pk), fields)

    assert "the event has changed since you opened this form" in messages_of(operator, late)
    event.refresh_from_db()
    assert (event.name, str(event.amount.limit)) == ("Feeder F12 and T4", "4,200 W")


@pytest.mark.parametrize("step", ["preview", "confirm"])
def test_an_event_that_ended_meanwhile_is_a_message_and_no_error(
    operator: Client, event: Event, step: str
) -> None:
    fields = {**form_of(operator, event), "limit_value": "6000", "step": step}
    operator.post(address(Event, "end", event.pk))

    late = operator.post(address(Event, "amend", event.pk), fields)

    assert late.headers["Location"] == address(Event, "change", event.pk)
    assert "too late to amend it" in messages_of(operator, late)


def test_an_event_of_more_targets_than_a_form_holds_keeps_them(
    operator: Client, monkeypatch: Any, event: Event
) -> None:
    monkeypatch.setattr("dr_events.admin.order_sheets.MOST_TARGET_ROWS", 1)
    page = operator.get(address(Event, "amend", event.pk))
    assert "more targets than a form can hold" in text_of(page)

    fields = {
        "revision": event.revision,
        "name": "Renamed",
        "limit_kind": "per_session",
        "limit_value": "4200",
        "limit_unit": "power",
        "below_minimum": "pause",
        "restore": "at_once",
        **steps(),
        "end": "open",
        "duration": "PT1H",
        "step": "confirm",
    }
    operator.post(address(Event, "amend", event.pk), fields)

    event.refresh_from_db()
    assert event.name == "Renamed"
    assert event.targets.count() == 1
