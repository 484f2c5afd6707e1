"""An API client as an integrator would write one, over Django's test client."""

from __future__ import annotations

import json
from typing import Any

from django.core.management import call_command
from django.test import Client

ALL_SCOPES = ("events:read", "events:write", "fleet:read", "reports:read")


def create_client(capsys: Any, name: str, *scopes: str) -> dict[str, str]:
    """What `create_api_client` prints."""
    capsys.readouterr()
    call_command("create_api_client", name, "--scope", *(scopes or ALL_SCOPES))
    return dict(json.loads(capsys.readouterr().out))


class Api:
    """Calls /api/v1/ with a bearer token."""

    def __init__(self, client: Client, credentials: dict[str, str]) -> None:
        self._client = client
        answer = client.post(
            "/oauth/token/",
            {
                "grant_type": "client_credentials",
                "client_id": credentials["client_id"],
                "client_secret": credentials["client_secret"],
            },
        )
        assert answer.status_code == 200, answer.content
        self.token = answer.json()["access_token"]

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"/api/v1/{path}", query, headers=self._headers())

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, body, headers)

    def patch(self, path: str, body: Any) -> Any:
        return self._send("patch", path, body, {})

    def put(self, path: str, body: Any) -> Any:
        return self._send("put", path, body, {})

    def delete(self, path: str) -> Any:
        return self._client.delete(f"/api/v1/{path}", headers=self._headers())

    def call(self, method: str, path: str, body: bytes = b"{}") -> Any:
        """Any call there is, with a body that says nothing."""
        return self._client.generic(
            method, f"/api/v1/{path}", body, "application/json", headers=self._headers()
        )

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        return getattr(self._client, method)(
            f"/api/v1/{path}",
            data=body if isinstance(body, bytes) else json.dumps(body),
            content_type="application/json",
            headers={**self._headers(), **headers},
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def problem(response: Any, status: int) -> dict[str, str]:
    """What a problem+json of this status finds wrong, by field."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    return {error["field"]: error["detail"] for error in body["errors"]}
