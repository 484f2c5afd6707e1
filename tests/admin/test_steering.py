"""Retrying, extending and restoring all from an event's page."""

from __future__ import annotations

from typing import Any

from django.test import Client

from chargers.models import AuditEntry, Command
from dr_events.models import Event
from tests.admin.support import address, hidden_of, make_event, messages_of, page_of, text_of
from tests.dr_events import story
from tests.fleet import make_connector, make_session, make_site, make_station


def refused_for_good(event: Event) -> None:
    """Four times, as a station that cannot."""
    for at in (1, 2, 8, 24):
        story.answer(story.send(at), "failed", at, {"status": "Rejected"})


def test_what_was_refused_for_good_is_sent_anew(operator: Client) -> None:
    session = make_session()
    event = story.declare()
    refused_for_good(event)
    where = f"{address(Event, 'retry', event.pk)}?state=failed"
    assert story.part(event, session).state == "failed"

    page = operator.get(where)
    done = operator.post(where)

    assert "1 session is failed, unreachable or drawing more" in text_of(page)
    assert "1 session is tried again now." in messages_of(operator, done)
    assert Command.objects.filter(session=session, state="due").count() == 1
    entry = AuditEntry.objects.get(action="event.retried")
    assert (entry.actor, entry.after["sessions"]) == ("user:operator", 1)


def test_only_those_it_is_narrowed_down_to_are_retried(operator: Client) -> None:
    mine = make_session(make_connector(make_station(make_site(name="Canal Wharf"))))
    other = make_session(make_connector(make_station(make_site(name="Town Hall"))))
    event = story.declare()
    refused_for_good(event)

    operator.post(f"{address(Event, 'retry', event.pk)}?q=canal")

    assert Command.objects.filter(session=mine, state="due").exists()
    assert not Command.objects.filter(session=other, state="due").exists()


def test_who_is_confirmed_is_left_alone(operator: Client) -> None:
    make_session()
    event = story.declare()
    story.accept(1)

    page = operator.get(address(Event, "retry", event.pk))

    assert "None of these sessions is to be retried." in messages_of(operator, page)


def test_an_event_is_extended_from_the_end_that_was_shown(operator: Client) -> None:
    event = story.declare(duration="PT45M")
    where = address(Event, "extend", event.pk)
    shown = hidden_of(operator.get(where))

    operator.post(where, {**shown, "minutes": "30"})
    again = operator.post(where, {**shown, "minutes": "30"})

    assert "its end has moved meanwhile" in messages_of(operator, again)
    extended = Event.objects.get()
    assert extended.ends_at is not None
    assert extended.ends_at.isoformat() == "2026-07-01T19:15:00+00:00"


def test_all_is_restored_at_once_from_an_active_event_with_a_slope(operator: Client) -> None:
    make_session()
    event = story.declare(restore={"rate_w_per_min": 50_000, "random_share": 0})
    where = address(Event, "restore", event.pk)
    assert where in page_of(operator.get(address(Event, "change", event.pk)))

    page = operator.get(where)
    operator.post(where)

    assert "The event ends now, and all that it holds is let go at once." in text_of(page)
    event.refresh_from_db()
    assert (event.status, event.restore_at_once) == ("restoring", True)


def test_an_auditor_steers_nothing(log_in: Any) -> None:
    event = make_event()
    auditor = log_in("auditor")

    page = page_of(auditor.get(address(Event, "change", event.pk)))

    for deed in ("retry", "extend", "restore", "amend", "end", "cancel", "opt_out"):
        assert address(Event, deed, event.pk) not in page
        assert auditor.post(address(Event, deed, event.pk)).status_code == 403
