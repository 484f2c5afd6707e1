"""OWASP API7:2023, server side request forgery: there is no address that a user, a client or eDRV
can give and that the gateway then calls. eDRV's own is a setting (EDRV_API_URL), and only `edrv`
calls it."""

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
    "chargers/audit.py": "nobody: the name of this machine",
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


def test_only_the_wire_to_edrv_makes_requests():
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
