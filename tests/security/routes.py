"""Every address the gateway answers, read from the URL configuration itself: a new one cannot be
forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

API = "api/v1/"


def walk(resolver: Any = None, above: str = "") -> Iterator[tuple[str, Any]]:
    """(`admin/login/`, its view), the variable parts as {}."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = above + _plain(str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from walk(entry, route)
        elif isinstance(entry, URLPattern):
            yield route, entry.callback


def _plain(pattern: str) -> str:
    """`events/<uuid:pk>/` and `^(?P<url>.*)$` → `events/{}/` and `{}`."""
    return re.sub(r"<[^>]*>|\(\?P<[^)]*\)", "{}", pattern).lstrip("^").rstrip("$")


def rest_calls() -> set[tuple[str, str]]:
    """(`GET`, `events/{}/`) for each call of the REST interface, as the views serve them."""
    return {
        (method.upper(), route.removeprefix(API))
        for route, view in walk()
        if route.startswith(API)
        for method in _methods(view)
    }


def _methods(view: Any) -> Iterator[str]:
    if actions := getattr(view, "actions", None):
        # Once it has been called a view serves HEAD, too, by way of its GET.
        yield from (method for method in actions if method != "head")
    elif (cls := getattr(view, "cls", None)) is not None:
        yield from (m for m in cls.http_method_names if hasattr(cls, m) and m != "options")
    else:
        # A view that does not say: as if it took anything.
        yield from ("get", "post")
