"""Baselines of a site from what the database has of its earlier days."""

import io
from datetime import date, timedelta

import pypdf
import pytest

from chargers.models import MeterReading
from dr_events import exports, pruning
from dr_events.evidence.gathering import terms_of
from dr_events.evidence.production import Production
from dr_events.evidence.tables import BASELINES, SITE_HISTORY
from dr_events.models import Participation
from tests.admin.support import make_event
from tests.dr_events.evidence.told import AUDITOR, metered, package_of, verified
from tests.dr_events.story import accept, declare, steer
from tests.fleet import NOW, later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db
DAY_S, HOUR_S = 86_400, 3600


@pytest.fixture
def site(db):
    return make_site(timezone="UTC")


def car_on(site, days_before, watts, *, until_s=4 * HOUR_S):
    """A car from 13:00 to 22:00 of an earlier day; the event is at 18:00."""
    start_s = -days_before * DAY_S - 5 * HOUR_S
    end_s = -days_before * DAY_S + until_s
    session = make_session(make_connector(make_station(site)), started_at=later(start_s))
    type(session).objects.filter(pk=session.pk).update(status="ended", ended_at=later(end_s))
    metered(session, watts, start_s, end_s, every_s=120)
    return session


def rows_of(event, *, after_s=DAY_S):
    """Rows of `baselines` by method, and of `site_history`."""
    terms = terms_of(event, now=later(after_s))
    rows = list(Production(event, terms, lambda _: None).rows())
    found = {row.method: row for table, row in rows if table is BASELINES}
    return found, [row for table, row in rows if table is SITE_HISTORY]


def event_at(site, *, lasts_s=1200, swept_late_s=0.0):
    """Twenty minutes at 4.2 kW for a car of 11 kW, which came at 13:00 and complies. The sweep
    ends it, at its time or so many seconds late."""
    session = make_session(make_connector(make_station(site)), started_at=later(-5 * HOUR_S))
    metered(session, 11_000.0, -5 * HOUR_S, 0, every_s=120)
    event = declare(duration=f"PT{lasts_s}S")
    accept(1)
    metered(session, 4_000.0, 1, lasts_s)
    steer(lasts_s + swept_late_s)
    accept(lasts_s + swept_late_s + 1)
    metered(session, 11_000.0, lasts_s + 2, 4 * HOUR_S + 240, every_s=120)
    event.refresh_from_db()
    return event


def test_the_methods_find_their_days_and_leave_out_those_of_events_and_outages(site):
    for days_before in range(1, 18):
        car_on(site, days_before, 10_000.0)
    held = make_event()
    Participation.objects.create(
        event=held,
        session=site.chargestations.order_by("id")[0].sessions.get(),  # yesterday's
        joined_at=NOW - timedelta(days=1),
        released_at=NOW - timedelta(days=1) + timedelta(minutes=10),
    )
    MeterReading.objects.filter(  # 26 June: half an hour is missing
        metered_at__gte=later(-5 * DAY_S), metered_at__lt=later(-5 * DAY_S + 1800)
    ).delete()

    found, history = rows_of(event_at(site))

    caiso, pjm = found["caiso_10_in_10"], found["pjm_high_4_of_5"]
    assert caiso.days_excluded == "2026-06-30:event 2026-06-26:outage"
    assert (len(caiso.days_used.split()), caiso.days_short, caiso.problem) == (10, 0, "")
    # 10 kW on the ten days; 11 kW before the event: 1.1 times, or 1 kW more.
    assert caiso.adjustment == pytest.approx(1.1)
    assert caiso.baseline_kwh == pytest.approx(11 / 3, abs=1e-3)
    assert pjm.adjustment == pytest.approx(1000, abs=1)
    assert pjm.baseline_kwh == pytest.approx(11 / 3, abs=1e-3)
    assert found["pjm_same_day_3_2"].baseline_kwh == pytest.approx(11 / 3, abs=1e-3)
    # 4 kW, and the straight lines from 11 in the first second and to 11 in the last 29.
    lines_kws = 3.5 + 7 / 31 * 29**2 / 2
    assert caiso.metered_kwh == pytest.approx(4 / 3 + lines_kws / 3600, abs=1e-4)
    assert len({row.starts_at for row in history}) == len(history)
    assert {row.energy_wh for row in history if row.completeness_percent == 100} >= {2500.0}


