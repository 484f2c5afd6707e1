"""Days of 23 and 25 hours, midnight, and clocks that are ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest
from django.utils import timezone

from chargers import inbox
from chargers.admin.parts import moment_at
from chargers.electricity import Limit, Unit
from chargers.models import ChargeStation, MeterReading, Session, WebhookDelivery
from dr_events import intake, opt_outs, reconciliation
from dr_events.models import Event
from tests.dr_events.story import OPERATOR, accept, declaration, declare, held_to, send, steer
from tests.fleet import later, make_connector, make_session, make_station

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = timedelta(seconds=1)

# In local time, with its offset: the hour from 02:00 to 03:00 is told twice, or not at all.
NIGHTS = {
    "the night of 25 hours": ("2026-10-24T23:30:00+02:00", "2026-10-25T02:30:00+01:00"),
    "the night of 23 hours": ("2026-03-28T23:30:00+01:00", "2026-03-29T04:30:00+02:00"),
    "a night like any other": ("2026-07-01T23:30:00+02:00", "2026-07-02T03:30:00+02:00"),
    "the turn of the year": ("2026-12-31T23:30:00+01:00", "2027-01-01T03:30:00+01:00"),
    "a leap day": ("2028-02-28T23:30:00+01:00", "2028-02-29T03:30:00+01:00"),
}


@pytest.mark.parametrize(("starts_at", "ends_at"), NIGHTS.values(), ids=NIGHTS)
def test_four_hours_are_four_hours_whatever_the_clock_on_the_wall_says(starts_at, ends_at):
    begin, end = datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at)
    make_session(started_at=begin - timedelta(hours=2))
    said = declaration(starts_at=starts_at, duration="PT4H")
    event = intake.declare(said, actor=OPERATOR, now=begin - timedelta(hours=1)).event

    assert (event.ends_at - event.starts_at, event.ends_at) == (timedelta(hours=4), end)
    assert [status_at(event, moment) for moment in (begin - SECOND, begin, end - SECOND, end)] == [
        "scheduled", "active", "active", "completed",
    ]  # fmt: skip


def steer_at(moment: datetime) -> None:
    reconciliation.steer(clock=lambda: moment)


def status_at(event: Event, moment: datetime) -> str:
    steer_at(moment)
    event.refresh_from_db()
    return event.status


def test_steps_change_by_the_time_that_has_passed_and_not_by_the_clock_on_the_wall():
    session = make_session(started_at=datetime(2026, 10, 24, tzinfo=UTC))
    begin = datetime.fromisoformat("2026-10-25T02:30:00+02:00")
    four, nine = ({"kind": "per_session", "unit": "power", "value": w} for w in (4200, 9000))
    intervals = [{"duration": "PT1H", "limit": four}, {"duration": "PT1H", "limit": nine}]
    said = declaration(starts_at=begin.isoformat(), intervals=intervals)
    del said["limit"]
    intake.declare(said, actor=OPERATOR, now=begin - SECOND)

    # 02:30 comes again after an hour.
    again = datetime.fromisoformat("2026-10-25T02:30:00+01:00")
    wanted = []
    for moment in (begin, again - SECOND, again):
        steer_at(moment)
        wanted.append(held_to(session)[0])

    assert wanted == [Limit(Unit.POWER, 4200), Limit(Unit.POWER, 4200), Limit(Unit.POWER, 9000)]


def test_the_hour_that_is_told_twice_is_shown_with_its_offset(settings):
    settings.TIME_ZONE = "UTC"
    first = datetime.fromisoformat("2026-10-25T02:30:00+02:00").astimezone(UTC)

    shown = [moment_at(first + timedelta(hours=hours), "Europe/Berlin") for hours in (0, 1)]

    assert "02:30:00 CEST (+02:00)" in shown[0]
    assert "02:30:00 CET (+01:00)" in shown[1]


def test_the_year_of_an_opt_out_budget_begins_at_midnight_where_the_gateway_is(settings):
    settings.OPT_OUTS_A_YEAR = 1
    midnight = datetime(2027, 1, 1, tzinfo=BERLIN)
    session = make_session(started_at=midnight - timedelta(days=1))
    event = intake.declare(declaration(), actor=OPERATOR, now=midnight - timedelta(hours=2)).event
    said = {"type": "session", "value": session.external_id}
    with timezone.override(BERLIN):
        out = opt_outs.opt_out(event.pk, said, actor=OPERATOR, now=midnight - SECOND).opt_out

        assert opt_outs.budget(out.budget_of, now=midnight - SECOND).is_spent
        assert not opt_outs.budget(out.budget_of, now=midnight).is_spent


# --- clocks that are ahead ------------------------------------------------------------------


def hear(type_: str, data: dict[str, object], *, stamped: datetime, at: datetime) -> None:
    """A webhook that says of itself that it was made at `stamped` is applied at `at`."""
    body = {"_id": f"{type_} {stamped}", "type": type_, "data": data,
            "createdAt": stamped.isoformat()}  # fmt: skip
    WebhookDelivery.objects.create(
        external_id=body["_id"], type=type_, body=orjson.dumps(body), received_at=at
    )
    inbox.apply_batch(now=at)


def reading(session: Session, watts: float, stamped: datetime) -> dict[str, object]:
    report = {"timestamp": stamped.isoformat(), "power": {"value": watts / 1000, "unit": "kW"}}
    return {"_id": session.external_id, "status": "Started", "energy_report": report}


def test_a_reading_from_the_future_is_taken_for_now_and_outlives_no_later_one():
    session = make_session()

    hear("session.updated", reading(session, 9000, later(7200)), stamped=later(7200), at=later(10))
    hear("session.updated", reading(session, 4000, later(40)), stamped=later(40), at=later(40))

    session.refresh_from_db()
    assert session.power_w == 4000
    assert not MeterReading.objects.filter(metered_at__gt=later(100)).exists()


def test_a_station_that_was_offline_in_the_future_is_back_when_it_says_so():
    station = make_station()
    make_session(make_connector(station))

    hear("chargestation.offline", {"_id": station.external_id}, stamped=later(7200), at=later(0))
    hear("chargestation.online", {"_id": station.external_id}, stamped=later(90), at=later(90))

    assert ChargeStation.objects.get(pk=station.pk).online


def test_an_answer_stamped_in_the_future_confirms_and_never_overtakes():
    session = make_session()
    declare()
    [claimed] = send(1)
    data = {"_id": f"action-{claimed.attempt_id}", "status": "completed",
            "updatedAt": later(7200).isoformat()}  # fmt: skip
    hear("session.set_power_limit.completed", data, stamped=later(7200), at=later(2))
    steer(2)
    event = Event.objects.get()
    intake.end(event.pk, actor=OPERATOR, now=later(10))
    steer(10)
    accept(11)
    steer(12)

    event.refresh_from_db()
    assert (event.status, held_to(session)) == ("completed", (None, None))


def test_a_session_that_ended_in_the_future_has_ended():
    session = make_session()
    data = {"_id": session.external_id, "status": "Ended",
            "metrics": {"chargingStop": later(7200).isoformat()}}  # fmt: skip

    hear("session.ended", data, stamped=later(7200), at=later(5))

    session.refresh_from_db()
    assert (session.status, session.may_be_limited) == ("ended", False)
