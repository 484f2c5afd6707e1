"""Over many events: sums, and whether cars tire of it."""

import csv
import hashlib
import json

import pytest
from django.core.management import CommandError, call_command

from chargers.models import AuditEntry
from dr_events import verify
from dr_events.evidence.baselines import METER_BEFORE
from dr_events.evidence.season import Held, season_rows
from dr_events.evidence.tables import SITES
from tests.dr_events.evidence.told import told_event

BLANK = dict.fromkeys(SITES.names)


def site(id_, ordered, delivered, **more):
    known = {"site": id_, "site_name": f"Site {id_}", "participations": 2, "exceptions": 0}
    return SITES.row(
        **{**BLANK, **known, "ordered_kwh": ordered, "delivered_kwh": delivered, **more}
    )


def held(*sites, client="client:grid", **opt_outs):
    return Held(client, 0.75, sites, opt_outs)


def test_a_season_adds_up_by_site_by_client_and_over_all():
    rows = {
        (row.scope, row.id): row
        for row in season_rows(
            [
                held(site("a", 10.0, 9.0), site("b", 4.0, None), a=1),
                held(site("a", 10.0, 7.0, exceptions=1), client="user:anna"),
            ]
        )
    }

    a, programme = rows["site", "a"], rows["programme", ""]
    assert (a.events, a.hours, a.participations, a.exceptions, a.opt_outs) == (2, 1.5, 4, 1, 1)
    assert (a.ordered_kwh, a.delivered_kwh, a.performance_percent) == (20.0, 16.0, 80.0)
    assert (programme.events, programme.ordered_kwh) == (2, 24.0)
    assert rows["client", "user:anna"].delivered_kwh == 7.0
    assert rows["site", "b"].performance_percent is None
    assert rows["site", "b"].fatigue_points is None


def test_what_is_not_known_is_no_zero():
    rows = {
        (row.scope, row.id): row
        for row in season_rows(
            [
                held(site("a", 10.0, 9.0), site("b", None, None)),
                held(site("a", 10.0, 7.0), site("b", None, None)),
                held(site("b", None, None)),
            ]
        )
    }

    b, programme = rows["site", "b"], rows["programme", ""]
    assert (b.events, b.events_unmeasured) == (3, 3)
    assert (b.ordered_kwh, b.delivered_kwh, b.performance_percent) == (None, None, None)
    assert (programme.events, programme.events_unmeasured) == (3, 1)
    assert (programme.ordered_kwh, programme.delivered_kwh) == (20.0, 16.0)
    assert (programme.performance_percent, programme.fatigue_points) == (80.0, None)


@pytest.mark.parametrize(
    ("delivered", "points"),
    [((9.0, 7.0), 20.0), ((9.0, 5.0, 7.0), 20.0), ((7.0, 9.0), -20.0), ((9.0,), None)],
)
def test_fatigue_is_what_performance_lost_from_the_earlier_half_to_the_later(delivered, points):
    rows = list(season_rows(held(site("a", 10.0, kwh)) for kwh in delivered))

    assert {row.fatigue_points for row in rows} == {points}


@pytest.mark.django_db
def test_the_command_writes_a_season_and_drills_do_not_count(tmp_path):
    event, _, _ = told_event()
    path = tmp_path / "season.csv"

    call_command("export_season", "--from", "2026-07-01", "--to", "2026-08-01", output=path)

    rows = list(csv.DictReader(path.open()))
    assert {row["scope"] for row in rows} == {"site", "client", "programme"}
    programme = next(row for row in rows if row["scope"] == "programme")
    assert (programme["events"], programme["participations"]) == ("1", "2")
    assert float(programme["delivered_kwh"]) == pytest.approx(7 / 3, abs=0.01)
    entry = AuditEntry.objects.get(action="season.exported")
    assert entry.subject_ids == [str(event.id)]
    assert entry.after["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()

    type(event).objects.update(test=True)
    call_command("export_season", "--from", "2026-07-01", "--to", "2026-08-01", output=path)
    assert list(csv.DictReader(path.open())) == []
    taken_before = AuditEntry.objects.filter(action="season.exported").count()
    with pytest.raises(CommandError, match="--output"):
        call_command("export_season", "--from", "2026-07-01", "--to", "2026-08-01", output=tmp_path)
    assert AuditEntry.objects.filter(action="season.exported").count() == taken_before
    with pytest.raises(CommandError, match="--to"):
        call_command("export_season", "--from", "2026-07-01", "--to", "2026-07-01", output=path)


@pytest.mark.django_db
@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_season_has_a_signed_manifest_beside_it(tmp_path, capsys, format_):
    event, _, _ = told_event()
    path, manifest = tmp_path / "season", tmp_path / "season.manifest.json"
    period = ("--from", "2026-07-01", "--to", "2026-08-01")
    call_command("export_season", *period, "--format", format_, output=path)

    assert verify.main([str(path), "--manifest", str(manifest)]) == 0
    assert "VERIFIED  season from 2026-07-01T00:00:00" in capsys.readouterr().out
    said = json.loads(manifest.read_bytes())["manifest"]
    assert said["season"]["events"] == [str(event.id)]
    assert said["inputs"] == {"events": 1}
    assert [(one["id"], one["grade"]) for one in said["methods"]] == [
        (METER_BEFORE.id, "not settlement grade")
    ]

    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    assert verify.main([str(path), "--manifest", str(manifest)]) == 1
    assert "season is not the file that was signed" in capsys.readouterr().out
