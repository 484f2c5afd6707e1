"""Every format opens in what people open it with, and tells the same figures."""

import io
import json
from datetime import UTC
from types import SimpleNamespace

import openpyxl
import pyarrow.parquet as pq
import pypdf
import pytest
from reportlab.graphics.shapes import PolyLine

from dr_events import exports, intake
from dr_events.evidence import report_table, sheets
from dr_events.evidence.pdf_chart import load_chart
from tests.dr_events.evidence.told import AUDITOR, told_event
from tests.dr_events.story import OPERATOR, accept, declare, leave, meter, steer
from tests.fleet import later, make_session

pytestmark = pytest.mark.django_db


def exported(event, format_, *, at=7200):
    return b"".join(exports.take(event, format_, actor=AUDITOR, now=later(at)).made)


@pytest.fixture
def event(db):
    return told_event()[0]


def parquet(event):
    return pq.read_table(io.BytesIO(exported(event, "parquet")))


def workbook(event):
    return openpyxl.load_workbook(io.BytesIO(exported(event, "xlsx")))


def rows_of(sheet):
    head, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


def text_of(event):
    pages = pypdf.PdfReader(io.BytesIO(exported(event, "pdf"))).pages
    return [" ".join(page.extract_text().split()) for page in pages]


def test_json_parquet_and_xlsx_have_the_same_participations(event):
    from_json = json.loads(exported(event, "json"))["participations"]
    from_parquet = parquet(event).to_pylist()
    from_xlsx = rows_of(workbook(event)["Participations"])

    names = [name for name in report_table.REPORT.names if not name.endswith("_at")]
    for name in names:
        values = [row[name] or None for row in from_json]
        assert values == [row[name] or None for row in from_parquet], name
        assert values == [row[name] or None for row in from_xlsx], name
    assert [row["outcome"] for row in from_json] == ["complied", "exempt"]


def test_json_keeps_what_it_had_and_adds_the_performance_at_the_end(event):
    report = json.loads(exported(event, "json"))

    assert list(report)[-2:] == ["participations", "performance"]
    assert list(report["participations"][0])[: len(report_table.NAMES)] == report_table.NAMES
    summary = report["performance"]["summary"]
    assert summary["delivered_kwh"] == {"value": pytest.approx(7 / 3, abs=0.01), "unit": "kWh"}
    assert report["performance"]["method"]["grade"] == "not settlement grade"
    assert report["fields"]["delivered_kwh"]


def test_parquet_is_typed_and_says_what_its_columns_mean(event):
    table = parquet(event)

    assert str(table.schema.field("accepted_at").type) == "timestamp[us, tz=UTC]"
    assert table.schema.field("delivered_kwh").metadata[b"meaning"].endswith(b"kWh")
    assert json.loads(table.schema.metadata[b"event"])["external_id"] == "F12-0142"
    assert table.column("accepted_at").to_pylist() == [
        later(1),
        None,
    ]


def test_xlsx_has_typed_cells_charts_and_no_formulas(event):
    book = workbook(event)

    assert book.sheetnames[0] == "Summary"
    assert {"Participations", "Sites", "Load", "Intervals", "Baselines", "Dictionary"} <= set(
        book.sheetnames
    )
    first = rows_of(book["Participations"])[0]
    assert first["accepted_at"].replace(tzinfo=UTC) == later(1)
    assert first["site_name"] == "=HYPERLINK(1)"
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    assert len(book["Summary"]._charts) == 2
    said = {row[0].value: row[1].value for row in book["Summary"].iter_rows()}
    assert said["participations"] == 2
    assert said["delivered kwh"] == pytest.approx(7 / 3, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "<r><t>x</t></r>",
        "a & b <c>",
        " both sides ",
        "two\nlines",
        "Łódź 🚗",
        '"',
        "'=1",
        "-",
        "1e5",
    ],
)
def test_xlsx_shows_any_text_as_it_is(event, text):
    event.participations.update(reason=text)

    rows = rows_of(workbook(event)["Participations"])

    assert [row["reason"] for row in rows] == [text, text]


def test_a_table_too_long_for_a_sheet_goes_on_in_the_next(event, monkeypatch):
    monkeypatch.setattr(sheets, "MOST_ROWS", 11)

    book = workbook(event)

    assert [book[name].max_row for name in book.sheetnames if name.startswith("Intervals")] == [
        11, 11, 11, 11, 5,
    ]  # fmt: skip


