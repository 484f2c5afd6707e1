"""The event report over REST: complete, and the same as ever once the event is over."""

import csv
import io
import json

import pytest

from chargers.models import AuditEntry, MeterReading
from tests.clients import problem
from tests.dr_events.story import accept, declare, leave, meter, steer
from tests.fleet import later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db


def body_of(response):
    return b"".join(response.streaming_content)


def test_the_report_has_a_row_a_participation_and_counts_that_add_up(api):
    site = make_site(feeder="F12", name="=HYPERLINK(1)")
    session = make_session(make_connector(make_station(site)))
    make_session(exempt=True)
    event = declare(external_id="F12-0142", duration="PT10M")
    accept(1)
    meter(session, 4000.0, 30)
    steer(600)
    accept(601)

    as_json = api.get(f"events/{event.id}/report/", format="json")
    report = json.loads(body_of(as_json))
    as_csv = api.get(f"events/{event.id}/report/", format="csv")
    rows = list(csv.DictReader(io.StringIO(body_of(as_csv).decode())))

    counts = report["counts"]
    assert counts["targeted"] == len(report["participations"]) == len(rows) == 2
    assert counts["targeted"] == sum(
        counts[state] for state in ("confirmed", "failed", "unreachable", "exempt", "ended")
    )
    assert report["event"]["status"] == "completed"
    assert report["event"]["reference"] == {"power_w": 22_000, "sessions": 2, "unmetered": 0}
    assert report["reasons"] == [{"state": "exempt", "reason": "exempt_session", "sessions": 1}]
    assert report["seconds_to_accepted"] == {"p50": 1.0, "p95": 1.0}
    row = next(row for row in rows if row["session"] == session.external_id)
    assert (row["state"], row["confirmed_unit"], row["confirmed_value"]) == (
        "confirmed",
        "power",
        "4200.0",
    )
    assert (row["seconds_to_accepted"], row["seconds_to_complied"]) == ("1.0", "30.0")
    assert row["restored_at"] == "2026-07-01T18:10:01.000Z"
    assert row["site_name"] == "'=HYPERLINK(1)"  # no formula for a spreadsheet
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert AuditEntry.objects.filter(action="report.exported", actor="client:scada").count() == 2


@pytest.mark.parametrize("format_", ["docx", "zip", ""])
def test_a_format_there_is_not_is_said_so(api, format_):
    event = declare()

    errors = problem(api.get(f"events/{event.id}/report/", format=format_), 400)

    assert set(errors) == {"format"}


def test_a_report_of_what_is_over_stays_as_it_was(api):
    session = make_session()
    event = declare(duration="PT10M")
    accept(1)
    meter(session, 4100.0, 30)
    steer(600)
    accept(601)
    first = api.get(f"events/{event.id}/report/")
    told = json.loads(b"".join(first.streaming_content))["participations"][0]
    assert (told["metered_w"], told["state"]) == (4100.0, "confirmed")

    meter(session, 11_000.0, 900)

    again = api.get(f"events/{event.id}/report/")
    assert json.loads(b"".join(again.streaming_content))["participations"][0] == told


def metered_of(api, event):
    report = json.loads(body_of(api.get(f"events/{event.id}/report/")))
    [told] = report["participations"]
    return told["metered_w"], told["metered_at"]


@pytest.mark.parametrize(
    ("readings", "metered"),
    [
        ([(-60, {"power_w": 11_000.0})], (None, None)),  # before it came in
        ([(30, {"power_w": 4000.0}), (700, {"power_w": 11_000.0})], (4000.0, 30)),  # after it
        ([(30, {"power_w": 4000.0}), (60, {"meter_wh": 5.0})], (4000.0, 30)),
        ([(30, {"power_w": 4000.0}), (60, {"current_a": 6.0})], (4140.0, 60)),
        ([(30, {"power_w": 0.0, "current_a": 6.0})], (0.0, 30)),
    ],
)
def test_the_latest_draw_is_that_of_a_reading_in_the_event_that_tells_one(api, readings, metered):
    session = make_session()
    event = declare(duration="PT10M")
    accept(1)
    for at_s, told in readings:
        MeterReading.objects.create(session=session, metered_at=later(at_s), **told)
    steer(600)
    accept(601)

    power_w, at_s = metered
    at = at_s and later(at_s).isoformat().replace("+00:00", "Z")
    assert metered_of(api, event) == (power_w, at)


def test_the_report_says_what_its_two_figures_called_complied_are(api):
    session = make_session()
    event = declare(duration="PT10M")
    accept(1)
    meter(session, 4000.0, 30)
    leave(session, 60)
    steer(600)

    report = json.loads(body_of(api.get(f"events/{event.id}/report/")))

    assert report["counts"]["complied"] == 1
    summary = report["performance"]["summary"]
    assert (summary["complied"]["value"], summary["left"]["value"]) == (0, 1)
    assert "also where they left" in report["fields"]["counts.complied"]
    assert "who left" in report["fields"]["performance.summary.complied"]
