"""Reading the JSON bodies of control calls: a wrong field is named in the answer."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any


class FieldError(ValueError):
    """A field is missing or wrong; the message starts with its name."""


class Fields:
    """A JSON object, read field by field; what nobody asked for is refused at the end."""

    def __init__(self, body: object, *, name: str = "body") -> None:
        if not isinstance(body, dict):
            raise FieldError(f"{name}: must be a JSON object")
        self._body: Mapping[str, Any] = body
        self._prefix = "" if name == "body" else f"{name}."
        self._asked: set[str] = set()

    def number(
        self,
        name: str,
        default: float | None = None,
        *,
        least: float = 0.0,
        most: float = math.inf,
    ) -> float:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(name, "must be a number")
        if not math.isfinite(value) or not least <= value <= most:
            raise self.error(name, f"must lie between {least:g} and {most:g}")
        return value

    def optional_number(self, name: str, *, least: float = 0.0) -> float | None:
        return self.number(name, least=least) if self.has(name) else None

    def whole(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        value = self.number(name, default, least=least)
        if value != int(value):
            raise self.error(name, "must be a whole number")
        return int(value)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._get(name, default)
        if not isinstance(value, str) or not value:
            raise self.error(name, "must be a text")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self._get(name, default)
        if value not in choices:
            raise self.error(name, f"must be one of {', '.join(choices)}")
        return str(value)

    def choices(self, name: str, choices: Sequence[str]) -> frozenset[str]:
        """A list of some of `choices`; empty if the field is missing."""
        values = self._get(name, [])
        if not isinstance(values, list) or not all(value in choices for value in values):
            raise self.error(name, f"must be a list of some of {', '.join(choices)}")
        return frozenset(values)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false")
        return value

    def mapping(self, name: str, default: Mapping[str, Any]) -> Mapping[str, Any]:
        value = self._get(name, default)
        if not isinstance(value, dict):
            raise self.error(name, "must be a JSON object")
        return value

    def has(self, name: str) -> bool:
        self._asked.add(name)
        return self._body.get(name) is not None

    def end(self, known: Collection[str] = ()) -> None:
        """FieldError if a field was sent that nothing reads: a misspelt fault helps nobody."""
        for name in self._body:
            if name not in self._asked and name not in known:
                raise self.error(name, "is not known here")

    def error(self, name: str, problem: str) -> FieldError:
        return FieldError(f"{self._prefix}{name}: {problem}")

    def _get(self, name: str, default: object) -> Any:
        self._asked.add(name)
        value = self._body.get(name)
        if value is None:
            value = default
        if value is None:
            raise self.error(name, "is missing")
        return value
