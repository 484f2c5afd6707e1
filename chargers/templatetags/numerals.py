"""Counts in templates, written as the reader's language has them."""

from __future__ import annotations

from django import template

from chargers.numerals import numeral

register = template.Library()


@register.filter("numeral")
def _numeral(value: float | None) -> str:
    """1,234; nothing for nothing."""
    return "" if value is None else numeral(value)


@register.simple_tag
def numeral_sample() -> str:
    """1,234.5 as the reader's language has it: charts take their separators from it."""
    return numeral(1234.5)
