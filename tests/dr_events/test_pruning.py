"""Old meter readings go; the evidence of an event stays, however old it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chargers.models import MeterReading, Session, Site
from dr_events import pruning
from dr_events.models import Event
from tests.dr_events import story
from tests.fleet import later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

HOUR = 3600
MUCH_LATER = 400 * 24 * HOUR
LISBON = ZoneInfo("Europe/Lisbon")


def at_lisbon(month: int, day: int, hour: int) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=LISBON)


@pytest.fixture(autouse=True)
def kept_days(settings: Any) -> None:
    settings.METER_READINGS_KEPT_DAYS = 60
    # What is kept for those of sites is asked for by the tests of that.
    settings.EVIDENCE_BASELINES = ("meter_before_after",)


@pytest.fixture
def site_baselines(settings: Any) -> None:
    settings.EVIDENCE_BASELINES = ("caiso_10_in_10", "pjm_same_day_3_2")


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
    read(session, 0, 24 * 59)

    prune(at=61 * 24 * HOUR)

    assert left(session) == [24 * 59]


def test_the_readings_of_an_event_stay_with_two_hours_on_either_side() -> None:
    session = make_session()
    an_event_of_an_hour(session)
    read(session, -3, -1.9, 0.5, 2.9, 3.5)

    prune()

    assert left(session) == [-1.9, 0.5, 2.9]


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


# --- baselines of sites ------------------------------------------------------------------------
# The event is on Wednesday, 1 July 2026, from 18:00 to 19:00. The load of its site is looked at
# from 14:00 to 22:00, on that day and on the working days of the 45 before.


def day(number: float, hour: float) -> float:
    """That many days before the event's, at this hour of the day, as hours after its start."""
    return -24 * number + hour - 18


def neighbour_of(session: Session) -> Session:
    """A car that was at the same site and in no event."""
    return make_session(session.connector, status="ended", started_at=later(day(60, 0) * HOUR),
                        ended_at=later(day(-1, 0) * HOUR))  # fmt: skip


@pytest.fixture
def session() -> Session:
    return make_session(make_connector(make_station(make_site(timezone="UTC"))))


@pytest.mark.usefixtures("site_baselines")
def test_the_hours_stay_that_baselines_of_a_site_look_at(session: Session) -> None:
    neighbour = neighbour_of(session)
    an_event_of_an_hour(session)
    kept = [day(44, 14), day(1, 14), day(1, 22), day(0, 14.5), day(0, 21.5)]
    friday_and_sunday = [day(5, 15), day(3, 15)]
    read(neighbour, day(47, 15), day(1, 13.9), day(1, 22.1), *kept, *friday_and_sunday)

    prune()

    assert left(neighbour) == sorted([*kept, day(5, 15)])


@pytest.mark.usefixtures("site_baselines")
def test_the_hours_are_those_of_the_sites_clock(session: Session) -> None:
    """Before 29 March 18:00 in Lisbon was 18:00 UTC, since then it is 17:00."""
    Site.objects.update(timezone="Europe/Lisbon")
    neighbour = neighbour_of(session)
    event = an_event_of_an_hour(session)
    start, end = at_lisbon(4, 1, 18), at_lisbon(4, 1, 19)
    Event.objects.update(starts_at=start, activated_at=start, ended_at=end, restored_at=end)
    event.participations.update(joined_at=start, released_at=end, restored_at=end, place=None)
    MeterReading.objects.bulk_create(
        MeterReading(session=neighbour, metered_at=at_lisbon(3, 27, hour), power_w=1.0)
        for hour in (13, 14, 21, 23)
    )

    prune()

    assert [
        at.astimezone(LISBON).hour for at in neighbour.readings.values_list("metered_at", flat=True)
    ] == [14, 21]


@pytest.mark.usefixtures("site_baselines")
def test_other_sites_keep_nothing(session: Session) -> None:
    elsewhere = neighbour_of(make_session())
    an_event_of_an_hour(session)
    read(elsewhere, day(1, 18))

    prune()

    assert left(elsewhere) == []


def test_where_no_baseline_of_a_site_is_asked_for_none_of_its_days_is_kept(
    session: Session,
) -> None:
    neighbour = neighbour_of(session)
    an_event_of_an_hour(session)
    read(neighbour, day(1, 18))

    prune()

    assert left(neighbour) == []


@pytest.mark.usefixtures("site_baselines")
def test_an_event_that_has_not_ended_keeps_its_sites_whole_days(session: Session) -> None:
    neighbour = neighbour_of(session)
    story.declare(targets=[{"type": "session", "value": session.external_id}])
    read(neighbour, day(50, 3), day(45, 3), day(0, 3))

    prune()

    assert left(neighbour) == [day(45, 3), day(0, 3)]
