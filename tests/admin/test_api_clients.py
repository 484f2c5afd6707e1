"""API clients: made and revoked in the admin, their secret shown once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from chargers.models import AuditEntry
from gateway.models import ApiClient
from tests.admin.support import address, page_of, text_of
from tests.clients import Api


@pytest.fixture
def administrator(log_in: Callable[[str], Client]) -> Client:
    return log_in("administrator")


def create(client: Client, name: str = "scada", *scopes: str) -> Any:
    return client.post(
        address(ApiClient, "add"), {"name": name, "scopes": scopes or ("events:read",)}
    )


def secret_of(page: Any) -> str:
    found = re.search(r'id="client-secret"[^>]*>([^<]+)<', page_of(page))
    assert found is not None
    return found[1]


def test_a_client_is_created_and_its_secret_opens_the_api(administrator: Client) -> None:
    page = create(administrator, "scada", "events:read", "fleet:read")

    client = ApiClient.objects.get()
    assert client.scope_list == ["events:read", "fleet:read"]
    api = Api(Client(), {"client_id": client.client_id, "client_secret": secret_of(page)})
    assert api.get("events/").status_code == 200
    assert api.post("events/", {}).status_code == 403


def test_the_secret_is_shown_once_and_stored_as_a_hash(administrator: Client) -> None:
    page = create(administrator)

    client, secret = ApiClient.objects.get(), secret_of(page)
    assert len(secret) > 60
    assert secret not in client.client_secret
    assert "no-store" in page.headers["Cache-Control"]
    for later in ("changelist", "change", "delete"):
        pk = () if later == "changelist" else (client.pk,)
        shown = page_of(administrator.get(address(ApiClient, later, *pk)))
        assert secret not in shown
        assert client.client_secret not in shown
    assert secret not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "", "scopes": ["events:read"]}, "name"),
        ({"name": "scada\u200b", "scopes": ["events:read"]}, "name"),
        ({"name": "user:root1", "scopes": ["events:read"]}, "name"),
        ({"name": "scada", "scopes": []}, "scopes"),
        ({"name": "scada", "scopes": ["everything"]}, "scopes"),
    ],
)
def test_a_client_needs_a_name_and_known_scopes(
    administrator: Client, fields: dict[str, Any], field: str
) -> None:
    page = administrator.post(address(ApiClient, "add"), fields)

    assert set(page.context["adminform"].form.errors) == {field}
    assert not ApiClient.objects.exists()


def test_a_name_stands_for_one_client(administrator: Client) -> None:
    create(administrator)

    page = create(administrator, "SCADA")

    assert page.status_code == 200
    assert set(page.context["adminform"].form.errors) == {"name"}
    assert ApiClient.objects.count() == 1


def test_a_client_is_revoked_with_its_tokens(administrator: Client) -> None:
    page = create(administrator)
    client = ApiClient.objects.get()
    api = Api(Client(), {"client_id": client.client_id, "client_secret": secret_of(page)})

    done = administrator.post(address(ApiClient, "delete", client.pk), {"post": "yes"})

    assert done.status_code == 302
    assert not ApiClient.objects.exists()
    assert api.get("events/").status_code == 401
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["apiclient.added", "apiclient.deleted"]


def test_a_client_is_not_changed(administrator: Client) -> None:
    create(administrator)
    client = ApiClient.objects.get()

    answer = administrator.post(address(ApiClient, "change", client.pk), {"name": "x"})

    assert answer.status_code == 403


def test_the_list_shows_name_scopes_and_age(administrator: Client) -> None:
    create(administrator, "scada", "events:read", "events:write")

    said = text_of(administrator.get(address(ApiClient, "changelist")))

    assert "scada events:read events:write" in said
    assert "2026-07-01 18:00" in said
