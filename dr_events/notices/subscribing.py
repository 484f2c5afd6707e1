"""Asking to be told: subscriptions, and trying them out. Each is one transaction with its audit
entry; a secret is in none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from chargers import audit
from chargers.audit import Actor
from chargers.problems import Problem
from dr_events.notices import contents, mail, sending, signing, telling
from dr_events.notices.models import TEST, Channel, Delivery, Notice, Subscription
from dr_events.notices.reach import AddressRefused

A_TEST_EVERY = timedelta(seconds=60)


def check_address(channel: str, address: str) -> None:
    """Raises ValidationError, in words for whoever typed it. What a name resolves to is judged
    when something is sent there."""
    if channel == Channel.WEBHOOK:
        try:
            sending.reach().check(address)
        except AddressRefused as error:
            raise ValidationError(str(error)) from error
        return
    if not mail.is_configured():
        raise ValidationError("This gateway has no mail server: EMAIL_URL is not set.")
    validate_email(address)


@transaction.atomic
def subscribe(
    owner: User, channel: str, address: str, kinds: Iterable[str], *, actor: Actor, now: datetime
) -> Subscription:
    """Make a subscription; of a webhook its `secret` is to be shown now and never again."""
    check_address(channel, address)
    made = Subscription.objects.create(
        owner=owner,
        channel=channel,
        address=address,
        kinds=sorted(kinds),
        secret=signing.new_secret() if channel == Channel.WEBHOOK else "",
        created_at=now,
    )
    _note("subscription.added", made, actor, now, after=_said(made))
    return made


@transaction.atomic
def change(
    subscription: Subscription, values: Mapping[str, Any], *, actor: Actor, now: datetime
) -> None:
    """Change what it is about, or switch it on or off. Switched on, it is tried at once."""
    stored = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
    before = _said(stored)
    stored.kinds = sorted(values.get("kinds", stored.kinds))
    stored.is_active = values.get("is_active", stored.is_active)
    stored.hold_until = None
    stored.save(update_fields=["kinds", "is_active", "hold_until"])
    if _said(stored) != before:
        _note("subscription.changed", stored, actor, now, before=before, after=_said(stored))


@transaction.atomic
def unsubscribe(subscription: Subscription, *, actor: Actor, now: datetime) -> None:
    """The record of what was sent stays; what is still due is dropped."""
    _note("subscription.deleted", subscription, actor, now, before=_said(subscription))
    subscription.delete()


@transaction.atomic
def send_test(subscription: Subscription, *, actor: Actor, now: datetime) -> Notice:
    """Send a test to this address, whether it is switched on or not. Raises Problem 429 within a
    minute of the last one."""
    stored = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
    recent = Delivery.objects.filter(
        subscription=stored, notice__kind=TEST, notice__at__gt=now - A_TEST_EVERY
    )
    if recent.exists():
        wait_s = int(A_TEST_EVERY.total_seconds())
        raise Problem(429, "throttled", "A test was sent just now.", retry_after_s=wait_s)
    Subscription.objects.filter(pk=stored.pk).update(hold_until=None)
    content = contents.test_content(by=actor.name, now=now)
    return telling.write(TEST, "Test of notifications", content, [stored], now=now)


def _said(subscription: Subscription) -> dict[str, Any]:
    return {
        "owner": subscription.owner.get_username(),
        "channel": str(subscription.channel),
        "address": subscription.place,
        "kinds": [str(kind) for kind in subscription.kinds],
        "is_active": subscription.is_active,
    }


def _note(
    action: str, subscription: Subscription, actor: Actor, now: datetime, **said: Any
) -> None:
    audit.record(
        actor, action, at=now, subject="subscription", subject_ids=[subscription.pk], **said
    )
