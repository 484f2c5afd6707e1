"""OWASP API7:2023, server side request forgery: there is one kind of address that a user can give
and that the gateway then calls, that of an outgoing webhook; `dr_events.notices.reach` decides
where it may lead (tests/notices/test_reach.py). All others are settings, and it is known who calls
them."""

import ast
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

REPOSITORY = Path(__file__).resolve().parents[2]
SENDS = {
    "aiohttp",
    "http",
    "httpx",
    "pycurl",
    "requests",
    "smtplib",
    "socket",
    "urllib",
    "urllib3",
    "websockets",
}
HARMLESS = {"http.HTTPStatus", "urllib.parse"}
# Who may, and whom they call.
MAY = {
    "chargers/edrv/burst.py": "EDRV_API_URL",
    "chargers/edrv/client.py": "EDRV_API_URL",
    "chargers/anchors.py": "AUDIT_ANCHOR_WEBHOOK_URL",
    "chargers/audit.py": "nobody: the name of this machine",
    "dr_events/notices/mail.py": "EMAIL_URL",
    "dr_events/notices/post.py": "a subscription's address, within its Reach",
    "gateway/login/sso_views.py": "nobody: only the errors of Authlib's client, of OIDC_ISSUER",
    "gateway/stack.py": "itself, on loopback, in `up`",
    "gateway/demo/world.py": "itself, on loopback, in `demo`",
}


def imported(path):
    """Everything that a file imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def can_send(path):
    return any(
        name.partition(".")[0] in SENDS and not name.startswith(tuple(HARMLESS))
        for name in imported(path)
    )


def test_it_is_known_who_makes_requests_and_to_whom():
    files = [
        path
        for package in ("gateway", "dr_events", "chargers")
        for path in (REPOSITORY / package).rglob("*.py")
        if "simulator" not in path.parts
    ]
    found = {str(path.relative_to(REPOSITORY)) for path in files if can_send(path)}

    assert found == set(MAY)


@pytest.mark.parametrize("label", ["chargers", "dr_events"])
def test_no_field_holds_an_address_to_be_called(label):
    addresses = [
        field
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.URLField | models.FileField) or "url" in field.name
    ]

    assert addresses == []
