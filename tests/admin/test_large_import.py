"""CSV files of sites that are too large to be waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chargers import site_files
from chargers.audit import Actor
from chargers.models import AuditEntry, Site, SiteFile
from chargers.resources import LargeSiteImport, LargeSiteResource, SiteCsv
from tests.admin.support import address, messages_of, page_of, text_of
from tests.admin.test_site_import import IMPORT, upload
from tests.fleet import later, make_site

HEADING = "external_id,grid_zone,feeder,voltage_v"
FEW = 20


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: Any) -> None:
    """What needs a thousand rows in life needs twenty here."""
    monkeypatch.setattr(site_files, "LARGE_FROM", FEW)
    monkeypatch.setattr(LargeSiteResource, "NOTED_EVERY", 5)


def rows(count: int, feeder: str = "F13") -> list[str]:
    return [f"loc_{number},North,{feeder},230" for number in range(count)]


def send(client: Client, *lines: str) -> SiteFile:
    sent = upload(client, HEADING, *lines)
    file = SiteFile.objects.get()
    assert sent.headers["Location"] == address_of(file)
    return file


def address_of(file: SiteFile) -> str:
    return address(Site, "file", file.pk)


def take() -> None:
    site_files.take_due(clock=timezone.now)


def test_a_large_file_is_checked_confirmed_and_written(operator: Client) -> None:
    make_site(external_id="loc_0", feeder="F12")
    make_site(external_id="loc_1", grid_zone="North", feeder="F13")

    file = send(operator, *rows(21))
    assert "sites.csv: checking 0 of 21 rows checked" in text_of(operator.get(address_of(file)))
    take()
    told = text_of(operator.get(address_of(file)))
    assert "19 are new, 1 would change. In 1 nothing differs." in told
    assert (Site.objects.count(), AuditEntry.objects.count()) == (2, 0), "a check changes nothing"
    operator.post(address_of(file))
    assert "writing 0 of 21 rows written" in text_of(operator.get(address_of(file)))
    take()

    assert "19 were new, 1 were changed." in text_of(operator.get(address_of(file)))
    assert set(Site.objects.values_list("feeder", flat=True)) == {"F13"}
    assert {entry.actor for entry in AuditEntry.objects.all()} == {"user:operator"}
    assert AuditEntry.objects.filter(action="site.imported").count() == 20
    file.refresh_from_db()
    assert (file.state, bytes(file.content)) == ("done", b"")


def test_a_small_file_is_taken_as_ever(operator: Client) -> None:
    previewed = upload(operator, HEADING, *rows(FEW))

    assert "confirm_form" in previewed.context
    assert not SiteFile.objects.exists()


def test_what_is_wrong_is_named_by_row_and_nothing_is_written(operator: Client) -> None:
    file = send(operator, *rows(21), "loc_0,North,F13,230", "loc_99,North,F13,many")
    take()

    told = text_of(operator.get(address_of(file)))

    assert "2 wrong in 23 rows" in told
    assert "Row 22: external_id: loc_0 stands here twice" in told
    assert "Row 23: voltage_v: 'many' is not a number such as 230" in told
    assert "Write it" not in told
    operator.post(address_of(file))
    take()
    assert not Site.objects.exists()


def test_a_wrong_heading_is_refused(operator: Client) -> None:
    upload(operator, "external_id,sub_station", *(f"loc_{number},S" for number in range(30)))
    take()

    told = text_of(operator.get(address_of(SiteFile.objects.get())))

    assert "Unknown column: sub_station." in told


def test_a_file_of_too_many_rows_is_not_taken(operator: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(site_files, "MOST_ROWS", 30)
    send(operator, *rows(30))
    SiteFile.objects.all().delete()

    refused = upload(operator, HEADING, *rows(31))

    assert "sites.csv has 31 rows. At most 30 are taken at once." in messages_of(operator, refused)
    assert not SiteFile.objects.exists()


def test_a_check_stops_once_many_rows_are_wrong(operator: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(LargeSiteImport, "MOST_BAD", 3)
    bad = ["loc_98,North,F13,many", ",North,F13,230", "loc_0,North,F13,230"]
    file = send(operator, *rows(10), *bad, *rows(40))
    take()

    told = text_of(operator.get(address_of(file)))

    assert "3 wrong in the first 13 of 53 rows; the others were not looked at:" in told
    assert "Row 11: voltage_v: 'many' is not a number" in told
    assert "Row 13: external_id: loc_0 stands here twice" in told
    assert not Site.objects.exists()


def test_a_row_that_fails_is_among_those_that_stop_it(operator: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(LargeSiteImport, "MOST_BAD", 2)
    monkeypatch.setattr(LargeSiteResource, "save_instance", _fail)
    file = send(operator, *rows(21))
    take()

    assert "2 wrong in the first 2 of 21 rows" in text_of(operator.get(address_of(file)))


def _fail(*_: Any, **__: Any) -> None:
    raise ValueError("no longer")


def test_a_file_is_parsed_before_its_transaction(operator: Client, monkeypatch: Any) -> None:
    file = send(operator, *rows(21))
    outside = len(connection.savepoint_ids)
    inside = []
    create_dataset = SiteCsv.create_dataset

    def create(*arguments: Any, **kwargs: Any) -> Any:
        inside.append(len(connection.savepoint_ids) - outside)
        return create_dataset(*arguments, **kwargs)

    monkeypatch.setattr(SiteCsv, "create_dataset", create)
    take()

    file.refresh_from_db()
    assert (file.state, inside) == ("checked", [0])


@pytest.mark.parametrize(
    "line", ["loc_99,North,F13,230,more", "loc_99,N\udcff,F13,230", f"loc_99,{'N' * 200_000}"]
)
def test_what_is_no_csv_is_the_sender_s_fault(operator: Client, line: str) -> None:
    content = "\n".join([HEADING, *rows(30), line]).encode(errors="surrogateescape")
    file = site_files.send("sites.csv", content, actor=Actor("user:a"), now=timezone.now())
    take()

    told = text_of(operator.get(address_of(file)))

    assert "refused" in told
    assert "This is no CSV in UTF-8, each row with as many cells as the heading" in told


def test_a_failure_of_ours_is_told_by_its_reference_in_the_log(
    operator: Client, monkeypatch: Any, caplog: Any
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("permission denied for table chargers_site")

    monkeypatch.setattr(LargeSiteResource, "import_data", fail)
    file = send(operator, *rows(21))
    take()

    told = text_of(operator.get(address_of(file)))

    [logged] = [record.msg for record in caplog.records if "site_file.failed" in str(record.msg)]
    assert f"its log has the reference {logged['reference']}." in told
    assert "permission denied" not in told


def test_how_far_it_is_moves_while_it_is_taken(db: None) -> None:
    told: list[int] = []
    dataset = SiteCsv().create_dataset("\n".join([HEADING, *rows(12), ",North,F1,230", *rows(4)]))

    LargeSiteResource(Actor("user:anyone"), told.append).import_data(dataset, dry_run=True)

    assert told == [5, 10, 15]


def test_the_page_says_how_far_it_is(operator: Client) -> None:
    file = send(operator, *rows(21))
    site_files._note_progress(file, 15)

    live = operator.get(address(Site, "file_live", file.pk), {"state": "checking"})

    assert '<progress class="ctl-progress" max="21" value="15"' in page_of(live)
    assert "15 of 21 rows checked; nothing is changed yet." in text_of_part(live)


def test_the_page_is_loaded_anew_when_it_is_done(operator: Client) -> None:
    file = send(operator, *rows(21))
    take()

    live = operator.get(address(Site, "file_live", file.pk), {"state": "checking"})

    assert live.headers["HX-Refresh"] == "true"


def test_a_worker_that_died_leaves_its_file_to_the_next(operator: Client) -> None:
    file = send(operator, *rows(21))
    take()
    operator.post(address_of(file))
    monkey = pytest.MonkeyPatch()
    monkey.setattr(LargeSiteResource, "import_row", _die)
    with pytest.raises(KeyboardInterrupt):
        take()
    monkey.undo()
    assert not Site.objects.exists()

    take()

    assert Site.objects.count() == 21


def _die(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_confirming_twice_writes_once(operator: Client) -> None:
    file = send(operator, *rows(21))
    take()
    for _ in range(2):
        operator.post(address_of(file))
        take()

    assert AuditEntry.objects.count() == 21


def test_a_file_that_nobody_confirms_is_forgotten_after_a_day(operator: Client) -> None:
    send(operator, *rows(21))
    take()
    site_files.take_due(clock=lambda: later(23 * 3600))
    assert SiteFile.objects.exists()

    site_files.take_due(clock=lambda: later(25 * 3600))

    assert not SiteFile.objects.exists()


def test_the_import_page_leads_back_to_it(operator: Client) -> None:
    file = send(operator, *rows(21))

    page = operator.get(IMPORT)

    assert address_of(file) in page_of(page)
    assert "sites.csv 21 checking user:operator" in text_of(page)


def test_only_who_may_import_sees_or_confirms_it(
    operator: Client, log_in: Callable[[str], Client]
) -> None:
    file = send(operator, *rows(21))
    take()
    auditor = log_in("auditor")

    assert auditor.get(address_of(file)).status_code == 403
    assert auditor.post(address_of(file)).status_code == 403
    assert auditor.get(address(Site, "file_live", file.pk)).status_code == 403
    assert upload(auditor, HEADING, *rows(21)).status_code == 403
    assert SiteFile.objects.get().state == "checked"


def text_of_part(response: Any) -> str:
    return text_of(type("Page", (), {"content": b'id="content"' + response.content})())
