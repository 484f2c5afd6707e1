"""The keys that sign evidence, as configured."""

from __future__ import annotations

from django.conf import settings


def newest() -> tuple[str, str]:
    """The one that signs: its id, and its seed in hexadecimal digits."""
    key_id, seed = next(iter(settings.EVIDENCE_SIGNING_KEYS.items()))
    return key_id, seed
