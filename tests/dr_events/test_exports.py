"""Reports in the background: asked for, made once, kept for a while, and all of it on record."""

import hashlib
import itertools
import json
import threading
import time

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, connections
from django.urls import reverse

from chargers import sql
from chargers.models import AuditEntry
from chargers.problems import Problem
from dr_events import exports, reports
from dr_events.evidence import gathering
from dr_events.models import Export, ExportPiece
from tests.clients import problem
from tests.dr_events.story import accept, declare, steer
from tests.fleet import later, make_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(db):
    make_session()
    event = declare(duration="PT10M")
    accept(1)
    steer(600)
    accept(601)
    return event


def ask(api, event, format_="xlsx"):
    return api.get(f"events/{event.id}/report/", **{"format": format_, "async": "true"})


def test_an_export_is_asked_for_made_and_fetched(api, event):
    asked = ask(api, event)
    said = asked.json()
    assert asked.status_code == 202
    assert asked.headers["Location"].endswith(f"/api/v1/exports/{said['id']}/")
    assert (said["state"], said["file"], said["progress"]) == (
        "waiting", None, {"done": 0, "total": 1},
    )  # fmt: skip
    problem(api.get(f"exports/{said['id']}/file/"), 409)

    exports.make_due(clock=lambda: later(7200))

    told = api.get(f"exports/{said['id']}/").json()
    assert (told["state"], told["progress"]["done"]) == ("ready", 1)
    file = api.get(f"exports/{said['id']}/file/")
    content = b"".join(file.streaming_content)
    assert content[:2] == b"PK"
    assert (len(content), hashlib.sha256(content).hexdigest()) == (
        told["size_bytes"], told["sha256"],
    )  # fmt: skip
    assert file.headers["Content-Disposition"].endswith('.xlsx"')
    entries = AuditEntry.objects.filter(action__startswith="report.").order_by("id")
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("report.exported", "client:scada"),
        ("report.made", "gateway"),
        ("report.exported", "client:scada"),
    ]
    assert entries[1].after["sha256"] == told["sha256"]


def test_the_same_asked_for_again_is_the_same_until_it_is_finished(api, event):
    first, again = ask(api, event), ask(api, event)
    other = ask(api, event, "pdf")

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert other.json()["id"] != first.json()["id"]
    assert AuditEntry.objects.filter(action="report.exported").count() == 2
    exports.make_due(clock=lambda: later(7200))
    assert ask(api, event).json()["id"] != first.json()["id"]


def test_what_somebody_else_asked_for_is_theirs(event):
    of = [
        exports.request(event, "csv", actor=reports.Actor(name), now=later(0))
        for name in ("client:a", "client:b")
    ]

    assert of[0] != of[1]


def test_nobody_waits_for_more_than_a_few_at_once(api, event, monkeypatch):
    monkeypatch.setattr(exports, "MOST_UNFINISHED", 2)
    ask(api, event, "pdf")
    ask(api, event, "csv")

    refused = ask(api, event, "xlsx")

    problem(refused, 429)
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("too_many_exports", "60")
    assert ask(api, event, "csv").status_code == 202
    exports.request(event, "xlsx", actor=reports.Actor("client:other"), now=later(0))
    exports.make_due(clock=lambda: later(7200))
    assert ask(api, event, "xlsx").status_code == 202


@pytest.mark.django_db(transaction=True)
def test_nor_by_asking_for_all_of_them_at_the_same_moment(event, monkeypatch):
    monkeypatch.setattr(exports, "MOST_UNFINISHED", 1)
    refused = []

    def ask_for(format_):
        try:
            exports.request(event, format_, actor=reports.Actor("client:a"), now=later(0))
        except Problem as found:
            refused.append(found.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask_for, args=[name]) for name in ("csv", "pdf", "xlsx")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (Export.objects.count(), refused) == (1, ["too_many_exports"] * 2)


def test_whoever_asked_for_many_does_not_keep_the_others_waiting(event):
    many = [
        exports.request(event, format_, actor=reports.Actor("client:many"), now=later(610)).pk
        for format_ in ("json", "csv", "xlsx")
    ]
    one = exports.request(event, "csv", actor=reports.Actor("client:one"), now=later(620)).pk
    ticks = itertools.count(700)

    exports.make_due(clock=lambda: later(next(ticks)))

    made = Export.objects.filter(state="ready").order_by("finished_at")
    assert [export.pk for export in made] == [many[0], one, *many[1:]]


def test_a_large_file_is_kept_in_pieces_and_comes_back_whole(event, monkeypatch):
    monkeypatch.setattr(exports, "PIECE_BYTES", 1000)
    export = exports.request(event, "json", actor=reports.Actor("user:a"), now=later(0))

    exports.make_due(clock=lambda: later(7200))

    export.refresh_from_db()
    assert export.pieces.count() > 2
    report = json.loads(b"".join(exports.content_of(export)))
    assert len(report["participations"]) == 1


def test_one_whose_worker_died_is_made_anew(event):
    export = exports.request(event, "csv", actor=reports.Actor("user:a"), now=later(0))
    Export.objects.update(state="running")
    ExportPiece.objects.create(export=export, number=7, content=b"half")

    exports.make_due(clock=lambda: later(60))

    export.refresh_from_db()
    assert export.state == "ready"
    assert export.pieces.get().number == 0


