"""Subscriptions and the record in the admin."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chargers.models import AuditEntry
from dr_events.notices import sending
from dr_events.notices.models import Delivery, Notice, Subscription
from tests.admin.support import address, make_notice_delivery, make_subscription, page_of, text_of
from tests.fleet import later
from tests.notices.conftest import LogIn
from tests.notices.receiver import Receiver

pytestmark = pytest.mark.usefixtures("clock")

WEBHOOK = {"channel": "webhook", "address": "https://pager.example.com/grid", "kinds": ["trouble"]}
MAIL = {"channel": "email", "address": "anna@example.com", "kinds": ["started", "ended"]}


def add(client: Client, **fields: Any) -> Any:
    return client.post(address(Subscription, "add"), {**WEBHOOK, **fields})


def test_url(subscription: Subscription) -> str:
    return reverse("admin:notices_subscription_test", args=[subscription.pk])


test_url.__test__ = False  # type: ignore[attr-defined]


def test_the_secret_of_a_webhook_is_shown_once_and_signs_what_is_sent(operator: Client) -> None:
    page = add(operator)

    made = Subscription.objects.get()
    [shown] = re.findall(r'id="webhook-secret"[^>]*>(whsec_[^<]+)<', page_of(page))
    assert (shown, made.owner.username) == (made.secret, "operator")
    assert "no-store" in page.headers["Cache-Control"]
    for later_page in ("changelist", "change", "delete", "history"):
        args = () if later_page == "changelist" else (made.pk,)
        assert shown not in page_of(operator.get(address(Subscription, later_page, *args)))
    audited = str(list(AuditEntry.objects.values()))
    assert "https://pager.example.com/…" in audited
    assert shown not in audited
    assert WEBHOOK["address"] not in audited


def test_an_e_mail_needs_a_mail_server(operator: Client, settings: Any) -> None:
    refused = operator.post(address(Subscription, "add"), MAIL)
    settings.EMAIL_IS_CONFIGURED = True
    made = operator.post(address(Subscription, "add"), MAIL)

    assert "EMAIL_URL is not set" in text_of(refused)
    assert made.status_code == 302
    assert Subscription.objects.get().kinds == ["ended", "started"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": "http://pager.example.com/"}, "must begin with https://"),
        ({"address": "https://10.0.0.5/"}, "not an address that may be reached"),
        ({"address": "https://169.254.169.254/latest/"}, "not an address that may be reached"),
        ({"address": "pager"}, "is no web address"),
        ({"kinds": []}, "This field is required"),
        ({"channel": "pigeon"}, "not one of the available choices"),
    ],
)
def test_a_bad_subscription_is_refused_in_words(
    operator: Client, fields: dict[str, Any], said: str
) -> None:
    assert said in text_of(add(operator, **fields))
    assert not Subscription.objects.exists()


def test_the_same_address_twice_is_refused_in_words(operator: Client) -> None:
    add(operator)

    assert "a subscription with this address already" in text_of(add(operator))
    assert Subscription.objects.count() == 1


def test_what_it_is_about_can_be_changed_and_the_address_cannot(operator: Client) -> None:
    add(operator)
    made = Subscription.objects.get()

    changed = {"kinds": ["declared"], "address": "https://elsewhere.example.com/"}
    operator.post(address(Subscription, "change", made.pk), changed)

    made.refresh_from_db()
    assert (made.kinds, made.is_active) == (["declared"], False)
    assert made.address == WEBHOOK["address"]
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["subscription.added", "subscription.changed"]


def test_a_deleted_one_leaves_its_record(operator: Client) -> None:
    add(operator)
    made = Subscription.objects.get()
    make_notice_delivery(subscription=made)

    operator.post(address(Subscription, "delete", made.pk), {"post": "yes"})

    assert not Subscription.objects.exists()
    assert Delivery.objects.get().address == WEBHOOK["address"]


# --- who may what -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees", "changes"),
    [
        ("operator", False, False),
        ("auditor", True, False),
        ("administrator", True, True),
        ("nobody", False, False),
    ],
)
def test_who_sees_and_changes_somebody_else_s(
    log_in: LogIn, anna: User, role: str, sees: bool, changes: bool
) -> None:
    client, hers = log_in(role), make_subscription(anna)
    delivery = make_notice_delivery(subscription=hers)
    page = address(Subscription, "change", hers.pk)

    def is_shown(response: Any) -> bool:
        return response.status_code == 200 and hers.address in page_of(response)

    assert is_shown(client.get(address(Subscription, "changelist"))) is sees
    assert is_shown(client.get(page)) is sees
    assert is_shown(client.get(address(Delivery, "change", delivery.pk))) is sees
    client.post(page, {"kinds": ["ended"], "is_active": "on"})
    hers.refresh_from_db()
    assert (hers.kinds == ["ended"]) is changes
    tested = client.post(test_url(hers)).status_code
    assert (tested, Notice.objects.filter(subject="Test of notifications").exists()) == (
        (302, True) if changes else (403, False)
    )
    client.post(address(Subscription, "delete", hers.pk), {"post": "yes"})
    assert Subscription.objects.exists() is not changes


def test_an_auditor_makes_no_subscription(log_in: LogIn) -> None:
    assert add(log_in("auditor")).status_code == 403


# --- a test -------------------------------------------------------------------------------


def test_a_test_is_sent_at_once_and_at_most_once_a_minute(
    operator: Client, receiver: Receiver
) -> None:
    add(operator, address=receiver.url)
    made = Subscription.objects.get()

    first = operator.post(test_url(made), follow=True)
    second = operator.post(test_url(made), follow=True)

    assert "A test is on its way" in str(*first.context["messages"])
    assert "was sent just now" in str(*second.context["messages"])
    assert sending.turn(now=later(1)) == 1
    assert len(receiver.received) == 1
    shown = text_of(operator.get(address(Subscription, "change", made.pk)))
    assert "Test of notifications" in shown
    assert "delivered (204)" in shown


def test_an_address_that_is_switched_off_can_still_be_tested(
    operator: Client, receiver: Receiver
) -> None:
    add(operator, address=receiver.url)
    made = Subscription.objects.get()
    Subscription.objects.update(is_active=False)

    operator.post(test_url(made))

    assert sending.turn(now=later(1)) == 1
    assert len(receiver.received) == 1


def test_a_test_is_not_sent_by_a_link(operator: Client) -> None:
    add(operator)

    assert operator.get(test_url(Subscription.objects.get())).status_code == 405


def test_the_log_shows_what_was_told_and_each_attempt(operator: Client, receiver: Receiver) -> None:
    add(operator, address=receiver.url)
    receiver.status, receiver.body = 503, b"out to lunch"
    operator.post(test_url(Subscription.objects.get()))
    sending.turn(now=later(1))

    shown = text_of(operator.get(address(Delivery, "change", Delivery.objects.get().pk)))

    assert "out to lunch" in shown
    assert "failed (503)" in shown
    assert '"type": "test"' in shown
