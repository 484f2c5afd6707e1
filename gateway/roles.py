"""The three roles and what each may do.

Permissions come into being after migrations, so the roles get theirs then: at the end of every
`migrate`, and whenever the tables were emptied. Each role has at least these; what an
administrator gave it beyond them stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission

ROLES = OPERATOR, AUDITOR, ADMINISTRATOR = "operator", "auditor", "administrator"
UNSEEN = ("sessionnews", "sitefile", "placeload", "eventload", "exportpiece")

OPERATIONS = ("dr_events.operate_event",)
REPORTS = ("dr_events.export_report",)
# Adding a site is what an import does with a site that eDRV has not told yet.
FLEET = (
    "chargers.add_site",
    "chargers.change_site",
    "chargers.change_chargestation",
    "chargers.change_connector",
    "chargers.change_session",
)
# Everybody may be told, at addresses of their own.
BEING_TOLD = tuple(f"notices.{verb}_subscription" for verb in ("add", "change", "delete"))
SEEING_ACCESS = (
    "login.view_login",
    "notices.see_all_subscriptions",
    "auth.view_user",
    "auth.view_group",
    "gateway.view_apiclient",
)
MANAGING_ACCESS = (
    *SEEING_ACCESS,
    *(f"auth.{verb}_{name}" for name in ("user", "group") for verb in ("add", "change", "delete")),
    "gateway.add_apiclient",
    "gateway.delete_apiclient",
    "notices.manage_all_subscriptions",
)


def seeing_everything() -> list[str]:
    """The view permission of every model of the fleet, of demand response and of notices."""
    return [
        f"{label}.view_{name}"
        for label in ("chargers", "dr_events", "notices")
        for name in apps.get_app_config(label).models
        if name not in UNSEEN
    ]


def permissions_of(role: str) -> list[str]:
    """What a role may do at least, as `app.codename`."""
    operator = [*seeing_everything(), *OPERATIONS, *REPORTS, *FLEET, *BEING_TOLD]
    return {
        OPERATOR: operator,
        AUDITOR: [*seeing_everything(), *REPORTS, *SEEING_ACCESS],
        ADMINISTRATOR: [*operator, *MANAGING_ACCESS],
    }[role]


def assign(using: str = "default", **_: Any) -> None:
    """Make the roles and give them their permissions. Harmless to repeat."""
    for role in ROLES:
        group, _created = Group.objects.using(using).get_or_create(name=role)
        group.permissions.add(*_found(permissions_of(role), using))


def _found(names: Iterable[str], using: str) -> list[Permission]:
    wanted = set(names)
    known = Permission.objects.using(using).select_related("content_type")
    return [
        permission
        for permission in known
        if f"{permission.content_type.app_label}.{permission.codename}" in wanted
    ]
