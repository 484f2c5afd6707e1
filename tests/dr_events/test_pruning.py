"""Old meter readings go; the evidence of an event stays, however old it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargers.models import MeterReading, Session
from dr_events import pruning
from dr_events.models import Event
from tests.dr_events import story
from tests.fleet import later, make_session

pytestmark = pytest.mark.django_db

HOUR = 3600
MUCH_LATER = 400 * 24 * HOUR


@pytest.fixture(autouse=True)
def kept_days(settings: Any) -> None:
    settings.METER_READINGS_KEPT_DAYS = 30


def read(session: Session, *hours: float) -> None:
    """A reading at each of these hours after NOW."""
    MeterReading.objects.bulk_create(
        MeterReading(session=session, metered_at=later(hour * HOUR), power_w=1.0) for hour in hours
    )


def left(session: Session) -> list[float]:
    """The hours of the readings that are still there."""
    times = session.readings.order_by("metered_at").values_list("metered_at", flat=True)
    return [(at - later(0)) / timedelta(hours=1) for at in times]


def an_event_of_an_hour(session: Session) -> Event:
    """From hour 0 to hour 1, accepted, ended, restored."""
    event = story.declare(targets=[{"type": "session", "value": session.external_id}])
    story.accept(1)
    story.intake.end(event.id, actor=story.OPERATOR, now=later(HOUR))
    story.steer(HOUR)
    story.accept(HOUR + 1)
    assert story.status(event) == "completed"
    return event


def prune(at: float = MUCH_LATER, **more: Any) -> int:
    return pruning.prune_readings(now=later(at), **more)


def test_old_readings_of_no_event_are_deleted() -> None:
    session = make_session()
    read(session, -2, -1, 0)

    assert prune() == 3

    assert left(session) == []


def test_young_readings_stay() -> None:
    session = make_session()
    read(session, 0, 24 * 29)

    prune(at=31 * 24 * HOUR)

    assert left(session) == [24 * 29]


def test_the_readings_of_an_event_stay_with_two_hours_on_either_side() -> None:
    session = make_session()
    an_event_of_an_hour(session)
    read(session, -3, -1.9, 0.5, 2.9, 3.5)

    prune()

    assert left(session) == [-3, -1.9, 0.5, 2.9]


def test_the_last_reading_before_an_event_stays_since_the_report_shows_it() -> None:
    session = make_session()
    an_event_of_an_hour(session)
    read(session, -9, -8)

    prune()

    assert left(session) == [-8]


def test_an_event_that_has_not_ended_keeps_all_that_came_since() -> None:
    session = make_session()
    story.declare()
    read(session, -1, 100)

    assert prune() == 0


def test_the_evidence_of_one_session_keeps_nothing_of_another() -> None:
    session, other = make_session(), make_session()
    an_event_of_an_hour(session)
    read(other, 0.5)

    prune()

    assert left(other) == []


def test_batches_end_where_the_young_begin_and_nothing_is_looked_at_twice() -> None:
    session = make_session()
    an_event_of_an_hour(session)
    read(session, *(number / 10 for number in range(10)), *range(10, 15))
    read(session, 24 * 399)

    assert prune(batch=4) == 5

    assert left(session) == [*(number / 10 for number in range(10)), 24 * 399]
    assert prune(batch=4) == 0
