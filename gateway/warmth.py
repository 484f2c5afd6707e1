"""What a process that lives long does before its first request or task."""

from __future__ import annotations

import gc

from django.urls import get_resolver, reverse


def load_urls() -> None:
    """Read the URLs, and with them every view, and look one up by its name, now and not in the
    first requests. Each thread that finds no list of the names makes one for itself; a hundred of
    them, where a process begins in the midst of a flood, have kept each other from it for half a
    minute."""
    assert get_resolver().url_patterns
    assert reverse("admin:index")


def spare_what_stays() -> None:
    """Take all that has been loaded out of the garbage collector's rounds. It stays for the
    process's life, and every full round would go through its 200,000 objects in vain (measured:
    0.2 s, three times in a burst of 10,000 commands)."""
    gc.collect()
    gc.freeze()
