"""declare_event and export_report: what REST does, from a shell."""

import csv
import io
import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from chargers.models import AuditEntry
from dr_events.models import Event
from tests.dr_events.evidence.told import verified
from tests.dr_events.story import declare
from tests.fleet import make_session

pytestmark = pytest.mark.django_db

GOOD = ("Feeder F12 overload", "--limit", "4200", "W", "--target", "feeder", "F12")


def run(capsys, *words):
    capsys.readouterr()
    call_command(*words)
    return capsys.readouterr().out


def declared(capsys, *words):
    return json.loads(run(capsys, "declare_event", *words))


def test_an_event_is_declared_and_printed_as_json(capsys):
    make_session()

    said = declared(capsys, *GOOD, "--duration", "PT45M", "--reason", "T4", "--priority", "0")

    event = Event.objects.get()
    assert said == {"id": str(event.id), "status": "active", "warnings": []}
    assert (event.name, event.reason, event.priority) == ("Feeder F12 overload", "T4", 0)
    assert (event.ends_at - event.starts_at).total_seconds() == 45 * 60
    assert event.declared_by.startswith("shell:")
    entry = AuditEntry.objects.get(action="event.declared")
    assert entry.actor == event.declared_by
    assert entry.origin


def test_what_may_not_be_meant_is_printed_with_the_event(capsys):
    make_session()

    misspelt = declared(capsys, "x", "--limit", "4200", "W", "--target", "feeder", "f12")
    tiny = declared(capsys, "x", "--limit", "4.2", "W", "--target", "feeder", "F12")

    assert codes_of(misspelt) == ["target_unknown", "scope_empty"]
    assert codes_of(tiny) == ["below_minimum"]


def codes_of(said):
    return [warning["code"] for warning in said["warnings"]]


def test_a_shell_can_order_what_rest_can(capsys):
    declared(
        capsys, *GOOD, "--below-minimum", "minimum", "--randomize-start=-PT5M",
        "--restore-w-per-min", "20000", "--restore-random-share", "0.2",
    )  # fmt: skip

    event = Event.objects.get()
    assert (event.below_minimum, event.randomize_start) == ("minimum", timedelta(minutes=-5))
    assert (event.restore_w_per_min, event.restore_random_share) == (20_000, 0.2)


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (("4200", "W"), ("power", 4200)),
        (("6.5", "a"), ("current", 6.5)),
        (("0", "w"), ("power", 0)),
    ],
)
def test_a_limit_is_in_watts_or_amperes(capsys, words, limit):
    declared(capsys, "x", "--limit", *words, "--target", "all")

    event = Event.objects.get()
    assert (event.limit_unit, event.limit_value) == limit


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (("60", "%"), ("percent", "power", 60)),
        (("300000", "W", "--kind", "per_event"), ("per_event", "power", 300_000)),
        (("80000", "W", "--kind", "per_site"), ("per_site", "power", 80_000)),
        (("0", "W", "--kind", "relief"), ("relief", "power", 0)),
    ],
)
def test_a_limit_is_of_every_kind(capsys, words, limit):
    declared(capsys, "x", "--limit", *words, "--target", "all")

    event = Event.objects.get()
    assert (event.limit_kind, event.limit_unit, event.limit_value) == limit


def test_steps_follow_each_other_and_power_comes_back_as_a_slope(capsys):
    steps = ("--step", "PT15M", "80000", "W", "--step", "PT30M", "40000", "W")

    declared(capsys, "x", *steps, "--kind", "per_site", "--restore-w-per-min", "20000",
             "--target", "all")  # fmt: skip

    event = Event.objects.get()
    assert event.duration.total_seconds() == 45 * 60
    assert [step.amount.value for step in event.steps] == [80_000, 40_000]
    assert event.restore_w_per_min == 20_000


def test_several_targets_make_one_scope(capsys):
    declared(capsys, *GOOD, "--target", "site", "s-1")

    targets = Event.objects.get().targets.values_list("type", "value")
    assert set(targets) == {("feeder", "F12"), ("site", "s-1")}


def test_the_same_external_id_again_is_the_same_event_and_another_order_is_refused(capsys):
    first = declared(capsys, *GOOD, "--external-id", "F12-0142")

    assert declared(capsys, *GOOD, "--external-id", "F12-0142")["id"] == first["id"]
    with pytest.raises(CommandError, match="external_id"):
        call_command("declare_event", *GOOD, "--external-id", "F12-0142", "--test")
    assert Event.objects.count() == 1


