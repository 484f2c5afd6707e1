"""The CSV report is formatted by PostgreSQL: byte for byte what a CSV writer makes of the rows that
the JSON report has."""

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from chargers.models import MeterReading
from chargers.wording import spreadsheet_text
from dr_events import exports
from dr_events.evidence import report_table
from dr_events.evidence.tables import Kind
from tests.dr_events.evidence.told import AUDITOR
from tests.dr_events.story import declare
from tests.fleet import later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

TEXTS = [
    "=1+1", "+49", "-", "-3", "@SUM(A1)", "\tx", "\rx", "'quoted", "a,b", 'say "no"', '"',
    "two\nlines", "two\r\nlines", "\n", " leading and trailing ", "\\.", "\\N", "NULL",
    "Łódź 🚗", "x=1", "ª", "",
]  # fmt: skip
NUMBERS = [
    0.0, -0.0, 1.0, 4200.0, 0.1, 1 / 3, -7.25, 1e-4, 0.00012345, 1e-5, 1.5e-7, 5e-324,
    123456789.12345679, 1e14, 999999999999999.9, 1e15, 1234567890123456.8, 9007199254740993.0,
    9.999999999999998e15, 1e16, 1.2345e18, 1e22, 1.7976931348623157e308, None,
]  # fmt: skip
# Both sides of the hours at which Berlin's clock is changed, and what is cut, never rounded.
TIMES = [
    datetime(2026, 3, 29, 0, 59, 59, 999_999, UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, 0, 1, UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_500, UTC), datetime(2028, 2, 29, 12, 0, 0, 500, UTC),
    None,
]  # fmt: skip


def odd_event():
    """Participations of which each has another text, number and time in every field."""
    rng = random.Random(45)
    numbers = [*NUMBERS, *(rng.lognormvariate(0, 25) for _ in range(40))]
    session = make_session(make_connector(make_station(make_site(timezone="Europe/Berlin"))))
    make_session(session.connector, external_id=",")
    for _ in numbers[2:]:
        make_session(session.connector)
    event = declare(duration="PT10M", external_id='=F12, "odd"')
    parts = list(event.participations.order_by("id"))
    for number, part in enumerate(parts):
        text, at = TEXTS[number % len(TEXTS)], TIMES[number % len(TIMES)]
        part.place = {"site_name": text, "timezone": "Europe/Berlin", "grid_zone": text[::-1],
                      "substation": f"{text}{text}", "feeder": None}  # fmt: skip
        part.reason = text
        part.before_w = numbers[number]
        part.confirmed_value = numbers[-number]
        part.confirmed_unit = "power" if number % 3 else None
        part.first_sent_at = at
        part.accepted_at = later(number / 7)
        part.complied_at = at
        part.binding = bool(number % 2)
        part.save()
    MeterReading.objects.bulk_create(
        MeterReading(session=part.session, metered_at=later(1) + timedelta(microseconds=number),
                     power_w=rng.choice([11.0, 1 / 3, 4200.5]) * number)
        for number, part in enumerate(parts)
    )  # fmt: skip
    return event


def cell(kind, value):
    """As it was when Python wrote each cell."""
    if value is None:
        return ""
    if kind is Kind.TIME:
        at = datetime.fromisoformat(value)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if kind is Kind.BOOLEAN:
        return "true" if value else "false"
    return spreadsheet_text(value) if kind is Kind.TEXT else repr(value)


def test_it_is_byte_for_byte_what_a_csv_writer_makes_of_the_rows_of_the_json_report():
    event = odd_event()
    exported = {
        format_: b"".join(exports.take(event, format_, actor=AUDITOR, now=later(60)).made)
        for format_ in ("json", "csv")
    }
    rows = json.loads(exported["json"])["participations"]

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(report_table.NAMES)
    for row in rows:
        writer.writerow(cell(column.kind, row[column.name]) for column in report_table.COLUMNS)

    lines = text.getvalue().encode()
    assert len(rows) == len(NUMBERS) + 40
    assert exported["csv"].split(b"\r\n") == lines.split(b"\r\n")
    assert {row["reason"] for row in rows} == set(TEXTS)
    assert {row["before_w"] for row in rows} >= set(NUMBERS)


def test_of_an_event_in_which_nobody_takes_part_there_is_the_header():
    event = declare(targets=[{"type": "feeder", "value": "F99"}])

    made = exports.take(event, "csv", actor=AUDITOR, now=later(60)).made

    assert b"".join(made) == f"{','.join(report_table.NAMES)}\r\n".encode()