def test_pdf_tells_the_order_the_outcome_the_method_and_the_seal_on_two_pages(event):
    first, second = text_of(event)

    assert "Feeder F12 overload" in first
    assert "4,200 W (per session)" in first
    assert "2: 1 complied, 1 exempt" in first
    assert "ordered 2.27 kWh, delivered 2.33 kWh (7.0 kW on average): 102.9 %" in first
    assert "Metered counts all 2 sessions; baseline and order, the 1 that have one." in first
    assert "None: every session complied" in second
    assert "Meter before / meter after" in second
    assert "not settlement grade" in second
    assert "public key" in second


def test_what_was_ordered_before_it_was_amended_is_told(event):
    event = declare(duration="PT45M", name="Feeder F12, again")
    change = {"limit": {"kind": "per_session", "unit": "power", "value": 1400}}
    intake.amend(event.pk, {**change, "duration": "PT1H"}, actor=OPERATOR, now=later(60))
    event.refresh_from_db()

    [amended] = json.loads(exported(event, "json"))["event"]["amendments"]
    first = text_of(event)[0]

    assert (amended["at"], amended["by"]) == ("2026-07-01T18:01:00.000Z", "user:operator")
    assert amended["before"]["limit"]["value"] == 4200
    assert amended["after"]["limit"]["value"] == 1400
    assert "2026-07-01 18:01:00 UTC by user:operator: " in first
    assert "limit 4,200 W (per session) to 1,400 W (per session)" in first
    assert "ends at 2026-07-01 18:45:00 UTC to 2026-07-01 19:00:00 UTC" in first


def test_the_baseline_is_drawn_at_its_power_where_the_event_has_part_of_an_interval():
    """12 kW all the time, and an event that begins in the middle of five minutes."""
    row = SimpleNamespace(
        starts_at=later(0), metered_kw=12.0, baseline_kwh=12 * 150 / 3600, ordered_kwh=0.0
    )
    began_s = later(150).timestamp()

    drawing = load_chart([row], step_s=300, period=(began_s, began_s + 3600), width=400)

    metered, baseline, _ = (shape for shape in drawing.contents if isinstance(shape, PolyLine))
    assert baseline.points == pytest.approx(metered.points)


def test_pdf_names_who_complied_or_left_after_it_had_ignored_its_limit():
    complied, fine, left, fine_too = (make_session() for _ in range(4))
    event = declare(duration="PT20M")
    accept(1)
    for at in (30, 150):
        meter(fine, 4_000.0, at)
        meter(fine_too, 4_000.0, at)
        meter(complied, 11_000.0, at)
        meter(left, 11_000.0, at)
    meter(complied, 4_000.0, 300)
    leave(left, 400)
    steer(1200)

    second = text_of(event)[1]
    [was, other, gone, another] = json.loads(exported(event, "json"))["participations"]

    assert "None: every session" not in second
    assert second.count("non-responsive at 2026-07-01 18:02:30 UTC") == 2
    for one in (complied, left):
        assert one.external_id in second
    for one in (fine, fine_too):
        assert one.external_id not in second
    assert (other["non_responsive_at"], another["non_responsive_at"]) == (None, None)
    assert (was["state"], was["reason"], gone["reason"]) == ("confirmed", "", "session_ended")
    assert was["non_responsive_at"] == gone["non_responsive_at"] == "2026-07-01T18:02:30Z"


def test_pdf_claims_nothing_of_sessions_that_are_pending_or_not_there():
    empty = declare(targets=[{"type": "feeder", "value": "F99"}])
    make_session()
    running = declare()

    for event, said in (
        (empty, "None: no session has taken part."),
        (running, "None so far: 1 of 1 participations are still pending."),
    ):
        second = text_of(event)[1]
        assert said in second
        assert "every session complied" not in second


@pytest.mark.parametrize("format_", ["json", "csv", "xlsx", "pdf", "parquet", "package"])
@pytest.mark.parametrize("starts", [0, 3600])
def test_every_format_can_tell_of_an_event_in_which_nobody_takes_part(format_, starts):
    event = declare(
        starts_at=later(starts).isoformat(), duration="PT10M", name="<Łódź & co>",
        targets=[{"type": "feeder", "value": "F99"}],
    )  # fmt: skip

    assert exported(event, format_, at=60)


@pytest.mark.parametrize("format_", ["json", "xlsx", "pdf", "parquet", "package"])
def test_a_running_event_is_told_as_far_as_it_has_got(format_):
    make_session()
    event = declare()
    accept(1)

    assert exported(event, format_, at=300)
