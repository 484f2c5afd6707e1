"""One control call, and how its parameters are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from chargers.simulator.assembly import Assembly
from chargers.simulator.fields import FieldError, Fields
from chargers.simulator.http import ApiError

Item = TypeVar("Item")
DIGITS = 12


@dataclass(frozen=True, slots=True)
class Call:
    """`args`: what stood at the stars of the path's pattern."""

    args: tuple[str, ...]
    query: Mapping[str, str]
    body: Any

    def fields(self) -> Fields:
        """The body's fields; a missing body counts as an empty object."""
        return Fields({} if self.body is None else self.body)

    def flag(self, name: str, default: bool) -> bool:
        value = self.query.get(name, str(default).lower())
        if value not in ("true", "false"):
            raise FieldError(f"{name}: must be true or false")
        return value == "true"

    def whole(self, name: str, default: int) -> int:
        value = self.query.get(name, str(default))
        if not value.isdecimal() or len(value) > DIGITS:
            raise FieldError(f"{name}: must be a whole number of at most {DIGITS} digits")
        return int(value)


Handler = Callable[[Assembly, Call], Awaitable[object]]


def found(by_id: Mapping[str, Item], id_: str, what: str) -> Item:
    if (item := by_id.get(id_)) is None:
        raise ApiError(404, f"{what}: {id_} does not exist")
    return item
