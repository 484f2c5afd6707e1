"""Reads environment variables for `settings`, and says of a bad one which it is and what it
should be.

A variable that is empty counts as unset: compose files pass those on. The messages show values
only where these cannot be secrets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured

YES = ("1", "true", "yes", "on", "y", "ok")
NO = ("0", "false", "no", "off", "n")
MAIL_SCHEMES = ("smtp", "smtp+tls", "smtp+ssl")
NO_MAIL = "dummymail://"
KEY_ID = re.compile(r"[\w.-]{1,40}")
KEY = re.compile(r"[0-9a-f]{64}")
RATE = re.compile(r"[1-9]\d*/(s|sec|second|m|min|minute|h|hour|d|day)")


class BadVariable(ImproperlyConfigured):
    """The message names the variable first."""

    def __init__(self, name: str, trouble: str) -> None:
        super().__init__(f"{name}: {trouble}")


class Environment:
    """Every method takes a variable's name, and its value where it is unset."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def flag(self, name: str, default: bool) -> bool:
        said = self.text(name).lower()
        if said and said not in YES + NO:
            raise BadVariable(name, f"{said!r} is neither 1 nor 0")
        return said in YES if said else default

    def whole(self, name: str, default: int, *, least: int) -> int:
        number = self.number(name, default, least=least)
        if number != int(number):
            raise BadVariable(name, f"{number} is not a whole number")
        return int(number)

    def number(
        self, name: str, default: float, *, least: float = 0, above: float = -math.inf
    ) -> float:
        """A number from `least` on, and larger than `above`."""
        said = self.text(name)
        try:
            number = float(said) if said else default
        except ValueError as error:
            raise BadVariable(name, f"{said!r} is not a number") from error
        if not math.isfinite(number) or number < least or number <= above:
            bound = f"above {above}" if above >= least else f"{least} or more"
            raise BadVariable(name, f"{said} is not {bound}")
        return number

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Separated by commas."""
        said = [word for part in self.text(name).split(",") if (word := part.strip())]
        return said or list(default)

    def mapping(self, name: str, *, values: Sequence[str]) -> dict[str, str]:
        """Pairs such as a=b, separated by commas; each value one of `values`."""
        found = {}
        for word in self.words(name):
            key, _, value = (part.strip() for part in word.rpartition("="))
            if not key or value not in values:
                raise BadVariable(
                    name, f"{word!r} does not end in = and one of {', '.join(values)}"
                )
            found[key] = value
        return found

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of `choices`; unset, the first."""
        said = self.text(name, choices[0]).lower()
        found = next((choice for choice in choices if choice.lower() == said), None)
        if found is None:
            raise BadVariable(name, f"{said!r} is none of {', '.join(choices)}")
        return found

    def rate(self, name: str, default: str) -> str:
        """So many in a period, such as 100/s."""
        said = self.text(name, default)
        if not RATE.fullmatch(said):
            raise BadVariable(name, f"{said!r} is no rate such as 100/s or 60/min")
        return said

    def time_zone(self, name: str, default: str) -> str:
        said = self.text(name, default)
        try:
            ZoneInfo(said)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadVariable(name, f"{said!r} is no time zone such as Europe/Berlin") from error
        return said

    def address(self, name: str, default: str = "", *, schemes: Sequence[str]) -> str:
        """A URL, or a socket's path, in one of `schemes`; empty where neither is given."""
        said = self.text(name, default)
        if said and not _is_address(said, schemes):
            raise BadVariable(name, f"is no address in {' or '.join(f'{s}://' for s in schemes)}")
        return said

    def several(
        self, name: str, choices: Sequence[str], *, unset: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Some of `choices`, separated by commas; unset, all of them unless told otherwise."""
        said = self.words(name, choices if unset is None else unset)
        for word in said:
            if word not in choices:
                raise BadVariable(name, f"{word!r} is none of {', '.join(choices)}")
        return tuple(said)

    def dates(self, name: str) -> tuple[date, ...]:
        """ISO dates, separated by commas, in order."""
        found = set()
        for word in self.words(name):
            try:
                found.add(date.fromisoformat(word))
            except ValueError as error:
                raise BadVariable(name, f"{word!r} is no date such as 2026-07-04") from error
        return tuple(sorted(found))

    def keys(self, name: str) -> dict[str, str]:
        """`id:64 hex digits`, separated by commas, as a dict in this order."""
        found = dict(word.partition(":")[::2] for word in self.words(name))
        if not all(KEY_ID.fullmatch(id_) and KEY.fullmatch(key) for id_, key in found.items()):
            raise BadVariable(name, "is not id:key, with a key of 64 hexadecimal digits")
        return found

    def database(self, name: str) -> dict[str, Any] | None:
        """Django's settings of a PostgreSQL; None where it is unset."""
        said = self.address(name, schemes=("postgres", "postgresql"))
        if not said:
            return None
        found: dict[str, Any] = environ.Env.db_url_config(said)
        if not found["NAME"]:
            raise BadVariable(name, "names no database: postgres://user:password@host:5432/name")
        return found

    def mail_server(self, name: str) -> dict[str, Any]:
        """Django's settings of a mail server; those of none where it is unset."""
        said = self.text(name)
        if said and not _is_address(said, MAIL_SCHEMES):
            raise BadVariable(name, "is no address such as smtp+tls://user:password@host:587")
        return {**environ.Env.email_url_config(said or NO_MAIL)}


def _is_address(said: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(said)
        _checked = parts.port
    except ValueError:
        return False
    has_place = parts.netloc or (parts.path.strip("/") and not parts.scheme.startswith("http"))
    return parts.scheme in schemes and bool(has_place)
