"""The admin's way of writing limits and watts, for templates."""

from __future__ import annotations

from django import template

from chargers.wording import limit_text, watts_text, words

register = template.Library()

register.filter("limit", limit_text)
register.filter("watts", watts_text)
register.filter("words", words)
