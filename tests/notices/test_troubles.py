"""What is wrong is told: once, again when it gets worse, and when it is over; never more than once
a minute for the same trouble."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chargers import pace
from chargers.edrv.errors import ProviderFailed
from chargers.models import Heartbeat
from dr_events import troubles
from dr_events.notices import watching
from dr_events.notices.models import Kind, Notice, Subscription, Trouble
from dr_events.pulse import SWEPT
from dr_events.troubles import Found
from tests.admin.support import (
    make_capacity,
    make_command,
    make_event,
    make_participation,
    make_subscription,
)
from tests.fleet import later, make_session, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def watcher(anna: User) -> Subscription:
    return make_subscription(anna, kinds=[Kind.TROUBLE])


def broken(figure: int = 1, key: str = "it") -> Found:
    return Found(key, f"{figure} broken", figure)


def see(found: Iterable[Found], at: float) -> None:
    watching.note(found, now=later(at))
    watching.tell(now=later(at))


def told() -> list[str]:
    return list(Notice.objects.order_by("at").values_list("subject", flat=True))


def present(at: float = 0) -> dict[str, Found]:
    return {one.key: one for one in troubles.present(now=later(at))}


def of_events(at: float = 0) -> dict[str, Found]:
    return {key: one for key, one in present(at).items() if one.event_id}


# --- what is told of it, and when -----------------------------------------------------------


def test_the_same_trouble_is_told_once_however_often_it_is_seen(watcher: Subscription) -> None:
    for at in range(0, 600, 5):
        see([broken()], at)

    assert told() == ["1 broken"]


def test_it_is_told_that_it_is_over(watcher: Subscription) -> None:
    see([broken()], 0)
    see([], 100)

    assert told() == ["1 broken", "Over: 1 broken"]
    assert [one.content["type"] for one in Notice.objects.order_by("at")] == [
        "trouble.began",
        "trouble.over",
    ]


def test_one_that_grows_is_told_again_at_most_once_a_minute(watcher: Subscription) -> None:
    for second in range(180):
        see([broken(1 + second)], second)

    assert told() == ["1 broken", "61 broken", "121 broken"]
    assert Notice.objects.filter(content__type="trouble.grew").count() == 2


def test_one_that_comes_and_goes_is_told_at_most_once_a_minute(watcher: Subscription) -> None:
    for second in range(0, 600, 5):
        see([broken()] if second % 10 else [], second)

    times = list(Notice.objects.order_by("at").values_list("at", flat=True))
    assert len(times) > 2
    assert min(after - before for before, after in pairwise(times)) >= timedelta(seconds=60)


def test_one_that_was_gone_for_a_moment_is_not_told_again(watcher: Subscription) -> None:
    see([broken()], 0)
    see([], 5)
    for at in range(10, 300, 5):
        see([broken()], at)

    assert told() == ["1 broken"]


def test_what_got_better_and_worse_again_is_told(watcher: Subscription) -> None:
    see([broken(5)], 0)
    see([broken(2)], 100)
    see([broken(3)], 200)

    assert told() == ["5 broken", "3 broken"]


def test_two_troubles_do_not_wait_for_each_other(watcher: Subscription) -> None:
    see([broken(key="one")], 0)
    see([broken(key="one"), broken(key="two")], 1)

    assert len(told()) == 2


def test_what_is_over_and_told_leaves_nothing_behind(watcher: Subscription) -> None:
    see([broken()], 0)
    see([], 100)
    see([], 161)

    assert not Trouble.objects.exists()


def test_without_subscribers_troubles_are_still_on_record(db: None) -> None:
    see([broken()], 0)

    assert Trouble.objects.get().since == later(0)
    assert told() == []


# --- what can be wrong ------------------------------------------------------------------------


def test_who_failed_for_good_or_does_not_respond_is_named() -> None:
    event = make_event(test=True)
    failed = make_participation(event, state="failed", reason="rejected_by_station")
    for _ in range(2):
        make_participation(event, state="confirmed", reason="non_responsive")
    make_participation(event, state="confirmed")

    found = of_events()

    assert {one.subject: one.figure for one in found.values()} == {
        "[drill] 1 session of Feeder F12 overload refused its limit": 1,
        "[drill] 2 sessions of Feeder F12 overload accepted the limit and draw more": 2,
    }
    of_failed = found[f"event:{event.pk}:failed"]
    assert of_failed.detail == {"sessions": [failed.session.external_id]}
    assert of_failed.event_id == event.pk


def test_a_limit_that_is_not_proven_gone_in_time_is_stuck(settings: Any) -> None:
    settings.RESTORE_PATIENCE_S = 90
    event = make_event(status="restoring", ended_at=later(0), ending_as="completed")
    make_participation(event, state="confirmed", released_at=later(0), was_limited=True)

    assert of_events(89) == {}
    found = of_events(90)[f"event:{event.pk}:stuck"]
    assert found.subject == "1 session of Feeder F12 overload may still be limited after it"
    assert found.since == later(0)


def test_events_that_are_over_are_no_trouble() -> None:
    event = make_event(status="completed", ended_at=later(0), restored_at=later(0))
    make_participation(event, state="failed")

    assert of_events() == {}


def test_silent_webhooks_are_trouble() -> None:
    make_session()

    assert "webhooks" in present()


def test_edrv_is_trouble_when_it_stays_so(db: None) -> None:
    pace.note_trouble(ProviderFailed(503, ""), jitter=0, now=later(0))

    assert present(14) == {}
    assert "503" in present(15)["edrv"].detail["error"]


def test_a_capacity_feed_that_is_lost_is_trouble_for_as_many_sites_as_have_lost_it() -> None:
    for name in ("Depot", "Mall"):
        make_capacity(make_site(name=name), valid_until=later(-1))
    make_capacity()

    found = present()["capacities"]

    assert found.subject == "The capacity feed of 2 sites is silent"
    assert set(found.detail["sites"]) == {"Depot", "Mall"}


def test_a_sweep_that_does_not_run_is_trouble(db: None) -> None:
    assert present() == {}
    Heartbeat.note(SWEPT, at=later(0))

    assert present(14) == {}
    assert list(present(15)) == ["sweep"]


def test_commands_that_nobody_sends_are_trouble_unless_edrv_is() -> None:
    make_command(make_session(started_at=later(0)), next_attempt_at=later(0))

    assert "dispatch" not in present(59)
    assert "dispatch" in present(60)
    pace.note_trouble(ProviderFailed(503, ""), jitter=0, now=later(0))
    assert "dispatch" not in present(60)


def test_a_standstill_is_told_when_it_is_over(watcher: Subscription) -> None:
    for at in (0, 5, 10, 200, 205):
        watching.watch(now=later(at))

    assert told() == ["The gateway stood still, and runs again"]
    assert Notice.objects.get().content["data"]["seconds"] == 190


def test_a_watch_asks_the_database_no_more_with_more_sessions(watcher: Subscription) -> None:
    event = make_event()
    make_participation(event, state="failed")
    watching.watch(now=later(0))

    def asked(at: float) -> int:
        with CaptureQueriesContext(connection) as captured:
            watching.watch(now=later(at))
        return len(captured)

    make_participation(event, state="failed")
    few = asked(5)
    for _ in range(20):
        make_participation(event, state="failed")
    assert asked(10) == few


def test_a_limit_of_no_event_that_nobody_wants_is_stuck_too() -> None:
    make_command(
        make_session(may_be_limited=True, generation=1), kind="clear", unit=None, value=None
    )

    assert "stuck" not in present(119)
    found = present(120)["stuck"]
    assert found.subject == "1 session keeps a limit that nobody wants any more"
    assert (found.event_id, found.since) == (None, later(0))


def test_a_stuck_session_is_told_of_its_event_alone() -> None:
    event = make_event(status="restoring", ended_at=later(0), ending_as="completed")
    session = make_session(may_be_limited=True, generation=1)
    make_command(session, kind="clear", unit=None, value=None)
    make_participation(
        event, session=session, state="confirmed", released_at=later(0), was_limited=True
    )

    assert set(of_events(200)) == {f"event:{event.pk}:stuck"}
    assert "stuck" not in present(200)


def test_it_is_told_since_when_a_limit_was_refused() -> None:
    session = make_session(generation=1)
    make_command(session, state="rejected", settled_at=later(7))
    event = make_event()
    make_participation(event, session=session, state="failed", reason="rejected_by_station")

    assert of_events(60)[f"event:{event.pk}:failed"].since == later(7)
