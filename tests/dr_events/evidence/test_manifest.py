"""Every export has a signed manifest: what the file is, held against it on any machine."""

import base64
import contextlib
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from chargers import chain
from chargers.canonical import canonical
from chargers.models import AuditEntry, MeterReading
from dr_events import exports, reports, verify
from dr_events.evidence import seal
from dr_events.models import Export
from tests.clients import problem
from tests.dr_events.evidence.told import AUDITOR, told_event, verified
from tests.fleet import later

pytestmark = pytest.mark.django_db

KEYS = {"2026a": "1f" * 32, "2025": "2e" * 32}
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def keys(settings):
    settings.EVIDENCE_SIGNING_KEYS = KEYS


@pytest.fixture
def event(db):
    return told_event()[0]


def taken(event, format_, folder):
    """The paths of an export and of its manifest."""
    file, manifest = folder / "export", folder / "manifest.json"
    made = exports.take(event, format_, actor=AUDITOR, now=later(7200)).made
    file.write_bytes(b"".join(made))
    manifest.write_bytes(made.manifest)
    return file, manifest


def forged(manifest, *, seed, **changes):
    """What a forger does who has a key."""
    said = json.loads(manifest.read_bytes())["manifest"] | changes
    signature = seal.sign(canonical(said), key_id=said["signed_with"], seed=seed)
    manifest.write_bytes(canonical({"manifest": said, "signature": json.loads(signature)}))


@pytest.mark.parametrize("format_", reports.FORMATS)
def test_the_manifest_of_every_format_is_verified(event, format_, tmp_path):
    file, manifest = taken(event, format_, tmp_path)

    status, said = verified(
        file, "--manifest", str(manifest), "--public-key", seal.public_key_of(KEYS["2026a"])
    )

    assert status == 0, said
    assert "VERIFIED  event F12-0142: Feeder F12 overload" in said
    assert f"the file is the {format_} that was signed, made of: " in said
    assert "2 participations" in said


@pytest.mark.django_db(transaction=True)
def test_it_says_what_the_file_is_and_what_it_was_made_of(event, tmp_path):
    head = chain.head().as_json()
    assert head["position"]
    file, manifest = taken(event, "json", tmp_path)

    said = json.loads(manifest.read_bytes())["manifest"]

    assert said["file"] == {
        "name": f"event-{event.id}.json",
        "format": "json",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bytes": file.stat().st_size,
    }
    assert (said["made_by"], said["made_at"]) == ("user:auditor", "2026-07-01T20:00:00.000000Z")
    assert (said["chain"]["position"], said["chain"]["hash"]) == (head["position"], head["hash"])
    assert [(one["id"], one["version"]) for one in said["methods"]] == [("meter_before_after", "2")]
    assert said["software"] == seal.SOFTWARE
    assert said["inputs"]["participations"] == 2
    assert said["inputs"]["readings"] == MeterReading.objects.count()
    assert said["inputs"]["commands"] == said["inputs"]["attempts"] == 2


def test_facts_alone_rest_on_no_method(event, tmp_path):
    said = json.loads(taken(event, "csv", tmp_path)[1].read_bytes())["manifest"]

    assert (said["methods"], said["inputs"]) == ([], {"participations": 2})


def test_a_file_that_was_altered_is_not_verified(event, tmp_path):
    file, manifest = taken(event, "csv", tmp_path)
    file.write_bytes(file.read_bytes().replace(b"4200.0", b"4100.0"))

    status, said = verified(file, "--manifest", str(manifest))

    assert status == 1
    assert "export is not the file that was signed" in said


@pytest.mark.parametrize("name", ["made_by", "made_at", "event", "chain", "inputs", "file"])
def test_a_manifest_that_was_altered_is_not_verified(event, name, tmp_path):
    file, manifest = taken(event, "csv", tmp_path)
    sealed = json.loads(manifest.read_bytes())
    sealed["manifest"][name] = {"sha256": sealed["manifest"]["file"]["sha256"]}
    manifest.write_bytes(canonical(sealed))

    status, said = verified(file, "--manifest", str(manifest))

    assert status == 1
    assert "the signature is not of this manifest" in said