def test_a_dry_run_says_what_would_happen_and_does_nothing(capsys):
    session = make_session()

    said = declared(capsys, *GOOD, "--dry-run")

    assert session.external_id in json.dumps(said)
    assert not Event.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("", *GOOD[1:]), "name"),
        (("x", "--limit", "4200", "kW", "--target", "all"), "--limit: 'kW' is none of W, A, %"),
        (
            ("x", "--limit", "50", "W", "--kind", "percent", "--target", "all"),
            "percent is not in W",
        ),
        (("x", "--limit", "50", "%", "--kind", "relief", "--target", "all"), "relief is not in %"),
        (("x", "--limit", "101", "%", "--target", "all"), "value"),
        (("x", "--limit", "16", "A", "--kind", "per_site", "--target", "all"), "unit"),
        (("x", "--step", "15", "4200", "W", "--target", "all"), "duration"),
        (("x", "--step", "PT1H", "much", "W", "--target", "all"), "--step: 'much'"),
        ((*GOOD, "--step", "PT1H", "1", "W"), "--step"),
        ((*GOOD, "--restore-w-per-min", "0"), "rate_w_per_min"),
        (("x", "--limit", "much", "W", "--target", "all"), "--limit: 'much' is not a number"),
        (("x", "--limit", "nan", "W", "--target", "all"), "value"),
        (("x", "--limit", "5e9", "W", "--target", "all"), "value"),
        (("x", "--limit=-1", "W", "--target", "all"), "--limit"),
        (("x", "--limit", "4200", "--target", "all"), "--limit"),
        (("x", "--limit", "1", "W"), "--target"),
        (("x", "--limit", "1", "W", "--target", "moon", "1"), "type"),
        (("x", "--limit", "1", "W", "--target", "feeder"), "value"),
        (("x", "--limit", "1", "W", "--target", "all", "of", "it"), "--target: TYPE and VALUE"),
        ((*GOOD, "--duration", "45 min"), "duration"),
        ((*GOOD, "--duration", "PT0S"), "duration"),
        ((*GOOD, "--starts-at", "2020-01-01T00:00:00Z"), "starts_at"),
        ((*GOOD, "--starts-at", "tomorrow"), "starts_at"),
        ((*GOOD, "--starts-at", "2030-01-01T00:00:00"), "starts_at"),
        ((*GOOD, "--ends-at", "2020-01-01T00:00:00Z"), "ends_at"),
        ((*GOOD, "--ends-at", "2099-01-01T00:00:00Z", "--duration", "PT1H"), "duration"),
        ((*GOOD, "--priority", "high"), "--priority"),
        ((*GOOD, "--priority", "32768"), "priority"),
        ((*GOOD, "--external-id", ""), "external_id"),
        ((*GOOD, "--reason", "x" * 501), "reason"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_is_wrong_is_named_and_nothing_is_done(words, field, more):
    with pytest.raises(CommandError) as refused:
        call_command("declare_event", *words, *more)

    assert field in str(refused.value)
    assert not Event.objects.exists()
    assert not AuditEntry.objects.exists()


# --- export_report ------------------------------------------------------------------------


@pytest.fixture
def event():
    make_session()
    return declare(external_id="F12-0142")


@pytest.mark.parametrize("by", ["id", "external_id"])
def test_a_report_is_written_to_a_file(capsys, tmp_path, event, by):
    path = tmp_path / "report.csv"

    said = run(
        capsys, "export_report", str(getattr(event, by)), "--format", "csv", "--output", str(path)
    )

    manifest = path.with_name("report.csv.manifest.json")
    assert said == f"Wrote {path} and {manifest}.\n"
    assert verified(path, "--manifest", str(manifest))[0] == 0
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["event"] for row in rows] == [str(event.id)]
    entry = AuditEntry.objects.get(action="report.exported")
    assert entry.actor.startswith("shell:")
    assert entry.subject_ids == [str(event.id)]


def test_an_external_id_may_look_like_an_id_of_ours(capsys, tmp_path):
    theirs = str(uuid.uuid4())
    event = declare(external_id=theirs)
    path = tmp_path / "report.json"

    run(capsys, "export_report", theirs, "--output", str(path))

    assert json.loads(path.read_text())["event"]["id"] == str(event.id)


def test_without_a_file_the_report_goes_to_standard_output(capsysbinary, event):
    call_command("export_report", "F12-0142")

    report = json.loads(capsysbinary.readouterr().out)
    assert report["event"]["external_id"] == "F12-0142"
    assert report["counts"]["targeted"] == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("F99",), "No single event 'F99': there is none"),
        ((str(uuid.UUID(int=1)),), "there is none"),
        (("",), "No single event"),
        (("F12-0142", "--format", "docx"), "--format"),
        ((), "event"),
    ],
)
def test_a_report_that_cannot_be_is_refused_by_name(tmp_path, event, words, complaint):
    path = tmp_path / "report"

    with pytest.raises(CommandError) as refused:
        call_command("export_report", *words, "--output", str(path))

    assert complaint in str(refused.value)
    assert not path.exists()
    assert not AuditEntry.objects.filter(action="report.exported").exists()


@pytest.mark.parametrize("place", ["missing/report.json", "."])
def test_a_file_that_cannot_be_written_is_refused_and_no_export_is_on_record(
    tmp_path, event, place
):
    with pytest.raises(CommandError, match="--output"):
        call_command("export_report", "F12-0142", "--output", str(tmp_path / place))

    assert not AuditEntry.objects.filter(action="report.exported").exists()


def test_an_external_id_that_two_clients_use_needs_the_id(event):
    other = Event.objects.get(pk=event.pk)
    other.pk, other.declared_by = uuid.uuid4(), "client:other"
    other.save(force_insert=True)

    with pytest.raises(CommandError, match="several declarers have one"):
        call_command("export_report", "F12-0142")
