"""Limits that were left behind: said on the first page, and lifted again from there."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client
from django.urls import reverse

from chargers.models import AuditEntry, Command, Session
from dr_events import intake
from dr_events.models import Event
from tests.admin.support import make_command, make_event, messages_of, page_of, text_of
from tests.dr_events import story
from tests.fleet import later, make_session

WHERE = reverse("admin:chargers_session_lift_again")


def left_behind(session: Session) -> Event:
    """Its event ended three minutes ago, and its station keeps refusing the clear."""
    event = story.declare(at=-300)
    story.accept(-290)
    intake.end(event.pk, actor=story.OPERATOR, now=later(-180))
    story.steer(-180)
    for at in (-179, -178, -170, -150, -80, -15):
        story.answer(story.send(at), "failed", at, {"status": "Rejected"})
    return event


def waiting_until(session: Session) -> object:
    return Command.objects.get(session=session, state="due").next_attempt_at


def test_the_first_page_leads_to_lifting_what_an_event_left_behind(operator: Client) -> None:
    event = left_behind(make_session())

    said = operator.get(reverse("admin:index"))

    sentence = "1 session of Feeder F12 overload may still be limited after it for 3 min"
    assert f"{sentence} Lift again" in text_of(said)
    assert f"{WHERE}?event={event.pk}" in page_of(said)


def test_a_limit_left_behind_is_lifted_again_now(operator: Client) -> None:
    session = make_session()
    event = left_behind(session)
    where = f"{WHERE}?event={event.pk}"
    assert waiting_until(session) > later(30)

    page = operator.get(where)
    [which] = re.findall(r'href="([^"]*)" id="which"', page_of(page))
    assert f"{session.external_id} " in text_of(operator.get(which))
    assert waiting_until(session) > later(30)
    done = operator.post(where)

    assert "Lift the limits of 1 session again?" in text_of(page)
    assert "1 session has a limit of “Feeder F12 overload” that is not proven gone." in text_of(
        page
    )
    assert "1 limit is being lifted again now." in messages_of(operator, done)
    assert waiting_until(session) < later(30)
    entry = AuditEntry.objects.get(action="event.lifted_again")
    assert (entry.actor, entry.subject_ids) == ("user:operator", [str(event.pk)])
    assert entry.after == {"sessions": 1, "sent_anew": 0, "sent_at_once": 1}


def test_what_is_of_no_event_is_lifted_by_itself(operator: Client) -> None:
    of_event = make_session()
    left_behind(of_event)
    of_none = make_session(may_be_limited=True, generation=1)
    waiting = {"created_at": later(-180), "next_attempt_at": later(45)}
    make_command(of_none, kind="clear", unit=None, value=None, **waiting)

    operator.post(WHERE)

    assert waiting_until(of_none) < later(30)
    assert waiting_until(of_event) > later(30)
    entry = AuditEntry.objects.get(action="session.lifted_again")
    assert entry.subject_ids == [str(of_none.pk)]


def test_nothing_left_behind_is_nothing_to_lift(operator: Client) -> None:
    event = make_event()

    done = operator.get(f"{WHERE}?event={event.pk}")

    assert "No limit is left behind any more." in messages_of(operator, done)


def test_of_an_event_that_nobody_knows_nothing_is_lifted(operator: Client) -> None:
    for told in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        assert operator.post(f"{WHERE}?event={told}").status_code == 404


def test_an_auditor_lifts_nothing(log_in: Callable[[str], Client]) -> None:
    session = make_session()
    event = left_behind(session)
    auditor = log_in("auditor")

    assert "Lift again" not in text_of(auditor.get(reverse("admin:index")))
    assert auditor.post(f"{WHERE}?event={event.pk}").status_code == 403
    assert not AuditEntry.objects.filter(action="event.lifted_again").exists()
