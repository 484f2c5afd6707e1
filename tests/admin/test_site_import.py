"""Sites as CSV, out and in: by the admin, by `manage.py import`, and from code."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from chargers.audit import Actor
from chargers.models import AuditEntry, SessionNews, Site
from chargers.resources import SiteCsv, SiteResource
from tests.admin.support import address, hidden_of, messages_of, page_of, text_of
from tests.fleet import make_connector, make_session, make_site, make_station

IMPORT = address(Site, "import")
CONFIRM = address(Site, "process_import")
HEADING = "external_id,name,timezone,grid_zone,substation,feeder,voltage_v,exempt,exempt_reason"


def upload(client: Client, *lines: str) -> Any:
    file = SimpleUploadedFile("sites.csv", "\n".join(lines).encode(), "text/csv")
    return client.post(IMPORT, {"import_file": file, "format": "0", "resource": "0"})


def confirm(client: Client, previewed: Any) -> Any:
    return client.post(CONFIRM, hidden_of(previewed))


def take(*lines: str, **kwargs: Any) -> Any:
    dataset = SiteCsv().create_dataset("\n".join(lines))
    return SiteResource(actor=Actor("user:anyone")).import_data(dataset, **kwargs)


def test_the_export_has_the_grid_place_of_every_site(operator: Client) -> None:
    make_site(
        external_id="loc_1", name="Depot", timezone="Europe/Berlin", grid_zone="North",
        substation="S3", feeder="F12", exempt=True, exempt_reason="hospital",
    )  # fmt: skip

    export = operator.get(address(Site, "export"))

    assert export.headers["Content-Type"] == "text/csv"
    assert export.content.decode().splitlines() == [
        HEADING,
        "loc_1,Depot,Europe/Berlin,North,S3,F12,230,true,hospital",
    ]


TEXTS = ("external_id", "name", "grid_zone", "substation", "feeder", "exempt_reason")


def test_an_export_is_no_trap_for_a_spreadsheet(operator: Client) -> None:
    make_site(**{field: f"=cmd|' /C {field}'!A0" for field in TEXTS}, exempt=True)

    exported = operator.get(address(Site, "export")).content.decode()

    for field in TEXTS:
        assert f"'=cmd|' /C {field}'" in exported


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "'", "'=", "''-", "'s-", "''"])
def test_an_export_can_be_imported_again_and_changes_nothing(operator: Client, begin: str) -> None:
    make_site(**{field: f"{begin}{field}" for field in TEXTS}, exempt=True)
    make_site(external_id=begin)
    before = list(Site.objects.values())
    exported = operator.get(address(Site, "export")).content.decode().splitlines()

    result = take(*exported)

    assert (result.totals["skip"], result.totals["new"]) == (2, 0)
    assert list(Site.objects.values()) == before
    Site.objects.all().delete()
    take(*exported)
    written = [{**site, "id": None, "address": ""} for site in Site.objects.values()]
    assert written == [{**site, "id": None, "address": ""} for site in before]


def test_a_row_is_there_twice_whether_its_id_is_marked_as_text_or_not(db: None) -> None:
    result = take("external_id,feeder", "-1,F12", "'-1,F13")

    assert "external_id: -1 stands here twice" in result.problems()[0]


def test_an_import_is_previewed_confirmed_audited_and_told(operator: Client) -> None:
    site = make_site(external_id="loc_1", name="Depot", feeder="F12")
    session = make_session(make_connector(make_station(site)))

    previewed = upload(operator, "external_id,grid_zone,feeder", "loc_1,North,F13")
    site.refresh_from_db()
    assert (site.feeder, SessionNews.objects.count()) == ("F12", 0), "a preview changes nothing"
    done = confirm(operator, previewed)

    site.refresh_from_db()
    assert (site.grid_zone, site.feeder) == ("North", "F13")
    assert done.headers["Location"] == address(Site, "changelist")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.origin) == (
        "site.imported",
        "user:operator",
        "127.0.0.1",
    )
    assert entry.before == {"grid_zone": "", "feeder": "F12"}
    assert entry.after == {"grid_zone": "North", "feeder": "F13"}
    assert list(SessionNews.objects.values_list("session_id", flat=True)) == [session.pk]


def test_an_unknown_site_is_created_before_its_first_sync(operator: Client) -> None:
    confirm(operator, upload(operator, HEADING, "loc_9,Depot,Europe/Berlin,North,S3,F12,240,no,"))

    site = Site.objects.get()
    assert (site.external_id, site.name, site.timezone) == ("loc_9", "Depot", "Europe/Berlin")
    assert (site.feeder, site.voltage_v, site.exempt) == ("F12", 240, False)
    assert AuditEntry.objects.get().after["feeder"] == "F12"


def test_a_new_site_needs_no_more_than_its_id(db: None) -> None:
    assert not take("external_id", "loc_9").has_errors()

    site = Site.objects.get()
    assert (site.timezone, site.voltage_v, site.feeder) == ("UTC", 230, "")


def test_name_and_time_zone_of_a_known_site_stay_as_edrv_tells_them(db: None) -> None:
    site = make_site(external_id="loc_1", name="Depot", timezone="Europe/Berlin")

    take("external_id,name,timezone,feeder", "loc_1,Other,Mars/Olympus,F13")

    site.refresh_from_db()
    assert (site.name, site.timezone, site.feeder) == ("Depot", "Europe/Berlin", "F13")


def test_a_blank_grid_place_becomes_blank_and_a_missing_column_is_left_alone(db: None) -> None:
    site = make_site(external_id="loc_1", feeder="F12", substation="S3", voltage_v=240)

    take("external_id,feeder,voltage_v", "loc_1,,")

    site.refresh_from_db()
    assert (site.feeder, site.substation, site.voltage_v) == ("", "S3", 240)


def test_a_blank_exemption_does_not_end_one(db: None) -> None:
    site = make_site(external_id="loc_1", exempt=True)

    take("external_id,exempt", "loc_1,")

    site.refresh_from_db()
    assert site.exempt


@pytest.mark.parametrize("written", ["true", "TRUE", "yes", "1", " Y "])
def test_yes_is_understood_in_the_usual_spellings(db: None, written: str) -> None:
    take("external_id,exempt", f"loc_1,{written}")

    assert Site.objects.get().exempt


def test_semicolons_and_a_byte_order_mark_are_understood(operator: Client) -> None:
    confirm(operator, upload(operator, "\ufeffexternal_id;feeder", "loc_1;F13"))

    assert Site.objects.get().feeder == "F13"


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("loc_2,North,F12,abc,no", "Row 2: voltage_v: 'abc' is not a number"),
        ("loc_2,North,F12,nan,no", "Row 2: voltage_v: 'nan' is not a number"),
        ("loc_2,North,F12,9,no", "Row 2: voltage_v: Ensure this value is greater than or equal"),
        ("loc_2,North,F12,230,maybe", "Row 2: exempt: 'maybe' is neither true nor false"),
        (f"loc_2,{'N' * 65},F12,230,no", "Row 2: grid_zone: Ensure this value has at most 64"),
        (",North,F12,230,no", "Row 2: external_id: This field cannot be blank."),
        ("loc_1,North,F12,230,no", "Row 2: external_id: loc_1 stands here twice"),
        ("loc_2,No\x07rth,F12,230,no", "Row 2: grid_zone: has characters that cannot be printed"),
        ("loc\x00_2,North,F12,230,no", "Row 2: external_id: has characters that cannot be printed"),
    ],
)
def test_a_bad_row_is_named_by_row_and_field_and_nothing_is_applied(
    operator: Client, cells: str, problem: str
) -> None:
    page = upload(
        operator, "external_id,grid_zone,feeder,voltage_v,exempt", "loc_1,North,F12,230,no", cells
    )

    assert problem in text_of(page)
    assert "Nothing of this file was taken." in text_of(page)
    assert "confirm_form" not in page.context
    assert not Site.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("heading", "problem"),
    [
        ("external_id,sub_station", "Unknown column: sub_station."),
        ("grid_zone,feeder", "external_id"),
    ],
)
def test_a_wrong_heading_is_refused(operator: Client, heading: str, problem: str) -> None:
    page = upload(operator, heading, "loc_1,S3")

    assert problem in text_of(page)
    assert not Site.objects.exists()


def test_a_file_that_is_no_text_is_refused(operator: Client) -> None:
    file = SimpleUploadedFile("sites.csv", b"\xff\xfe\x00\x01", "text/csv")

    page = operator.post(IMPORT, {"import_file": file, "format": "0", "resource": "0"})

    assert page.status_code == 200
    assert "trying to read file" in text_of(page)


def test_what_has_become_wrong_before_the_confirmation_is_not_half_applied(
    operator: Client, monkeypatch: Any
) -> None:
    previewed = upload(operator, "external_id,feeder", "loc_1,F12", "loc_2,F13")
    monkeypatch.setattr("chargers.resources.Text.clean", _refuse_the_second)

    done = confirm(operator, previewed)

    assert "Nothing imported. Row 2: feeder: no longer" in messages_of(operator, done)
    assert not Site.objects.exists()


def _refuse_the_second(self: Any, value: Any, row: Any = None, **kwargs: Any) -> str:
    if value == "F13":
        raise ValueError("no longer")
    return str(value)


def test_confirming_twice_imports_once(operator: Client) -> None:
    previewed = upload(operator, "external_id,feeder", "loc_1,F12")

    confirm(operator, previewed)
    again = confirm(operator, previewed)

    assert "Nothing imported" in messages_of(operator, again)
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "1"},
        {"format": "x"},
        {"format": "-1"},
        {"resource": "1"},
        {"import_file_name": ""},
    ],
)
def test_a_confirmation_of_what_is_not_offered_is_refused(
    operator: Client, changes: dict[str, str]
) -> None:
    previewed = upload(operator, "external_id,feeder", "loc_1,F12")

    assert operator.post(CONFIRM, {**hidden_of(previewed), **changes}).status_code == 400
    assert not Site.objects.exists()


def test_the_command_line_imports(db: None, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text("external_id,feeder\nloc_1,F12\n")

    call_command("import", "chargers.resources.SiteResource", str(file), interactive=False)

    assert Site.objects.get().feeder == "F12"
    assert AuditEntry.objects.get().actor.startswith("shell:")


def test_the_command_line_fails_on_a_bad_row_and_applies_nothing(db: None, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text("external_id,voltage_v\nloc_1,230\nloc_2,many\n")
    errors = StringIO()

    with pytest.raises(SystemExit):
        call_command(
            "import",
            "chargers.resources.SiteResource",
            str(file),
            interactive=False,
            stderr=errors,
        )

    assert "Line number: 2" in errors.getvalue()
    assert "voltage_v" in errors.getvalue()
    assert not Site.objects.exists()


def test_code_imports_a_dataset(db: None) -> None:
    dataset = tablib.Dataset(["loc_1", "F12"], headers=["external_id", "feeder"])

    result = SiteResource(actor=Actor("user:anyone")).import_data(dataset)

    assert (result.has_errors(), result.totals["new"]) == (False, 1)
    assert AuditEntry.objects.get().actor == "user:anyone"


def test_the_import_page_says_what_it_does(operator: Client) -> None:
    page = page_of(operator.get(IMPORT))

    assert "Either the whole file is taken, or nothing of it." in page
    assert "exempt_reason" in page
