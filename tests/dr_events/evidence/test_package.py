"""The sealed package: whatever is altered in it is found, and every figure can be computed anew."""

import csv
import io
import json
import random
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargers.models import AuditEntry, Connector, MeterReading
from dr_events import intake, reports, verify
from dr_events.evidence import gathering, seal
from dr_events.evidence.files import cells_of, rows_in
from dr_events.evidence.tables import COMPUTED, OPT_OUTS, TABLES
from tests.dr_events.evidence.told import metered, package_of, told_event, verified
from tests.dr_events.story import OPERATOR, accept, declare, leave, opt_out, steer
from tests.fleet import later, make_session

KEYS = {"2026a": "1f" * 32, "2025": "2e" * 32}
# The story has no opt-outs and no earlier days.
FILLED = [table for table in TABLES if table.name not in ("opt_outs", "site_history")]
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def package(tmp_path_factory, django_db_setup, django_db_blocker):
    """One package for all that only read it. Its event is gone again afterwards."""
    from django.core.management import call_command

    path = tmp_path_factory.mktemp("evidence") / "package.zip"
    with django_db_blocker.unblock():
        kept = django_settings.EVIDENCE_SIGNING_KEYS
        django_settings.EVIDENCE_SIGNING_KEYS = KEYS
        try:
            package_of(told_event()[0], path)
        finally:
            django_settings.EVIDENCE_SIGNING_KEYS = kept
            call_command("flush", interactive=False, verbosity=0)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def resigned(path, files):
    """What a forger does who has a key, though not ours: all digests and the signature anew."""
    manifest = json.loads(files[seal.MANIFEST])
    for file in manifest["files"]:
        file["sha256"] = seal.sha256_of([files[file["name"]]])
    signed = seal.canonical(manifest)
    signature = seal.sign(signed, key_id=manifest["signed_with"], seed="ab" * 32)
    return written(path, {**files, seal.MANIFEST: signed, seal.SIGNATURE: signature})


def rows_of(package, name):
    return list(csv.DictReader(io.StringIO(members(package)[f"{name}.csv"].decode())))


def test_a_package_as_it_was_made_is_verified(package):
    status, said = verified(package)

    assert status == 0, said
    assert "VERIFIED  event F12-0142: Feeder F12 overload" in said
    assert seal.public_key_of(KEYS["2026a"]) in said


