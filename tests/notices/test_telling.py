"""What is told of events, to whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from dr_events import intake
from dr_events.notices.models import Delivery, Kind, Notice
from tests.admin.support import make_subscription
from tests.dr_events import story
from tests.fleet import later, make_session
from tests.notices.conftest import person

pytestmark = pytest.mark.django_db


def told() -> list[str]:
    return list(Notice.objects.order_by("at", "kind").values_list("subject", flat=True))


def of(kind: str) -> Any:
    return Notice.objects.get(kind=kind).content["data"]


def test_an_event_is_told_from_its_declaration_to_the_last_limit_gone(anna: User) -> None:
    make_subscription(anna)
    make_session()

    event = story.declare()
    story.accept(1)
    intake.end(event.pk, actor=story.OPERATOR, now=later(60))
    story.steer(60)
    assert told()[-1] == "Ended: Feeder F12 overload"
    story.accept(61)

    assert told() == [f"{word}: Feeder F12 overload" for word in
                      ("Declared", "Started", "Ended", "Restored")]  # fmt: skip
    assert of("declared")["event"]["limit"] == {
        "kind": "per_session", "unit": "power", "value": 4200
    }  # fmt: skip
    assert of("declared")["by"] == "user:operator"
    assert of("restored")["event"]["status"] == "completed"
    assert of("restored")["counts"]["restored"] == 1


def test_each_hears_what_they_asked_for(anna: User) -> None:
    starts = make_subscription(anna, kinds=["started"])
    both = make_subscription(anna, kinds=["declared", "started"])

    story.declare()

    heard = set(Delivery.objects.values_list("subscription", "notice__kind"))
    assert heard == {(starts.pk, "started"), (both.pk, "declared"), (both.pk, "started")}


def test_nothing_is_written_where_nobody_wants_to_know(anna: User) -> None:
    make_subscription(anna, is_active=False)
    make_subscription(anna, kinds=["trouble"])

    story.declare()

    assert not Notice.objects.exists()


def test_who_may_no_longer_see_events_is_no_longer_told(anna: User) -> None:
    gone, demoted = person("gone"), person("demoted")
    for one in (anna, gone, demoted):
        make_subscription(one)
    gone.is_active = False
    gone.save()
    demoted.groups.clear()

    story.declare()

    assert set(Delivery.objects.values_list("owner__username", flat=True)) == {"anna"}


def test_a_notice_is_gone_with_the_transaction_that_it_tells_of(anna: User) -> None:
    make_subscription(anna)

    def declare_and_fail() -> None:
        with transaction.atomic():
            story.declare()
            raise RuntimeError("too late")

    with pytest.raises(RuntimeError):
        declare_and_fail()

    assert not Notice.objects.exists()


def test_a_declaration_said_twice_is_told_once(anna: User) -> None:
    make_subscription(anna, kinds=["declared"])

    for _ in range(2):
        intake.declare(story.declaration(external_id="F12-1"), actor=story.OPERATOR, now=later(0))

    assert told() == ["Declared: Feeder F12 overload"]


def test_a_cancelled_event_is_said_to_be_cancelled_and_a_drill_a_drill(anna: User) -> None:
    make_subscription(anna, kinds=["ended"])
    event = story.declare(starts_at=later(3600).isoformat(), test=True)

    intake.cancel(event.pk, actor=story.OPERATOR, now=later(5))

    assert told() == ["[drill] Cancelled: Feeder F12 overload"]


def test_every_kind_has_its_subscribers() -> None:
    assert set(Kind.values) == {
        "declared", "started", "trouble", "ended", "restored", "exported"
    }  # fmt: skip
