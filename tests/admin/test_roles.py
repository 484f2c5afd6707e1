"""Who may do what: operator, auditor, administrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from chargers.models import Site
from dr_events.models import Event
from gateway import roles
from gateway.models import ApiClient
from tests.admin.support import EVERYTHING, address, make_event, order
from tests.fleet import make_site

LogIn = Callable[[str], Client]


@pytest.mark.parametrize("role", roles.ROLES)
def test_every_role_reads_everything(log_in: LogIn, role: str) -> None:
    client = log_in(role)

    assert {client.get(address(model, "changelist")).status_code for model in EVERYTHING} == {200}
    assert client.get(address(Event, "change", make_event().pk)).status_code == 200
    assert client.get(address(Site, "change", make_site().pk)).status_code == 200


def test_somebody_without_a_role_reads_nothing(log_in: LogIn) -> None:
    client = log_in("nobody")

    assert {client.get(address(model, "changelist")).status_code for model in EVERYTHING} == {403}


def test_a_stranger_is_sent_to_the_login(db: None) -> None:
    event = make_event()

    for page in (address(Event, "add"), address(Event, "end", event.pk), address(Site, "import")):
        answer = Client().post(page, order())
        assert answer.headers["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize(
    ("role", "operates"), [("operator", True), ("auditor", False), ("administrator", True)]
)
def test_who_operates_events(log_in: LogIn, role: str, operates: bool) -> None:
    client, event = log_in(role), make_event()
    status = 200 if operates else 403

    assert client.get(address(Event, "add")).status_code == status
    assert client.post(address(Event, "add"), {**order(), "step": "preview"}).status_code == status
    for name in ("amend", "end", "cancel"):
        assert client.get(address(Event, name, event.pk)).status_code == status
    done = client.post(address(Event, "end", event.pk)).status_code
    event.refresh_from_db()
    assert (done, event.status) == ((302, "restoring") if operates else (403, "active"))
    page = client.get(address(Event, "changelist")).content.decode()
    assert ("Declare event" in page) is operates


@pytest.mark.parametrize(
    ("role", "edits"), [("operator", True), ("auditor", False), ("administrator", True)]
)
def test_who_edits_and_imports_sites(log_in: LogIn, role: str, edits: bool) -> None:
    client, site = log_in(role), make_site()
    fields = {"feeder": "F13", "voltage_v": "230"}

    saved = client.post(address(Site, "change", site.pk), fields).status_code
    site.refresh_from_db()

    assert (saved, site.feeder) == ((302, "F13") if edits else (403, "F12"))
    assert client.get(address(Site, "import")).status_code == (200 if edits else 403)
    # Who may is told that there is nothing to confirm.
    assert client.post(address(Site, "process_import")).status_code == (400 if edits else 403)


@pytest.mark.parametrize("role", roles.ROLES)
def test_every_role_exports_sites_and_reports(log_in: LogIn, role: str) -> None:
    client, event = log_in(role), make_event()

    assert client.get(address(Site, "export")).status_code == 200
    assert client.post(address(Event, "report", event.pk, "csv")).status_code == 200


def test_a_role_is_needed_to_export(log_in: LogIn) -> None:
    client, event = log_in("nobody"), make_event()

    assert client.get(address(Site, "export")).status_code == 403
    assert client.post(address(Event, "report", event.pk, "csv")).status_code == 403


@pytest.mark.parametrize(
    ("role", "reads", "manages"),
    [("operator", False, False), ("auditor", True, False), ("administrator", True, True)],
)
def test_who_sees_and_manages_access(log_in: LogIn, role: str, reads: bool, manages: bool) -> None:
    client = log_in(role)

    for model in (User, Group, ApiClient):
        assert client.get(address(model, "changelist")).status_code == (200 if reads else 403)
        assert client.get(address(model, "add")).status_code == (200 if manages else 403)
    somebody = User.objects.create(username="somebody")
    assert client.get(address(User, "change", somebody.pk)).status_code == (200 if reads else 403)


def test_the_sidebar_shows_each_role_what_it_may_see(log_in: LogIn) -> None:
    titles = {
        role: [
            section["title"]
            for section in log_in(role).get(reverse("admin:index")).context["sidebar_navigation"]
        ]
        for role in (*roles.ROLES, "nobody")
    }

    everything = ["Demand response", "Fleet", "Record", "Access"]
    assert titles == {
        "operator": everything[:3],
        "auditor": everything,
        "administrator": everything,
        "nobody": [],
    }


def test_an_administrator_cannot_become_or_touch_a_superuser(log_in: LogIn) -> None:
    client = log_in("administrator")
    me, root = User.objects.get(), User.objects.create(username="root", is_superuser=True)

    client.post(
        address(User, "change", me.pk),
        {"username": me.username, "is_active": "on", "is_staff": "on", "is_superuser": "on"},
    )
    me.refresh_from_db()
    assert not me.is_superuser
    assert client.post(address(User, "change", root.pk), {"username": "x"}).status_code == 403
    assert client.post(address(User, "delete", root.pk), {"post": "yes"}).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[root.pk])
    assert client.get(password).status_code == 403


def test_an_administrator_makes_an_operator(log_in: LogIn) -> None:
    client = log_in("administrator")
    password = "correct horse battery"

    done = client.post(
        address(User, "add"),
        {
            "username": "newcomer",
            "usable_password": "true",
            "password1": password,
            "password2": password,
            "groups": [Group.objects.get(name="operator").pk],
        },
    )

    assert done.status_code == 302, done.context["adminform"].form.errors
    newcomer = Client()
    form = {"username": "newcomer", "password": password}
    assert newcomer.post(reverse("admin:login"), form).status_code == 302
    assert newcomer.get(address(Event, "add")).status_code == 200


def test_changes_of_access_are_in_the_audit_trail_without_secrets(log_in: LogIn) -> None:
    from chargers.models import AuditEntry

    client = log_in("administrator")
    somebody = User.objects.create(username="somebody")
    password = "correct horse battery"

    client.post(address(Group, "add"), {"name": "night shift"})
    client.post(
        reverse("admin:auth_user_password_change", args=[somebody.pk]),
        {"password1": password, "password2": password, "usable_password": "true"},
    )
    client.post(address(User, "delete", somebody.pk), {"post": "yes"})

    entries = AuditEntry.objects.filter(actor="user:administrator").order_by("id")
    assert [entry.action for entry in entries] == ["group.added", "user.changed", "user.deleted"]
    assert password not in str(list(entries.values()))


def test_the_roles_cannot_be_deleted(root: Client) -> None:
    role = Group.objects.get(name="operator")
    other = Group.objects.create(name="night shift")
    chosen = {"action": "delete_selected", "_selected_action": [role.pk], "post": "yes"}

    assert root.post(address(Group, "delete", role.pk), {"post": "yes"}).status_code == 403
    root.post(address(Group, "changelist"), chosen)
    assert Group.objects.filter(pk=role.pk).exists()
    assert root.post(address(Group, "delete", other.pk), {"post": "yes"}).status_code == 302


# --- the migration ------------------------------------------------------------------------


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_fresh_database_has_every_role_with_all_its_permissions(db: None, role: str) -> None:
    has = Group.objects.get(name=role).permissions.select_related("content_type")

    named = {f"{one.content_type.app_label}.{one.codename}" for one in has}
    assert named == set(roles.permissions_of(role))


def test_migrating_again_removes_nothing_and_restores_what_is_missing(db: None) -> None:
    operator = Group.objects.get(name="operator")
    beyond = Permission.objects.get(codename="view_user")
    missing = Permission.objects.get(codename="operate_event")
    operator.permissions.add(beyond)
    operator.permissions.remove(missing)

    call_command("migrate", verbosity=0)

    assert {beyond, missing} <= set(operator.permissions.all())


def test_the_roles_come_back_where_the_tables_were_emptied(db: None) -> None:
    Group.objects.all().delete()

    roles.assign()

    assert set(Group.objects.values_list("name", flat=True)) == set(roles.ROLES)


def test_nobody_has_a_permission_to_write_a_record(db: None) -> None:
    allowed = {name for role in roles.ROLES for name in roles.permissions_of(role)}
    records = {"command", "attempt", "webhookdelivery", "meterreading", "auditentry", "heartbeat"}

    writing = [
        name
        for name in allowed
        if name.rpartition("_")[2] in records and not name.partition(".")[2].startswith("view_")
    ]
    assert writing == []
    assert not [name for name in allowed if "sessionnews" in name]


def test_every_named_permission_exists(db: None) -> None:
    known: set[Any] = {
        f"{one.content_type.app_label}.{one.codename}"
        for one in Permission.objects.select_related("content_type")
    }

    assert set(roles.permissions_of("administrator")) <= known
    assert apps.is_installed("gateway")
