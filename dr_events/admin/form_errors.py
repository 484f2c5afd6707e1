"""The errors of `declarations`, which name the fields of the REST interface, at the fields of the
form that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from django import forms

from dr_events.admin.form_rows import Rows
from dr_events.admin.forms import KIND_WORDS
from dr_events.admin.order_sheets import OrderSheet

PathStep: TypeAlias = str | int
Path: TypeAlias = tuple[PathStep, ...]
# Of the REST interface, to that of the form.
FIELDS: dict[Path, str] = {
    ("limit", "kind"): "limit_kind",
    ("limit", "unit"): "limit_unit",
    ("limit", "value"): "limit_value",
    ("limit",): "limit_value",
    ("restore", "rate_w_per_min"): "restore_rate",
    ("restore", "random_share"): "restore_random",
}
# An end is said in three ways, and only the one that is chosen can be seen.
ENDS = {"for": "duration", "at": "ends_at", "open": "end"}


def place_errors(sheet: OrderSheet[Any], detail: Any) -> None:
    """Put the errors of a shape (rest_framework's `detail`) at the fields they speak of. Where
    the form has found something wrong itself, that is enough."""
    form, targets, steps = sheet.form, sheet.targets, sheet.steps
    found_already = set(form.errors)
    for path, text in _flat(detail):
        message = _for_people(text)
        match path:
            case ("targets", *rest) if targets is not None:
                _place_in_rows(targets, rest, message)
            case ("intervals", int(), "limit", ("kind" | "unit") as name):
                _place(form, f"limit_{name}", message, found_already)
            case ("intervals", *rest) if steps is not None:
                _place_in_rows(steps, [_step_field(name) for name in rest if name != "limit"],
                               message)  # fmt: skip
            case _ if (field := _field_of(form, path)) in form.fields:
                _place(form, field, message, found_already)
            case _:
                form.add_error(None, f"{'.'.join(map(str, path))}: {text}".removeprefix(": "))


def _place(form: forms.Form, field: str, message: str, found_already: set[str]) -> None:
    if field not in found_already:
        form.add_error(field, message)


def _field_of(form: forms.Form, path: Path) -> str:
    if path and path[0] in ("ends_at", "duration"):
        return ENDS.get(form.cleaned_data.get("end", ""), str(path[0]))
    return FIELDS.get(path) or (str(path[0]) if path else "")


def _step_field(name: PathStep) -> PathStep:
    """When a step ends is said in minutes, and so is when the next begins."""
    return "minutes" if name in ("duration", "starts_at") else name


def _for_people(text: str) -> str:
    """The interface names its fields; the form has labels for them."""
    text = text.replace("starts_at", "the start").replace("ends_at", "the end")
    text = text.replace("minimum contradicts", "6 A contradicts")
    text = re.sub(
        r"contradicts (\w+):",
        lambda found: f"contradicts a limit {KIND_WORDS.get(found[1], found[1])}:",
        text,
    )
    return text[:1].upper() + text[1:]


def _place_in_rows(rows: Rows, path: Sequence[PathStep], message: str) -> None:
    """At the field of a row, where the path leads to one; else at the row, or at all of them."""
    if rows.non_form_errors():
        return
    match path:
        case (int() as number, *rest) if number < len(rows.used):
            row = rows.used[number]
            if not row.errors:
                is_field = bool(rest) and rest[0] in row.fields
                row.add_error(rest[0] if is_field else None, message)
        case _:
            rows.problems.append(message)


def _flat(detail: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """`{"limit": {"value": ["…"]}}` → (("limit", "value"), "…")."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            # Of a list's items rest_framework gives the number as a key.
            step = int(name) if isinstance(name, str) and name.isdigit() else name
            yield from _flat(inner, path if name == "non_field_errors" else (*path, step))
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        for row, inner in enumerate(detail):
            yield from _flat(inner, path if isinstance(inner, str) else (*path, row))
    else:
        yield path, str(detail)
