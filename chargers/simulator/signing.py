"""The `edrv-signature` header, in the two forms eDRV's pages describe.

Newer: `t=<ms>,v1=<hex>`, HMAC-SHA256 of the raw body, or of `<t>.<body>`: which of the two is
in no page, hence the setting. Older: `sha256=<hex>` over the payload with escaped Unicode and
lowercase hex digits, while the body itself travels unescaped.
"""

from __future__ import annotations

import hmac
import json
import re

HEADER = "edrv-signature"
SIGNED_CONTENTS = ("body", "t.body")
STYLES = ("v1", "legacy")
NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def sign(body: bytes, *, secret: str, at_ms: int, signed_content: str, style: str) -> str:
    """The header's value for one attempt; `at_ms` is the time of the attempt."""
    if style == "legacy":
        return f"sha256={_hmac_hex(secret, escape_unicode(body))}"
    content = body if signed_content == "body" else b"%d.%b" % (at_ms, body)
    return f"t={at_ms},v1={_hmac_hex(secret, content)}"


def escape_unicode(body: bytes) -> bytes:
    r"""A JSON text with everything beyond ASCII as lowercase `\uXXXX`."""
    return NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], body.decode()).encode()


def _hmac_hex(secret: str, content: bytes) -> str:
    return hmac.digest(secret.encode(), content, "sha256").hex()
