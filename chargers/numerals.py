"""How numbers are written: as the reader's language has them where a page is made for a reader, as
English has them everywhere else. Only the separators follow the language, never the words.

What is stored, sent or exported is written outside of `written_in`, or in `written_in(PLAIN)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from django.conf import locale
from django.utils.formats import get_format
from django.utils.translation import to_language
from django.utils.translation.trans_real import parse_accept_lang_header

PLAIN = "en"
_language: ContextVar[str] = ContextVar("language of numbers", default=PLAIN)


def numeral(value: float, spec: str = ",") -> str:
    """A number by a format specification: 1,234.5 or, for a German, 1.234,5."""
    return format(value, spec).translate(_separators(_language.get()))


@contextmanager
def written_in(language: str) -> Iterator[None]:
    """Within this, numbers are written as that language has them; one of `language_for`."""
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def language_for(accept_language: str) -> str:
    """The first language of an Accept-Language header (RFC 9110) whose numbers Django knows."""
    for asked_for, _quality in parse_accept_lang_header(accept_language):
        for language in (asked_for, asked_for.partition("-")[0]):
            if language in _known():
                return language
    return PLAIN


@cache
def _known() -> frozenset[str]:
    """A fixed set, so that no header can fill Django's cache of formats."""
    found = Path(locale.__file__).parent.glob("*/formats.py")
    return frozenset(to_language(path.parent.name) for path in found)


@cache
def _separators(language: str) -> dict[int, str]:
    names = {",": "THOUSAND_SEPARATOR", ".": "DECIMAL_SEPARATOR"}
    return {ord(char): get_format(name, language, use_l10n=True) for char, name in names.items()}
