"""Telling whoever asked for an export that it is ready, or that it failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from chargers import audit
from dr_events.models import Export
from dr_events.notices import contents, subscribing, telling
from dr_events.notices.models import Channel, Kind, Subscription

PERSON = "user:"
NEEDED = "dr_events.export_report"


def tell(export: Export, *, now: datetime) -> None:
    """Tell a person where they have subscribed to it, and at their own e-mail address where they
    have not said anything else of that. Called in the transaction that settles the export."""
    person = _who_asked(export)
    subscriptions = list(_of(person, now)) if person else []
    if subscriptions:
        telling.write(
            Kind.EXPORTED,
            contents.export_subject(export),
            contents.export_content(export, now=now),
            subscriptions,
            event_id=export.event_id,
            now=now,
        )


def _who_asked(export: Export) -> User | None:
    """A person who may still have it; API clients ask how it stands."""
    name = export.requested_by.removeprefix(PERSON)
    if name == export.requested_by:
        return None
    person = User.objects.filter(username=name).first()
    return person if person and person.has_perm(NEEDED) else None


def _of(person: User, now: datetime) -> Iterator[Subscription]:
    yield from telling.wanting(Kind.EXPORTED).filter(owner=person)
    # Who has a subscription with it has said there what to be told of, or nothing at all.
    if not Subscription.objects.filter(owner=person, address=person.email).exists():
        made = _subscribed(person, now)
        if made:
            yield made


def _subscribed(person: User, now: datetime) -> Subscription | None:
    """Their own address, where they will find it and can switch it off. None without an address,
    or without a mail server."""
    try:
        return subscribing.subscribe(
            person, Channel.EMAIL, person.email, [Kind.EXPORTED], actor=audit.GATEWAY, now=now
        )
    except ValidationError:
        return None