def test_one_that_is_signed_with_another_key_is_not_trusted(event, tmp_path):
    file, manifest = taken(event, "csv", tmp_path)
    forged(manifest, seed="ab" * 32, made_by="user:mallory")

    assert verified(file, "--manifest", str(manifest))[0] == 0
    status, said = verified(
        file, "--manifest", str(manifest), "--public-key", seal.public_key_of(KEYS["2026a"])
    )
    assert status == 1
    assert "not the key you trust" in said


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"manifest":{}}', b"\xff", b"null"])
def test_what_is_no_manifest_is_said_so(event, content, tmp_path):
    file, manifest = taken(event, "csv", tmp_path)
    manifest.write_bytes(content)

    status, said = verified(file, "--manifest", str(manifest))

    assert status == 1
    assert "cannot be read" in said


def test_the_manifest_of_a_package_is_not_taken_for_that_of_an_export(event, tmp_path):
    file, manifest = taken(event, "csv", tmp_path)
    forged(manifest, seed=KEYS["2026a"], format=seal.FORMAT)

    status, said = verified(file, "--manifest", str(manifest))

    assert status == 1
    assert "this verifier reads ev-demand-response-export/1" in said


def test_a_manifest_that_is_not_there_is_a_wrong_call(tmp_path):
    (tmp_path / "export").touch()

    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit) as exit_:
        verify.main([str(tmp_path / "export"), "--manifest", str(tmp_path / "none")])

    assert exit_.value.code == 2
    assert "there is no file" in said.getvalue()


def test_it_is_verified_without_django_and_without_a_database(event, tmp_path):
    file, manifest = taken(event, "csv", tmp_path)
    probe = (
        "import sys, dr_events.verify as v; code = v.main(sys.argv[1:]);"
        " assert not any(m.split('.')[0] in ('django', 'psycopg', 'celery') for m in sys.modules);"
        " sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(file), "--manifest", str(manifest)],
        env={"PYTHONPATH": str(REPOSITORY)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_report_leads_to_its_manifest_and_has_its_digest_on_record(api, event, tmp_path):
    answer = api.get(f"events/{event.id}/report/", format="csv")
    content = b"".join(answer.streaming_content)

    link = answer.headers["Link"]
    assert link.endswith('>; rel="describedby"; type="application/json"')
    told = api.get(link[1 : link.index(">")].removeprefix("/api/v1/"))
    (tmp_path / "export").write_bytes(content)
    (tmp_path / "manifest.json").write_bytes(told.content)
    assert verified(tmp_path / "export", "--manifest", str(tmp_path / "manifest.json"))[0] == 0
    assert told.headers["Content-Disposition"].endswith(f'event-{event.id}.csv.manifest.json"')
    digest = hashlib.sha256(content)
    said = base64.b64encode(digest.digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{said}:"
    assert answer.headers["Content-Length"] == str(len(content))
    entry = AuditEntry.objects.get(action="report.exported")
    assert (entry.actor, entry.after["sha256"]) == ("client:scada", digest.hexdigest())


def test_one_made_in_the_background_has_its_manifest_once_it_is_ready(api, event):
    asked = api.get(f"events/{event.id}/report/", **{"format": "pdf", "async": "true"}).json()
    assert asked["manifest"] is None
    problem(api.get(f"exports/{asked['id']}/manifest/"), 409)

    exports.make_due(clock=lambda: later(7200))

    told = api.get(f"exports/{asked['id']}/").json()
    sealed = api.get(told["manifest"].removeprefix("/api/v1/")).json()
    assert sealed["manifest"]["file"]["sha256"] == told["sha256"]
    assert sealed["manifest"]["made_by"] == "client:scada"


def test_one_that_is_older_than_manifests_has_none(api, event):
    export = Export.objects.create(
        event=event, format="csv", state="ready", requested_by="user:a", requested_at=later(0)
    )

    problem(api.get(f"exports/{export.pk}/manifest/"), 410)


def test_an_auditor_finds_the_manifest_of_a_report_taken_at_once(client, event):
    auditor = User.objects.create(username="ada", is_staff=True)
    auditor.groups.set(Group.objects.filter(name="auditor"))
    client.force_login(auditor)
    report = client.post(reverse("admin:dr_events_event_report", args=[event.pk, "csv"]))
    digest = hashlib.sha256(b"".join(report.streaming_content)).hexdigest()

    export = Export.objects.get(sha256=digest)
    page = client.get(reverse("admin:dr_events_export_change", args=[export.pk])).content.decode()
    address = reverse("admin:dr_events_export_manifest", args=[export.pk])

    assert address in page
    assert "The file is not kept" in page
    assert client.get(address).json()["manifest"]["made_by"] == "user:ada"
