"""The `edrv-signature` header of webhooks.

eDRV's pages show two forms (docs.edrv.io/docs/secure-webhooks): `t=<timestamp>,v1=<hex>`, and
an older `sha256=<hex>` over the payload with escaped Unicode. What the newer form signs is cut
off in every copy found, so it is the setting EDRV_WEBHOOK_SIGNED_CONTENT: `body`, or `t.body`
as others do. Timestamps in seconds and in milliseconds are both read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

SECONDS_END_AT = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973
# Anybody may send a header, so what it costs to refuse one has an end. A change of secrets needs
# two signatures.
MOST_SIGNATURES = 5
LONGEST_HEADER = 1_000

_NOT_ASCII = re.compile("([^\x00-\x7f]+)")


class SignedContent(StrEnum):
    BODY = "body"
    T_BODY = "t.body"


class BadSignature(Exception):
    """The reason as one word: `missing`, `malformed`, `old`, `mismatch` or `no_secret`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def verify(
    *,
    header: str,
    body: bytes,
    secrets: Sequence[str],
    signed_content: SignedContent,
    now_s: float,
    max_age_s: float,
) -> None:
    """Raises BadSignature unless one of the secrets has signed the body recently enough.

    now_s: seconds since the epoch. The older form carries no time, so it cannot be old; that a
    delivery takes effect once is what defends against its replay.
    """
    if not secrets:
        raise BadSignature("no_secret")
    if not header:
        raise BadSignature("missing")
    if len(header) > LONGEST_HEADER:
        raise BadSignature("malformed")
    contents: Iterable[bytes]
    if header.startswith("sha256="):
        given, contents = [header.removeprefix("sha256=")], _escaped_forms(body)
    else:
        timestamp, given = _parse(header)
        if abs(now_s - _seconds(timestamp)) > max_age_s:
            raise BadSignature("old")
        signed = body if signed_content is SignedContent.BODY else f"{timestamp}.".encode() + body
        contents = [signed]
    if not any(_any_matches(secrets, content, given) for content in contents):
        raise BadSignature("mismatch")


def sign(secret: str, content: bytes) -> str:
    """HMAC-SHA256 as lowercase hex."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def _parse(header: str) -> tuple[str, list[str]]:
    parts = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for key, _, value in parts if key == "t"]
    given = [value for key, _, value in parts if key == "v1"]
    if len(timestamps) != 1 or not _is_number(timestamps[0]):
        raise BadSignature("malformed")
    if not 1 <= len(given) <= MOST_SIGNATURES:
        raise BadSignature("malformed")
    return timestamps[0], given


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16


def _seconds(timestamp: str) -> float:
    number = int(timestamp)
    return number if number < SECONDS_END_AT else number / 1000


def _any_matches(secrets: Sequence[str], content: bytes, given: list[str]) -> bool:
    """Compares everything, whatever matched before: the time taken tells nothing of the secrets."""
    expected = [sign(secret, content).encode() for secret in secrets]
    matches = [
        hmac.compare_digest(one, signature.lower().encode())
        for one in expected
        for signature in given
    ]
    return any(matches)


def _escaped_forms(body: bytes) -> Iterator[bytes]:
    """The payload as it came, and with its non-ASCII characters as \\uXXXX: eDRV's page asks for
    lowercase digits and shows uppercase ones. Whoever has no secret can ask for this as well, so
    nothing is done in Python for each character: json escapes them, as UTF-16 units."""
    yield body
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    if text.isascii():
        return
    pieces = _NOT_ASCII.split(text)
    lowercase = json.dumps(pieces[1::2])
    for escaped in (lowercase, lowercase.upper().replace("\\U", "\\u")):
        pieces[1::2] = escaped.removeprefix('["').removesuffix('"]').split('", "')
        yield "".join(pieces).encode()
