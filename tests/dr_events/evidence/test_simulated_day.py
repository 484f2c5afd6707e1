"""A day of which the truth is known: cars of the simulator's own physics, and what the report
says of them. The car's book is its true energy, second by second from half an hour before the
event; the report has only a reading
every half minute, with the meter's noise."""

import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from chargers.models import MeterReading, Session
from chargers.simulator.cars import Car, Draw, Limit, Outlet, any_car
from dr_events.evidence.gathering import terms_of
from dr_events.evidence.production import Production
from dr_events.evidence.tables import INTERVALS, PERFORMANCE
from tests.dr_events.story import accept, declare, steer
from tests.fleet import later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

OUTLET = Outlet(phases=3, voltage_v=230.0, max_current_a=32.0)
NOISE = 0.01
# The day begins at midnight UTC; NOW of the story is 18:00, when the event begins.
MIDNIGHT_S = -18 * 3600
BOOK_FROM_S = -2000
EVENT_S, ACCEPTED_S, RESTORED_S = 45 * 60, 2, 45 * 60 + 3


@dataclass
class Visit:
    """One car's stay, with its true energy by the second."""

    session: Session
    draw: Draw
    start_s: int
    end_s: int
    first_report_s: int
    book_wh: dict[int, float] = field(default_factory=dict)

    def true_kwh(self, start_s: int, end_s: int) -> float:
        start_s, end_s = max(start_s, self.start_s), min(end_s, self.end_s)
        return (self.book_wh[end_s] - self.book_wh[start_s]) / 1000


def visits(rng: random.Random) -> list[Visit]:
    """Cars that come and go; some of them are there when the event begins."""
    found = []
    for number in range(24):
        station = make_station(make_site(timezone="Europe/Berlin"))
        start_s = rng.randrange(MIDNIGHT_S, -1900) if number % 3 else rng.randrange(-7200, -1900)
        end_s = min(start_s + rng.randrange(2 * 3600, 10 * 3600), 7500)
        session = make_session(
            make_connector(station), started_at=later(start_s), power_w=None, metered_at=None
        )
        car = any_car(rng, OUTLET)
        long = Car(car.phases, car.max_current_a, car.max_power_w, 10 * car.battery_wh,
                   car.lag_s, car.ramp_s)  # fmt: skip
        draw = Draw(OUTLET, long, stored_wh=0.0, at_s=float(start_s))
        found.append(Visit(session, draw, start_s, end_s, rng.randrange(30)))
    return found


def live(visit: Visit, rng: random.Random, limits: dict[int, Limit | None]) -> None:
    """Let the car charge through its stay, under the limits that its station was told at those
    seconds, and store what its meter says every half minute."""
    readings = []
    visit.draw.follow(None, now_s=float(visit.start_s))
    for at_s in seconds_of(visit):
        visit.draw.advance(float(at_s))
        visit.book_wh[at_s] = visit.draw.energy_wh
        if at_s in limits:
            visit.draw.follow(limits[at_s], now_s=float(at_s))
        if (at_s - visit.start_s) % 30 == visit.first_report_s:
            power_w = visit.draw.power_w(float(at_s)) * (1 + rng.uniform(-NOISE, NOISE))
            readings.append(
                MeterReading(session=visit.session, metered_at=later(at_s), power_w=power_w)
            )
    MeterReading.objects.bulk_create(readings)


def seconds_of(visit: Visit) -> list[int]:
    """Every second around the event; before that, those at which the meter reports."""
    reports_at = range(visit.start_s + visit.first_report_s, visit.end_s + 1, 30)
    around = range(max(visit.start_s, BOOK_FROM_S), visit.end_s + 1)
    return sorted({*(at_s for at_s in reports_at if at_s < BOOK_FROM_S), *around})