def test_one_that_fails_names_the_log_s_reference_and_does_not_keep_the_others(
    event, monkeypatch, caplog
):
    def fail(order, terms, target):
        raise RuntimeError("permission denied for table chargers_session")

    monkeypatch.setitem(reports.FORMATS, "pdf", reports.Format("application/pdf", "pdf", fail))
    broken = exports.request(event, "pdf", actor=reports.Actor("user:a"), now=later(0))
    fine = exports.request(event, "csv", actor=reports.Actor("user:a"), now=later(1))

    exports.make_due(clock=lambda: later(60))

    broken.refresh_from_db()
    fine.refresh_from_db()
    [logged] = [r.msg for r in caplog.records if "export.failed" in str(r.msg)]
    said = f"The gateway failed; its log has the reference {logged['reference']}."
    assert (broken.state, broken.trouble) == ("failed", said)
    assert fine.state == "ready"


def test_one_that_kills_its_worker_keeps_no_other_waiting_and_fails_in_the_end(event, monkeypatch):
    def die(order, terms, target):
        raise SystemExit

    monkeypatch.setitem(reports.FORMATS, "pdf", reports.Format("application/pdf", "pdf", die))
    deadly = exports.request(event, "pdf", actor=reports.Actor("user:a"), now=later(0))
    fine = exports.request(event, "csv", actor=reports.Actor("user:a"), now=later(1))

    for turn in range(exports.MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            exports.make_due(clock=lambda at=60 * turn: later(at))
        deadly.refresh_from_db()
        assert (deadly.state, deadly.attempts) == ("running", turn + 1)
    exports.make_due(clock=lambda: later(240))

    deadly.refresh_from_db()
    fine.refresh_from_db()
    assert (fine.state, fine.attempts) == ("ready", 1)
    assert (deadly.state, deadly.finished_at) == ("failed", later(240))
    assert deadly.trouble.startswith("It was begun 3 times")


def test_files_are_forgotten_after_their_time_and_the_export_stays_on_record(api, event):
    export = exports.request(event, "csv", actor=reports.Actor("user:a"), now=later(0))
    exports.make_due(clock=lambda: later(60))

    exports.make_due(clock=lambda: later(31 * 86_400))

    assert not export.pieces.exists()
    problem(api.get(f"exports/{export.pk}/file/"), 410)
    assert api.get(f"exports/{export.pk}/").json()["state"] == "ready"


@pytest.mark.parametrize("do", [exports.take, exports.request])
def test_whoever_has_the_longest_name_there_is_can_take_one(event, do):
    do(event, "csv", actor=reports.Actor(f"user:{'a' * 150}"), now=later(0))

    assert Export.objects.get().requested_by == f"user:{'a' * 145}"


@pytest.mark.parametrize("said", ["yes", "", "1"])
def test_async_is_true_or_false(api, event, said):
    answer = api.get(f"events/{event.id}/report/", **{"async": said})

    assert set(problem(answer, 400)) == {"async"}


def test_an_auditor_gets_a_long_one_from_the_page_of_exports(client, event, monkeypatch):
    monkeypatch.setattr(exports, "LONG_FROM", 1)
    auditor = User.objects.create(username="ada", is_staff=True)
    auditor.groups.set(Group.objects.filter(name="auditor"))
    client.force_login(auditor)
    page = reverse("admin:dr_events_event_report", args=[event.pk, "package"])

    answer = client.post(page, follow=True)
    live = reverse("admin:dr_events_export_live", args=[Export.objects.get().pk])
    assert b"It waits for its turn" in client.get(live).content
    exports.make_due(clock=lambda: later(7200))

    assert b"it is being made" in answer.content
    assert b"0 of 1" in answer.content
    assert client.get(live).headers["HX-Refresh"] == "true"
    listed = client.get(reverse("admin:dr_events_export_changelist"))
    address = reverse("admin:dr_events_export_file", args=[Export.objects.get().pk])
    assert address in listed.content.decode()
    followed = client.get(answer.redirect_chain[-1][0]).content.decode()
    assert "It is ready" in followed
    assert address in followed
    assert b"".join(client.get(address).streaming_content)[:2] == b"PK"


def test_an_auditor_who_waits_for_many_already_is_told_so(client, event, monkeypatch):
    monkeypatch.setattr(exports, "LONG_FROM", 1)
    monkeypatch.setattr(exports, "MOST_UNFINISHED", 0)
    auditor = User.objects.create(username="ada", is_staff=True)
    auditor.groups.set(Group.objects.filter(name="auditor"))
    client.force_login(auditor)

    answer = client.post(
        reverse("admin:dr_events_event_report", args=[event.pk, "package"]), follow=True
    )

    assert b"wait until one of them is finished" in answer.content
    assert not Export.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_making_one_may_take_its_time_between_two_statements():
    try:
        sql.run("SET idle_in_transaction_session_timeout = '50ms'")
        with gathering.snapshot():
            time.sleep(0.3)
            assert sql.ids("SELECT 1") == [1]
    finally:
        connection.close()
