"""Who asked for a long report is told when it is there, by the means of all other notices."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from chargers.audit import Actor
from chargers.models import AuditEntry
from dr_events import exports, reports
from dr_events.models import Event, Export
from dr_events.notices import sending, subscribing
from dr_events.notices.models import Delivery, Notice, Subscription
from tests.admin.support import make_subscription
from tests.dr_events import story
from tests.fleet import later, make_session
from tests.notices.conftest import person
from tests.notices.test_smtp import Post, post

__all__ = ["post"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(db: None) -> Event:
    make_session()
    return story.declare()


@pytest.fixture
def ada(db: None, settings: Any) -> User:
    settings.CSRF_TRUSTED_ORIGINS = ["https://gateway.example.com"]
    found = person("ada", "auditor")
    found.email = "ada@example.com"
    found.save()
    return found


def make(event: Event, by: str = "user:ada", format_: str = "csv") -> Export:
    export = exports.request(event, format_, actor=Actor(by), now=later(60))
    exports.make_due(clock=lambda: later(120))
    export.refresh_from_db()
    return export


def mails(post: Post) -> list[tuple[str, str]]:
    """To whom, and what."""
    sending.turn(now=later(121))
    return [
        (envelope.rcpt_tos[0], envelope.content.decode().replace("=\r\n", ""))
        for envelope in post.taken
        if isinstance(envelope.content, bytes)
    ]


def test_an_export_that_is_ready_is_told_to_whoever_asked_with_the_link(
    event: Event, ada: User, post: Post
) -> None:
    export = make(event)

    [(address, text)] = mails(post)
    page = reverse("admin:dr_events_export_change", args=[export.pk])
    assert address == "ada@example.com"
    assert "Subject: Ready: csv of Feeder F12 overload" in text
    assert f"report: https://gateway.example.com{page}" in text.splitlines()
    assert f"sha256: {export.sha256}" in text.splitlines()
    assert (Notice.objects.get().content["type"], Delivery.objects.get().state) == (
        "export.ready", "delivered",
    )  # fmt: skip


def test_one_that_failed_is_told_with_the_reference_in_the_log(
    event: Event, ada: User, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setitem(reports.FORMATS, "pdf", reports.Format("application/pdf", "pdf", fail))

    make(event, format_="pdf")

    [(_, text)] = mails(post)
    assert "Subject: Failed: pdf of Feeder F12 overload" in text
    assert "disk full" not in text
    assert f"trouble: {Export.objects.get().trouble}" in text.splitlines()


def test_the_address_is_a_subscription_that_can_be_switched_off(
    event: Event, ada: User, post: Post
) -> None:
    make(event)
    own = Subscription.objects.get()
    assert (own.owner, own.address, own.kinds) == (ada, "ada@example.com", ["exported"])
    assert AuditEntry.objects.get(action="subscription.added").actor == "gateway"
    subscribing.change(own, {"is_active": False}, actor=Actor("user:ada"), now=later(200))

    make(event)

    assert Notice.objects.count() == Subscription.objects.count() == 1


def test_who_has_unticked_it_is_told_of_other_things_only(
    event: Event, ada: User, post: Post
) -> None:
    make(event)
    own = Subscription.objects.get()
    subscribing.change(own, {"kinds": ["exported", "ended"]}, actor=Actor("user:ada"), now=later(1))
    make(event)
    subscribing.change(own, {"kinds": ["ended"]}, actor=Actor("user:ada"), now=later(200))

    make(event)

    assert Notice.objects.filter(kind="exported").count() == 2
    assert Subscription.objects.get().kinds == ["ended"]


def test_every_address_that_is_subscribed_to_it_is_told_once(
    event: Event, ada: User, post: Post
) -> None:
    make_subscription(
        ada, channel="email", address="ada@example.com", secret="", kinds=["ended", "exported"]
    )
    elsewhere = make_subscription(ada, kinds=["exported"])

    make(event)

    assert Subscription.objects.count() == 2
    assert sorted(Delivery.objects.values_list("address", flat=True)) == sorted(
        ["ada@example.com", elsewhere.address]
    )


@pytest.mark.parametrize("by", ["client:scada", "shell:root", "user:nobody", "user:anna"])
def test_nobody_else_is_told(event: Event, ada: User, anna: User, post: Post, by: str) -> None:
    """Neither who has no address, nor Ada, who did not ask."""
    make_subscription(ada, kinds=["exported"])

    assert make(event, by).state == "ready"
    assert not Notice.objects.exists()


def test_without_a_mail_server_the_export_is_there_all_the_same(
    event: Event, ada: User, settings: Any
) -> None:
    settings.EMAIL_IS_CONFIGURED = False

    assert make(event).state == "ready"
    assert not Notice.objects.exists()


def test_who_may_no_longer_export_is_not_told(event: Event, ada: User, post: Post) -> None:
    ada.groups.clear()

    make(event)

    assert not Notice.objects.exists()