@pytest.fixture
def day(db):
    rng = random.Random(2026)
    cars = visits(rng)
    for visit in cars:
        limits = {ACCEPTED_S: Limit("power", 4200.0), RESTORED_S: None}
        live(visit, rng, limits)
    gone = [visit for visit in cars if visit.end_s <= 0]
    _end(gone)
    for visit in cars:
        last = visit.session.readings.filter(metered_at__lte=later(0)).latest("metered_at")
        Session.objects.filter(pk=visit.session.pk).update(
            power_w=last.power_w, metered_at=last.metered_at
        )
    event = declare(duration="PT45M")
    accept(ACCEPTED_S)
    leaving = sorted((v for v in cars if 0 < v.end_s <= EVENT_S), key=lambda v: v.end_s)
    for visit in leaving:
        _end([visit])
        steer(visit.end_s)
    steer(EVENT_S)
    accept(RESTORED_S)
    _end([visit for visit in cars if visit.end_s > EVENT_S])
    event.refresh_from_db()
    return event, cars


def _end(cars: list[Visit]) -> None:
    for visit in cars:
        Session.objects.filter(pk=visit.session.pk).update(
            status="ended", ended_at=later(visit.end_s), may_be_limited=False
        )


def rows_of(event, table):
    terms = terms_of(event, now=later(2 * 86_400))
    found = Production(event, terms, lambda _: None).rows()
    return [row for of, row in found if of is table]


def test_energies_are_within_one_percent_of_the_truth_and_times_are_exact(day):
    event, cars = day
    by_session = {row.session: row for row in rows_of(event, PERFORMANCE)}
    present = [visit for visit in cars if visit.end_s > 0]

    assert len(by_session) == len(present) >= 12
    true_kwh = metered_kwh = true_delivered = delivered = 0.0
    for visit in present:
        row = by_session[visit.session.external_id]
        until_s = min(EVENT_S, visit.end_s)
        assert row.event_s == until_s
        assert row.seconds_to_accepted == ACCEPTED_S
        assert row.completeness_percent > 97
        true_kwh += visit.true_kwh(0, until_s)
        metered_kwh += row.metered_kwh
        before_kw = visit.true_kwh(-600, 0) * 6
        true_delivered += before_kw * until_s / 3600 - visit.true_kwh(0, until_s)
        delivered += row.delivered_kwh
    assert metered_kwh == pytest.approx(true_kwh, rel=0.01)
    assert delivered == pytest.approx(true_delivered, rel=0.01)
    restored = {row.seconds_to_restored for row in by_session.values()} - {None, 0.0}
    assert restored == {RESTORED_S - EVENT_S}


def test_every_interval_of_the_day_that_is_told_is_near_the_truth(day):
    event, cars = day
    visit = next(visit for visit in cars if visit.end_s > 2 * EVENT_S)
    rows = [row for row in rows_of(event, INTERVALS) if row.quality == "ok"]
    number = next(
        row.participation
        for row in rows_of(event, PERFORMANCE)
        if row.session == visit.session.external_id
    )

    for row in (row for row in rows if row.participation == number):
        start_s = round((row.starts_at - later(0)) / timedelta(seconds=1))
        end_s = round((row.ends_at - later(0)) / timedelta(seconds=1))
        truth_wh = visit.true_kwh(start_s, end_s) * 1000
        # A limit that comes in between two readings is seen half a minute late at most.
        slack_wh = 22_080 * 30 / 3600 / 2 if row.phase != "before" else 0.0
        assert row.energy_wh == pytest.approx(truth_wh, rel=0.012, abs=slack_wh + 0.02 * truth_wh)


def test_a_car_that_leaves_gives_no_energy_after_it_has_left(day):
    event, cars = day
    left = [visit for visit in cars if 0 < visit.end_s <= EVENT_S]
    rows = {row.session: row for row in rows_of(event, PERFORMANCE)}

    for visit in left:
        row = rows[visit.session.external_id]
        assert row.outcome == "left"
        assert row.rebound_kwh is None