def test_it_is_verified_without_django_and_without_a_database(package, tmp_path):
    probe = (
        "import sys, dr_events.verify as v; code = v.main(sys.argv[1:]);"
        " assert not any(m.split('.')[0] in ('django', 'psycopg', 'celery') for m in sys.modules);"
        " sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(package)],
        env={"PYTHONPATH": str(REPOSITORY)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_must_be_signed_with_the_key_that_is_trusted(package):
    ours, other = (seal.public_key_of(seed) for seed in (KEYS["2026a"], KEYS["2025"]))

    assert verified(package, "--public-key", ours)[0] == 0
    assert verified(package, "--public-key", other, "--public-key", ours)[0] == 0
    status, said = verified(package, "--public-key", other)
    assert status == 1
    assert "not the key you trust" in said


def test_a_package_from_before_there_was_a_calendar_is_verified_still(package, tmp_path):
    files = members(package)
    manifest = json.loads(files[seal.MANIFEST])
    del manifest["terms"]["holidays"]
    files[seal.MANIFEST] = seal.canonical(manifest)

    status, said = verified(resigned(tmp_path / "old.zip", files))

    assert status == 0, said


def test_a_package_from_before_a_column_was_added_is_verified_still(package, tmp_path):
    files = members(package)
    rows = list(csv.reader(io.StringIO(files["participations.csv"].decode(), newline="")))
    assert rows[0][-1] == "non_responsive_at"
    text = io.StringIO(newline="")
    csv.writer(text).writerows(row[:-1] for row in rows)
    old = {**files, "participations.csv": text.getvalue().encode()}
    text = io.StringIO(newline="")
    csv.writer(text).writerows(row[:-2] for row in rows)
    cut = {**files, "participations.csv": text.getvalue().encode()}

    assert verified(resigned(tmp_path / "old.zip", old))[0] == 0
    status, said = verified(resigned(tmp_path / "cut.zip", cut))
    assert status == 1
    assert "participations.csv: the header is not that of the table" in said


MENDED = ("meter_before_after", "caiso_10_in_10", "pjm_high_4_of_5", "pjm_same_day_3_2")


def of_version_1(files):
    """The package as it was before its methods were mended, with the planned end unsaid."""
    manifest = json.loads(files[seal.MANIFEST])
    del manifest["terms"]["ends_at"]
    for method in manifest["methods"]:
        method["version"] = "1"
    files[seal.MANIFEST] = seal.canonical(manifest)
    rows = list(csv.reader(io.StringIO(files["baselines.csv"].decode())))
    at = rows[0].index("version")
    text = io.StringIO()
    csv.writer(text).writerows([rows[0], *([*row[:at], "1", *row[at + 1 :]] for row in rows[1:])])
    return {**files, "baselines.csv": text.getvalue().encode()}


def test_a_package_of_a_method_that_was_mended_since_is_verified_still(package, tmp_path):
    files = of_version_1(members(package))

    status, said = verified(resigned(tmp_path / "old.zip", files))

    assert status == 0, said


def test_a_figure_of_a_mended_method_that_differs_is_named_with_the_mend(package, tmp_path):
    files = of_version_1(members(package))
    files["baselines.csv"] = files["baselines.csv"].replace(b"too_few_days", b"", 1)

    found = list(verify.findings_of(resigned(tmp_path / "old.zip", files)))

    assert found[: len(MENDED)] == [
        f"method {name} was mended since version 1: its figures may differ for that"
        for name in MENDED
    ]
    [differs] = found[len(MENDED) :]
    assert "problem is too_few_days, not " in differs


@pytest.mark.parametrize("version", ["0", "3"])
def test_a_version_that_was_never_known_is_refused(package, version, tmp_path):
    files = members(package)
    manifest = json.loads(files[seal.MANIFEST])
    manifest["methods"][2]["version"] = version
    files[seal.MANIFEST] = seal.canonical(manifest)

    found = list(verify.findings_of(resigned(tmp_path / "other.zip", files)))

    assert found == [f"method caiso_10_in_10 version {version} is not known here"]


def with_edition(path, files, edition):
    """The package with another edition in its terms, or none, signed anew."""
    manifest = json.loads(files[seal.MANIFEST])
    manifest["terms"].pop("edition")
    if edition:
        manifest["terms"]["edition"] = edition
    return resigned(path, {**files, seal.MANIFEST: seal.canonical(manifest)})


def test_a_package_from_before_there_were_editions_is_verified_by_the_first(
    transactional_db, monkeypatch, tmp_path
):
    session = make_session()
    event = declare(duration="PT10M")
    accept(1)
    metered(session, 6000.0, 0, 600)
    higher = {"kind": "per_session", "unit": "power", "value": 8000}
    intake.amend(event.id, {"limit": higher}, actor=OPERATOR, now=later(150))
    steer(150)
    accept(151)
    steer(600)
    accept(601)
    event.refresh_from_db()
    first = replace(gathering.terms_of(event, now=later(7200)), edition=1)
    monkeypatch.setattr(reports, "terms_of", lambda *_, **__: first)
    files = members(package_of(event, tmp_path / "package.zip"))

    old, new, unknown = (
        verified(with_edition(tmp_path / "other.zip", files, edition)) for edition in (None, 2, 99)
    )

    assert old[0] == 0, old[1]
    assert new[0] == 1
    assert "over_limit_kwh is" in new[1]
    assert "edition 99 of the figures is not known here" in unknown[1]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_single_bit_that_changes_in_any_file_is_found(package, data, tmp_path_factory):
    files = members(package)
    name = data.draw(st.sampled_from(sorted(files)))
    bit = data.draw(st.integers(0, len(files[name]) * 8 - 1))
    changed = bytearray(files[name])
    changed[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.mktemp("bit") / "package.zip"

    found = list(verify.findings_of(written(path, {**files, name: bytes(changed)})))

    assert found


@pytest.mark.parametrize("name", ["performance.csv", "README.txt", seal.SIGNATURE])
def test_a_file_that_is_missing_is_named(package, name, tmp_path):
    files = members(package)
    del files[name]

    (found,) = verify.findings_of(written(tmp_path / "package.zip", files))

    assert name in found


def test_a_file_too_many_is_named(package, tmp_path):
    files = {**members(package), "letter.txt": b"trust me"}

    assert list(verify.findings_of(written(tmp_path / "package.zip", files))) == [
        "letter.txt is not in the manifest"
    ]


@pytest.mark.parametrize("table", COMPUTED, ids=lambda table: table.name)
def test_a_figure_that_does_not_follow_is_named_whoever_signs_it(package, table, tmp_path):
    files = members(package)
    lines = files[table.file_name].decode().split("\r\n")
    cells = next(csv.reader([lines[-2]]))
    column = next(i for i in range(len(cells) - 1, -1, -1) if _is_number(cells[i]))
    cells[column] = repr(float(cells[column]) + 0.001)
    lines[-2] = ",".join(cells)
    forged = {**files, table.file_name: "\r\n".join(lines).encode()}

    found = list(verify.findings_of(resigned(tmp_path / "package.zip", forged)))

    assert found
    assert any(f"{table.name}: " in one and table.names[column] in one for one in found)


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("table", FILLED, ids=lambda table: table.name)
def test_a_row_that_is_taken_out_is_found_whoever_signs_it(package, table, tmp_path):
    files = members(package)
    lines = files[table.file_name].decode().split("\r\n")
    chosen = random.Random(table.name).randrange(1, len(lines) - 1)
    forged = "\r\n".join(lines[:chosen] + lines[chosen + 1 :]).encode()
    path = resigned(tmp_path / "package.zip", {**files, table.file_name: forged})

    assert any(table.name in one for one in verify.findings_of(path))


def test_an_audit_entry_that_was_altered_is_named_whoever_signs_it(package, tmp_path):
    files = members(package)
    forged = {**files, "audit.csv": files["audit.csv"].replace(b"user:operator", b"user:nobody")}

    found = list(verify.findings_of(resigned(tmp_path / "package.zip", forged)))

    assert found == ["audit: entry 1 is not the one that was linked"]


def test_what_is_no_package_is_said_so(tmp_path):
    (tmp_path / "text.zip").write_text("hello")

    (found,) = verify.findings_of(tmp_path / "text.zip")

    assert found.startswith("cannot be read: BadZipFile")
    with pytest.raises(SystemExit):
        verify.main([str(tmp_path / "nothing.zip")])


# --- what is in it -----------------------------------------------------------------------------


def test_the_figures_are_those_of_the_story(package):
    complied, exempt = rows_of(package, "performance")

    assert (complied["outcome"], exempt["outcome"]) == ("complied", "exempt")
    # 11 kW for 20 minutes: 3.667 kWh. 6.8 kW were ordered off it. It drew 4 kW but for a second
    # in which the line runs from 11 to 4.
    assert float(complied["baseline_kwh"]) == pytest.approx(11 / 3, abs=1e-6)
    assert float(complied["ordered_kwh"]) == pytest.approx(6.8 / 3, abs=1e-6)
    assert float(complied["metered_kwh"]) == pytest.approx(4 / 3 + 3.5 / 3600, abs=1e-6)
    assert float(complied["delivered_kwh"]) == pytest.approx(7 / 3 - 3.5 / 3600, abs=1e-6)
    assert (complied["seconds_to_accepted"], complied["seconds_to_complied"]) == ("1.0", "30.0")
    assert complied["seconds_to_restored"] == "2.0"
    assert complied["joined_at_local"] == "2026-07-01T20:00:00.000+02:00"
    assert (exempt["baseline_problem"], exempt["delivered_kwh"]) == ("left_alone", "")


def test_counts_and_energies_add_up_from_the_rows(package):
    performance, sites = rows_of(package, "performance"), rows_of(package, "sites")
    summary = {row["figure"]: row["value"] for row in rows_of(package, "summary")}

    outcomes = [row["outcome"] for row in performance]
    assert float(summary["participations"]) == len(performance)
    assert all(float(summary[name]) == outcomes.count(name) for name in set(outcomes))
    for name in ("ordered_kwh", "metered_kwh", "delivered_kwh", "deficiency_kwh", "rebound_kwh"):
        by_part = sum(float(row[name] or 0) for row in performance)
        by_site = sum(float(row[name] or 0) for row in sites)
        assert float(summary[name]) == pytest.approx(by_part) == pytest.approx(by_site)
    load = sum(float(row["delivered_kwh"] or 0) for row in rows_of(package, "load"))
    assert float(summary["delivered_kwh"]) == pytest.approx(load, abs=1e-5)


def test_what_was_not_metered_is_empty_everywhere(package):
    _complied, unmetered = (row["participation"] for row in rows_of(package, "performance"))
    exempt = [row for row in rows_of(package, "intervals") if row["participation"] == unmetered]
    site = next(row for row in rows_of(package, "sites") if row["left_alone"] == "1")

    assert exempt
    assert {(row["metered_w"], row["energy_wh"], row["quality"]) for row in exempt} == {
        ("", "", "missing")
    }
    assert (site["metered_kwh"], site["delivered_kwh"], site["intervals_missing"]) == ("", "", "4")


def test_every_column_is_in_the_dictionary_and_no_text_is_a_formula(package):
    files = members(package)
    told = {(row["table"], row["column"]) for row in rows_of(package, "dictionary")}

    for table in TABLES:
        header = next(csv.reader([files[table.file_name].decode().split("\r\n")[0]]))
        assert {(table.name, column) for column in header} <= told
    assert rows_of(package, "participations")[0]["site_name"] == "'=HYPERLINK(1)"


def test_every_baseline_that_was_asked_for_stands_beside_the_others_and_says_its_grade(package):
    found = rows_of(package, "baselines")

    methods = {method["id"] for method in json.loads(members(package)["manifest.json"])["methods"]}
    assert {row["method"] for row in found} == methods
    assert {row["grade"] for row in found} == {"not settlement grade"}
    assert {row["problem"] for row in found if row["scope"] == "site"} >= {"too_few_days"}


def test_who_opted_out_has_no_baseline_also_when_its_car_left_before_the_end(
    transactional_db, tmp_path
):
    session = make_session()
    metered(session, 11_000.0, -1800, 600)
    event = declare(duration="PT20M")
    accept(1)
    opt_out(event, session, at=10)
    accept(11)
    leave(session, 600)
    steer(1200)
    event.refresh_from_db()

    path = package_of(event, tmp_path / "package.zip")

    (row,) = rows_of(path, "performance")
    assert (row["outcome"], row["baseline_problem"]) == ("opted_out", "left_alone")
    assert (row["baseline_w"], row["delivered_kwh"]) == ("", "")
    assert verified(path)[0] == 0


def test_figures_stay_when_a_connector_is_corrected_after_the_event(transactional_db, tmp_path):
    six_amperes = {"kind": "per_session", "unit": "current", "value": 6}
    event, session, _ = told_event(limit=six_amperes)
    MeterReading.objects.filter(session=session).update(power_w=None, current_a=5.0)
    before = members(package_of(event, tmp_path / "before.zip"))

    Connector.objects.filter(pk=session.connector_id).update(phases=1, voltage_v=240)

    after = members(package_of(event, tmp_path / "after.zip"))
    names = [table.file_name for table in TABLES if table.name not in ("audit", "chain")]
    assert [name for name in names if before[name] != after[name]] == []
    # 5 A × 230 V × 3 phases.
    assert "3450.0" in {row["baseline_w"] for row in rows_of(tmp_path / "after.zip", "performance")}


def test_a_participation_from_before_circuits_were_kept_has_the_connector_s(transactional_db):
    event, session, _ = told_event()
    part = event.participations.get(session=session)
    del part.place["voltage_v"], part.place["phases"]
    part.save()
    Connector.objects.filter(pk=session.connector_id).update(phases=1, voltage_v=240)

    found = next(gathering.parts(event, as_of=later(7200))).row

    assert (found.voltage_v, found.phases) == (240.0, 1)


def test_who_took_it_is_on_record(transactional_db, tmp_path):
    path = package_of(told_event()[0], tmp_path / "package.zip")

    entry = AuditEntry.objects.get(action="report.exported")
    digest = seal.sha256_of([path.read_bytes()])
    assert (entry.actor, entry.after) == (
        "user:auditor", {"format": "package", "sha256": digest},
    )  # fmt: skip


@given(st.text().filter(lambda text: "\x00" not in text and text.isprintable()))
def test_any_text_comes_back_from_a_file_as_it_was_and_is_no_formula(text):
    row = OPT_OUTS.row(1, "opt_out", "site", "x", text, "", None, None)
    cells = cells_of(row)

    assert next(rows_in(OPT_OUTS, [OPT_OUTS.names, cells])) == row
    assert not cells[4].startswith(("=", "+", "-", "@"))


def test_the_version_in_the_manifest_is_that_of_the_project():
    project = (REPOSITORY / "pyproject.toml").read_text()

    assert f'version = "{seal.SOFTWARE["version"]}"' in project
    assert orjson.loads(seal.canonical(seal.SOFTWARE)) == seal.SOFTWARE
