"""Every call we make of eDRV's API: its method, path and body, and how its answer is read.

The single calls (`client`, requests) and the burst (`burst`, libcurl) both send these, and read
what comes back here.
"""

from __future__ import annotations

import email.utils
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from chargers.edrv import payloads
from chargers.edrv.errors import NotFound, ProviderFailed, Refused, error_for_status
from chargers.electricity import Limit, plain_number

MAX_DETAIL = 300
# A wish for longer than this is a mistake somewhere: nobody waits for it.
MAX_RETRY_AFTER_S = 300.0
# What these say is said by the status alone, whoever answered.
PLAIN_STATUSES = {401, 403, 408, 429}
# How servers say that they know no such call; AWS' gateways say it by 403.
NOT_THERE_STATUSES = {403, 404, 405, 410, 501}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where eDRV is and how it is spoken to. The verb of the two power-limit calls is in none
    of eDRV's pages, so it is a setting (EDRV_COMMAND_METHOD)."""

    api_url: str
    api_key: str = field(repr=False)
    command_method: str = "POST"
    timeout_s: float = 15

    def headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.api_key}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }


@dataclass(frozen=True, slots=True)
class Call:
    """`path` below the API's base; `body` is sent as JSON, None as no body."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and whether eDRV says there are others (None: it does not say)."""

    items: list[Any]
    has_next: bool | None
    has_previous: bool | None


def set_power_limit(endpoint: Endpoint, session_id: str, limit: Limit) -> Call:
    """`limit` in whole watts, or amperes per phase. A GET has no body, so there the query says
    it: where eDRV would look for it is in no page of eDRV's."""
    said = {"unit": str(limit.unit), "limit": plain_number(limit.value)}
    path = f"/sessions/{quote(session_id)}/set_power_limit"
    if endpoint.command_method == "GET":
        return Call("GET", f"{path}?{urllib.parse.urlencode(said)}")
    return Call(endpoint.command_method, path, orjson.dumps(said))


def clear_power_limit(endpoint: Endpoint, session_id: str) -> Call:
    """The end of the limit, whatever it was."""
    return Call(endpoint.command_method, f"/sessions/{quote(session_id)}/clear_power_limit")


def get_action(action_id: str) -> Call:
    """In no document of eDRV's: nothing may depend on it being there."""
    return Call("GET", f"/actions/{quote(action_id)}")


def get_session(session_id: str) -> Call:
    """One session as it stands."""
    return Call("GET", f"/sessions/{quote(session_id)}")


def quote(part: str) -> str:
    """An id as one path segment: ids come from outside."""
    return urllib.parse.quote(part, safe="")


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The envelope's `result`. Raises the EdrvError that status and body stand for.

    The envelope is `{"ok": true, "message": "", "result": …}`; `message` varies and is only
    ever shown to people. An object without `result` is taken for the result itself. What is not
    JSON comes from a proxy on the way, whatever its status. So does a 404 without `"ok": false`:
    API gateways say in JSON of their own that they know no such route, while what is behind them is
    replaced, and that says nothing about a session.
    """
    envelope = _parse(body)
    message = _message(envelope, body)
    if not isinstance(envelope, Mapping | list) and status not in PLAIN_STATUSES:
        raise ProviderFailed(f"not JSON of eDRV's: {message}", status, ambiguous=True)
    if status == 404 and not _says_no(envelope):
        raise ProviderFailed(f"no 404 of eDRV's: {message}", status, ambiguous=True)
    if not 200 <= status < 300:
        raise error_for_status(status, message, read_retry_after(headers.get("Retry-After")))
    if _says_no(envelope):
        raise Refused(message, status)
    if not isinstance(envelope, Mapping):
        return envelope
    return envelope.get("result", envelope)


def read_page(status: int, headers: Mapping[str, str], body: bytes) -> Page:
    """A list's items and whether there are more, as far as it says. Raises EdrvError."""
    result = read_answer(status, headers, body)
    around: Any = _parse(body)
    if isinstance(result, Mapping) and "docs" in result:
        # The page object of the usual pagination library for MongoDB.
        around, result = result, result["docs"]
    if not isinstance(result, list):
        raise ProviderFailed("a list without a list in `result`", status)
    said = around if isinstance(around, Mapping) else {}
    return Page(
        result,
        payloads.read_bool(said.get("hasNext", said.get("hasNextPage"))),
        payloads.read_bool(said.get("hasPrevious", said.get("hasPrevPage"))),
    )


def read_action_answer(status: int, headers: Mapping[str, str], body: bytes) -> payloads.Action:
    """The Action of a set, a clear or a look. Raises EdrvError."""
    result = read_answer(status, headers, body)
    try:
        return payloads.read_action(result)
    except payloads.Unreadable as error:
        raise ProviderFailed(str(error), status, ambiguous=True) from error


def read_action_look(status: int, headers: Mapping[str, str], body: bytes) -> payloads.Action:
    """The Action of a GET. Raises EdrvError; NotFound also where the call itself is not there,
    which a server says in whatever words it has."""
    if status in NOT_THERE_STATUSES:
        raise NotFound(_message(_parse(body), body), status)
    return read_action_answer(status, headers, body)


def read_session_answer(
    status: int, headers: Mapping[str, str], body: bytes
) -> payloads.SessionData:
    """The Session of a look. Raises EdrvError."""
    result = read_answer(status, headers, body)
    try:
        return payloads.read_session(result)
    except payloads.Unreadable as error:
        raise ProviderFailed(str(error), status) from error


def read_retry_after(value: str | None) -> float | None:
    """Seconds; the header holds seconds or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    seconds = payloads.read_number(value.strip())
    if seconds is None:
        try:
            until = email.utils.parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)


def _parse(body: bytes) -> Any:
    """Read as webhooks are; None for what is not JSON."""
    try:
        return payloads.parse(body)
    except payloads.Unreadable:
        return None


def _says_no(envelope: Any) -> bool:
    """Whether this is the envelope in which eDRV says no."""
    return isinstance(envelope, Mapping) and payloads.read_bool(envelope.get("ok")) is False


def _message(envelope: Any, body: bytes) -> str:
    if isinstance(envelope, Mapping) and isinstance(envelope.get("message"), str):
        return str(envelope["message"])[:MAX_DETAIL]
    return " ".join(body[:MAX_DETAIL].decode(errors="replace").split())
