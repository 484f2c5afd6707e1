"""Signatures, checked with hashlib alone: the way a receiver would."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from chargers.simulator.signing import escape_unicode, sign

BODY = '{"name":"Łódź 🔌"}'.encode()


def digest(content: bytes) -> str:
    return hmac.new(b"s3cret", content, hashlib.sha256).hexdigest()


def test_v1_signs_the_raw_body() -> None:
    header = sign(BODY, secret="s3cret", at_ms=1693, signed_content="body", style="v1")

    assert header == f"t=1693,v1={digest(BODY)}"


def test_v1_may_sign_the_time_and_the_body() -> None:
    header = sign(BODY, secret="s3cret", at_ms=1693, signed_content="t.body", style="v1")

    assert header == f"t=1693,v1={digest(b'1693.' + BODY)}"


def test_the_older_form_signs_the_escaped_payload() -> None:
    escaped = rb'{"name":"\u0141\u00f3d\u017a \ud83d\udd0c"}'

    header = sign(BODY, secret="s3cret", at_ms=1693, signed_content="body", style="legacy")

    assert header == f"sha256={digest(escaped)}"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("ëä", rb"\u00eb\u00e4"),  # lowercase digits, as the text of eDRV's page says
        ("plain \\n \\u0041", rb"plain \n \u0041"),  # what is escaped already stays
        ("", b""),
    ],
)
def test_unicode_is_escaped_and_nothing_else(text: str, escaped: bytes) -> None:
    assert escape_unicode(text.encode()) == escaped
