"""Requests and responses, as little as the two surfaces need of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class ApiError(Exception):
    """An answer of eDRV that is not `ok`: a status and a message."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


class BadJsonError(ValueError):
    """The body is not JSON."""


def json_response(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    merged = {**JSON_HEADERS, **headers} if headers else JSON_HEADERS
    return web.Response(body=orjson.dumps(body), status=status, headers=merged)


def result_response(result: object, status: int = 200) -> web.Response:
    return json_response({"ok": True, "message": "", "result": result}, status)


def error_response(error: ApiError) -> web.Response:
    body = {"ok": False, "message": error.message, "result": None}
    return json_response(body, error.status, error.headers)


def parse_json(raw: bytes) -> Any:
    """None for an empty body; BadJsonError for anything that is not JSON."""
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadJsonError(f"body is not JSON: {error}") from None


def split_target(raw_path: str) -> tuple[str, dict[str, str]]:
    """The path without trailing slash, and the query's last value of each name."""
    path, _, query = raw_path.partition("?")
    return path.rstrip("/"), dict(parse_qsl(query)) if query else {}
