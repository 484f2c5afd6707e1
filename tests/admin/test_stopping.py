"""Ending and cancelling: what will happen is said first."""

from __future__ import annotations

from django.test import Client

from chargers.models import AuditEntry
from dr_events.models import Event
from tests.admin.support import address, make_event, messages_of, text_of
from tests.dr_events import story
from tests.fleet import later, make_session


def test_ending_says_who_gets_power_back_and_who_stays_limited(operator: Client) -> None:
    here, both = make_session(), make_session()
    event = story.declare()
    story.declare(
        name="Transformer T4",
        limit={"kind": "per_session", "unit": "current", "value": 16},
        targets=[{"type": "session", "value": both.external_id}],
        priority=9,
    )
    story.accept(1)
    make_session(exempt=True)
    story.steer(2)

    page = text_of(operator.get(address(Event, "end", event.pk)))

    assert "The event ends now and counts as completed once every limit is gone." in page
    assert "2 sessions take part in it now." in page
    assert "1 session gets its full power back" in page
    assert "1 session stays limited, by Transformer T4 (16 A)." in page
    assert here.pk != both.pk


def test_an_active_event_is_ended(operator: Client) -> None:
    event = story.declare()

    done = operator.post(address(Event, "end", event.pk))

    event.refresh_from_db()
    assert (event.status, event.ending_as) == ("restoring", "completed")
    assert done.headers["Location"] == address(Event, "change", event.pk)
    assert "has ended: every limit of it is being lifted" in messages_of(operator, done)
    entry = AuditEntry.objects.get(action="event.restoring")
    assert (entry.actor, entry.origin) == ("user:operator", "127.0.0.1")


def test_ending_twice_is_no_error(operator: Client) -> None:
    event = story.declare()

    operator.post(address(Event, "end", event.pk))
    again = operator.post(address(Event, "end", event.pk))

    assert again.status_code == 302
    assert AuditEntry.objects.filter(action="event.restoring").count() == 1


def test_an_active_event_is_cancelled(operator: Client) -> None:
    event = story.declare()

    assert "counts as cancelled" in text_of(operator.get(address(Event, "cancel", event.pk)))
    operator.post(address(Event, "cancel", event.pk))

    event.refresh_from_db()
    assert (event.status, event.ending_as) == ("restoring", "cancelled")


def test_a_scheduled_event_is_cancelled_and_nothing_is_restored(operator: Client) -> None:
    event = story.declare(starts_at=later(3600).isoformat())

    assert "Nothing has been sent yet." in text_of(operator.get(address(Event, "cancel", event.pk)))
    operator.post(address(Event, "cancel", event.pk))

    event.refresh_from_db()
    assert event.status == "cancelled"


def test_what_cannot_be_ended_is_a_message_and_no_error(operator: Client) -> None:
    scheduled = story.declare(starts_at=later(3600).isoformat())
    cancelled = make_event(status="cancelled", ended_at=later(0), ending_as="cancelled")

    for event, why in ((scheduled, "has not begun"), (cancelled, "was cancelled")):
        refused = operator.post(address(Event, "end", event.pk))
        assert refused.headers["Location"] == address(Event, "change", event.pk)
        assert why in messages_of(operator, refused)


def test_what_is_over_has_no_page_to_stop_it(operator: Client) -> None:
    event = make_event(status="completed", ended_at=later(0), ending_as="completed")

    for name in ("end", "cancel"):
        refused = operator.get(address(Event, name, event.pk))
        assert "The event is completed already." in messages_of(operator, refused)


def test_an_event_that_does_not_exist_is_not_found(operator: Client) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"

    for name in ("amend", "end", "cancel"):
        assert operator.get(address(Event, name, unknown)).status_code == 404
        assert operator.post(address(Event, name, unknown)).status_code == 404
