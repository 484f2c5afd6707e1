"""Two-person approval: who has to propose, and who may give the order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from chargers.models import AuditEntry
from dr_events.models import Event, Proposal
from tests.admin.support import address, hidden_of, messages_of, order, rows, text_of
from tests.dr_events import story
from tests.fleet import make_session


@pytest.fixture(autouse=True)
def _operators_need_a_second_person(settings: Any) -> None:
    settings.APPROVAL_ROLES = ["operator"]
    settings.APPROVAL_ABOVE_KW = 20


@pytest.fixture
def colleague(db: None) -> Client:
    user = User.objects.create(username="colleague", is_staff=True)
    user.groups.set(Group.objects.filter(name="operator"))
    client = Client()
    client.force_login(user)
    return client


def confirm(client: Client, where: str = "", **changes: Any) -> Any:
    where = where or address(Event, "add")
    page = client.post(where, {**order(**changes), "key": "a" * 32})
    return client.post(where, {**hidden_of(page), "step": "confirm"})


def decide(client: Client, decision: str) -> Any:
    [proposal] = Proposal.objects.all()
    where = reverse("admin:dr_events_proposal_decide", args=[proposal.pk])
    return client.post(where, {"decision": decision})


def large() -> None:
    for _ in range(3):
        make_session(power_w=11_000)


def test_a_large_order_is_proposed_and_nothing_is_sent(operator: Client) -> None:
    large()

    page = confirm(operator)

    assert "waits for a second person" in messages_of(operator, page)
    assert not Event.objects.exists()
    assert "3 sessions in feeder F12 will be held to 4,200 W each" in Proposal.objects.get().summary


def test_a_form_that_is_sent_twice_is_proposed_and_ordered_once(
    operator: Client, colleague: Client
) -> None:
    large()

    confirm(operator)
    again = confirm(operator)

    assert "waits for a second person" in messages_of(operator, again)
    assert AuditEntry.objects.filter(action="proposal.made").count() == 1
    decide(colleague, "approve")
    late = confirm(operator)
    assert "had been proposed already, and is approved" in messages_of(operator, late)
    assert Event.objects.count() == 1


def test_a_form_that_needs_nobody_any_more_orders_what_it_proposed_only_once(
    operator: Client, colleague: Client, settings: Any
) -> None:
    large()
    confirm(operator)
    settings.APPROVAL_ABOVE_KW = 50
    confirm(operator)

    decide(colleague, "approve")

    assert Event.objects.count() == 1


def test_a_form_that_was_proposed_with_other_content_says_so(operator: Client) -> None:
    large()
    confirm(operator)

    page = confirm(operator, name="Another")

    assert "with other content, and that was proposed" in text_of(page)
    assert page.context["key"] != "a" * 32
    assert Proposal.objects.count() == 1


def test_a_small_order_is_given_at_once(operator: Client) -> None:
    make_session(power_w=11_000)

    confirm(operator)

    assert Event.objects.get().status == "active"


def test_a_role_that_is_not_named_gives_orders_alone(log_in: Callable[[str], Client]) -> None:
    large()

    confirm(log_in("administrator"))

    assert Event.objects.get().status == "active"


def test_somebody_else_gives_the_order_in_the_name_of_who_proposed_it(
    operator: Client, colleague: Client
) -> None:
    large()
    confirm(operator)
    page = text_of(colleague.get(address(Proposal, "change", Proposal.objects.get().pk)))

    decide(colleague, "approve")

    assert "3 sessions will be held to 4,200 W each." in page
    event = Event.objects.get()
    assert (event.status, event.declared_by) == ("active", "user:operator")
    approved = AuditEntry.objects.get(action="proposal.approved")
    assert approved.actor == "user:colleague"


def test_nobody_approves_what_they_proposed(operator: Client) -> None:
    large()
    confirm(operator)

    page = decide(operator, "approve")

    assert "Somebody else has to approve" in messages_of(operator, page)
    assert Proposal.objects.get().state == "open"
    assert not Event.objects.exists()


def test_a_proposal_is_approved_once(operator: Client, colleague: Client) -> None:
    large()
    confirm(operator)
    decide(colleague, "approve")

    again = decide(colleague, "approve")

    assert "It is approved already." in messages_of(colleague, again)
    assert Event.objects.count() == 1


def test_a_refused_proposal_orders_nothing(operator: Client, colleague: Client) -> None:
    large()
    confirm(operator)

    decide(colleague, "refuse")

    assert Proposal.objects.get().state == "refused"
    assert not Event.objects.exists()


def test_a_small_event_is_not_amended_into_a_large_one_alone(
    operator: Client, colleague: Client
) -> None:
    large()
    event = story.declare(targets=[{"type": "feeder", "value": "F99"}])
    where = address(Event, "amend", event.pk)
    shown = operator.get(where)
    changed = {**order(**rows(("feeder", "F12"))), "revision": event.revision, "end": "open"}
    changed["name"] = event.name
    page = operator.post(where, changed)
    operator.post(where, {**hidden_of(page), "step": "confirm"})

    proposal = Proposal.objects.get()
    assert shown.status_code == 200
    assert proposal.event == event
    assert event.targets.get().value == "F99"
    decide(colleague, "approve")
    assert event.targets.get().value == "F12"


def test_a_proposal_is_void_once_its_event_has_changed(operator: Client, colleague: Client) -> None:
    large()
    event = story.declare(duration="PT45M")
    page = operator.get(address(Event, "extend", event.pk))
    operator.post(address(Event, "extend", event.pk), {**hidden_of(page), "minutes": "30"})
    Event.objects.filter(pk=event.pk).update(revision=event.revision + 1)

    answer = decide(colleague, "approve")

    assert "has changed since" in messages_of(colleague, answer)
    assert Proposal.objects.get().state == "open"


def test_an_open_proposal_stands_on_the_first_page(operator: Client, colleague: Client) -> None:
    large()
    confirm(operator)

    said = text_of(colleague.get(reverse("admin:index")))

    assert "user:operator proposes: Feeder F12 overload: 3 sessions" in said


def test_an_auditor_sees_a_proposal_and_decides_nothing(
    operator: Client, log_in: Callable[[str], Client]
) -> None:
    large()
    confirm(operator)
    auditor = log_in("auditor")

    page = text_of(auditor.get(address(Proposal, "change", Proposal.objects.get().pk)))

    assert "Approve" not in page
    assert decide(auditor, "approve").status_code == 403
