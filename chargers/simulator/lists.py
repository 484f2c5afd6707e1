"""One page of a list: filters, order and paging as in eDRV's v1 description.

v1 calls `paginate_page` "the queried page index" and does not say whether the first is 0 or 1;
hence the setting. A page before the first is the first, one after the last is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from chargers.simulator.clock import ms_from_iso
from chargers.simulator.http import ApiError

DEFAULT_LIMIT, MOST = 20, 1000
DIGITS = 9
TRUE, FALSE = "true", "false"


class Dated(Protocol):
    @property
    def created_ms(self) -> int: ...
    @property
    def updated_ms(self) -> int: ...


Item = TypeVar("Item", bound=Dated)
Predicate = Callable[[Item], bool]


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: Sequence[Item]
    has_next: bool
    has_previous: bool


def page(
    items: Sequence[Item],
    query: Mapping[str, str],
    *,
    filters: Mapping[str, Callable[[Item], str]],
    first_page: int,
) -> Page[Item]:
    """`items` come in the order of their creation. ApiError 400 for a parameter that is wrong."""
    rows = _filtered(items, query, filters)
    if _choice(query, "sort_by", ("createdAt", "updatedAt")) == "updatedAt":
        rows = sorted(rows, key=lambda item: item.updated_ms)
    newest_first = _choice(query, "sort_order", ("desc", "asc")) == "desc"
    if _choice(query, "paginate_enabled", (TRUE, FALSE)) == FALSE:
        return Page(rows[::-1] if newest_first else rows, False, False)
    limit = _whole(query, "paginate_limit", DEFAULT_LIMIT, least=1, most=MOST)
    index = max(_whole(query, "paginate_page", first_page) - first_page, 0)
    start, stop = index * limit, (index + 1) * limit
    has_next, has_previous = stop < len(rows), index > 0 and bool(rows)
    return Page(_cut(rows, start, stop, newest_first), has_next, has_previous)


def _cut(rows: Sequence[Item], start: int, stop: int, newest_first: bool) -> Sequence[Item]:
    """Slices before it reverses: a page of a long list costs no more than one of a short one."""
    if not newest_first:
        return rows[start:stop]
    count = len(rows)
    return rows[max(count - stop, 0) : max(count - start, 0)][::-1]


def _filtered(
    items: Sequence[Item], query: Mapping[str, str], filters: Mapping[str, Callable[[Item], str]]
) -> Sequence[Item]:
    wanted: list[Predicate[Item]] = [*_equal_to(query, filters), *_within(query)]
    for predicate in wanted:
        items = [item for item in items if predicate(item)]
    return items


def _equal_to(
    query: Mapping[str, str], filters: Mapping[str, Callable[[Item], str]]
) -> list[Predicate[Item]]:
    """Compared without case: eDRV's own spellings of a status differ."""
    return [_equals(read, query[name]) for name, read in filters.items() if name in query]


def _equals(read: Callable[[Item], str], value: str) -> Predicate[Item]:
    wanted = value.lower()
    return lambda item: read(item).lower() == wanted


def _within(query: Mapping[str, str]) -> list[Predicate[Dated]]:
    predicates: list[Predicate[Dated]] = []
    for field, attribute in (("createdAt", "created_ms"), ("updatedAt", "updated_ms")):
        low_ms, high_ms = _time_ms(query, f"{field}[$gte]"), _time_ms(query, f"{field}[$lte]")
        if low_ms is not None or high_ms is not None:
            predicates.append(_between(attribute, low_ms, high_ms))
    return predicates


def _between(attribute: str, low_ms: int | None, high_ms: int | None) -> Predicate[Dated]:
    def within(item: Dated) -> bool:
        at_ms = getattr(item, attribute)
        return (low_ms is None or at_ms >= low_ms) and (high_ms is None or at_ms <= high_ms)

    return within


def _time_ms(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    try:
        return ms_from_iso(query[name])
    except ValueError:
        raise ApiError(400, f"{name} must be an ISO-8601 date") from None


def _choice(query: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """The first choice if the parameter is missing."""
    value = query.get(name, choices[0])
    if value not in choices:
        raise ApiError(400, f"{name} must be one of {', '.join(choices)}")
    return value


def _whole(
    query: Mapping[str, str], name: str, default: int, *, least: int = 0, most: int = 10**DIGITS
) -> int:
    value = query.get(name, str(default))
    if not value.isdecimal() or len(value) > DIGITS or not least <= int(value) <= most:
        raise ApiError(400, f"{name} must be a whole number from {least} to {most}")
    return int(value)