def test_holidays_are_named_in_every_format_that_has_baselines_and_the_package_verifies(
    site, settings, tmp_path, transactional_db
):
    settings.BASELINE_HOLIDAYS = (date(2026, 6, 29), date(2026, 12, 25))
    for days_before in range(1, 18):
        car_on(site, days_before, 10_000.0)
    event = event_at(site)

    found, history = rows_of(event)

    assert found["caiso_10_in_10"].days_excluded == "2026-06-29:holiday"
    assert len(found["caiso_10_in_10"].days_used.split()) == 10
    assert date(2026, 6, 29) not in {row.starts_at.date() for row in history}
    status, said = verified(package_of(event, tmp_path / "package.zip", after_s=DAY_S))
    assert status == 0, said
    assert '"holidays":["2026-06-29","2026-12-25"]' in said
    pdf = b"".join(exports.take(event, "pdf", actor=AUDITOR, now=later(DAY_S)).made)
    text = pypdf.PdfReader(io.BytesIO(pdf)).pages[1].extract_text()
    assert "Left out of earlier working days as holidays: 2026-06-29." in text


def test_a_site_without_earlier_days_says_how_many_are_short(site):
    found, history = rows_of(event_at(site))

    assert (found["caiso_10_in_10"].problem, found["caiso_10_in_10"].days_short) == (
        "too_few_days", 10,
    )  # fmt: skip
    assert {row.starts_at.date() for row in history} == {NOW.date()}


def test_an_event_is_over_at_its_end_though_the_sweep_comes_a_moment_later(site):
    # 18:00 to 19:00: the same day's hours are 14 to 17 and 20 to 22. An hour later would be 23:00,
    # and the car is metered until 22:04.
    for days_before in range(1, 10):
        car_on(site, days_before, 10_000.0)

    found, history = rows_of(event_at(site, lasts_s=HOUR_S, swept_late_s=0.7))

    same_day = found["pjm_same_day_3_2"]
    assert (same_day.problem, same_day.baseline_kwh) == ("", pytest.approx(11.0, abs=1e-3))
    assert found["caiso_10_in_10"].baseline_kwh == pytest.approx(11.0, abs=0.02)
    assert all(row.starts_at.timestamp() % 900 == 0 for row in history)


def test_an_event_that_ends_long_after_its_time_was_on_until_then(site):
    # Nobody swept until 19:05, and so long the car was held: the event's last hour is 19 to 20.
    found, history = rows_of(event_at(site, lasts_s=HOUR_S, swept_late_s=300))

    assert found["pjm_same_day_3_2"].problem == "not_metered_around"
    assert later(HOUR_S + 300) in {row.starts_at for row in history}


def test_an_event_longer_than_a_day_has_each_quarter_once(site):
    # From 18:00 to 18:00 of the next day: what is looked at of yesterday reaches to 21:00 of today.
    came_s = -DAY_S - 5 * HOUR_S
    session = make_session(make_connector(make_station(site)), started_at=later(came_s))
    metered(session, 10_000.0, came_s, 2 * DAY_S, every_s=120)
    event = declare(duration="P1D")
    accept(1)
    steer(DAY_S)
    event.refresh_from_db()

    found, history = rows_of(event, after_s=2 * DAY_S)

    assert len({row.starts_at for row in history}) == len(history)
    assert [row.starts_at for row in history] == sorted(row.starts_at for row in history)
    assert found["caiso_10_in_10"].metered_kwh == pytest.approx(240.0)


def test_a_quarter_without_any_car_is_a_true_zero(site):
    car_on(site, 1, 10_000.0, until_s=0)  # left at 18:00

    _, history = rows_of(event_at(site))

    after = [
        row for row in history if NOW - timedelta(days=1) < row.starts_at < NOW - timedelta(hours=8)
    ]
    assert after
    assert {(row.energy_wh, row.completeness_percent) for row in after} == {(0.0, 100.0)}


def test_baselines_are_the_same_after_old_readings_were_pruned(site, settings):
    settings.METER_READINGS_KEPT_DAYS = 60
    for days_before in range(1, 18):
        car_on(site, days_before, 10_000.0)
    event = event_at(site)
    before = rows_of(event)

    gone = pruning.prune_readings(now=later(400 * DAY_S))

    assert gone > 0
    assert rows_of(event) == before
