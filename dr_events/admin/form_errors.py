"""The errors of `declarations`, which name the fields of the REST interface, at the fields of the
form that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from django import forms

from dr_events.admin.forms import Targets

Step: TypeAlias = str | int


def place_errors(form: forms.Form, targets: Targets | None, detail: Any) -> None:
    """Put the errors of a shape (rest_framework's `detail`) at the fields they speak of. Where
    the form has found something wrong itself, that is enough."""
    found_already = set(form.errors)
    for path, text in _flat(detail):
        message = _for_people(text)
        match path:
            case ("targets", *rest) if targets is not None:
                _place_target_error(targets, rest, message)
            case ("limit", name) if f"limit_{name}" in form.fields:
                if f"limit_{name}" not in found_already:
                    form.add_error(f"limit_{name}", message)
            case (str() as name, *_) if name in form.fields:
                if name not in found_already:
                    form.add_error(name, message)
            case _:
                form.add_error(None, f"{'.'.join(map(str, path))}: {text}".removeprefix(": "))


def _for_people(text: str) -> str:
    """The interface names its fields; the form has labels for them."""
    text = text.replace("starts_at", "the start").replace("ends_at", "the end")
    return text[:1].upper() + text[1:]


def _place_target_error(targets: Targets, path: Sequence[Step], message: str) -> None:
    if targets.non_form_errors():
        return
    match path:
        case (int() as row, ("type" | "value") as field) if row < len(targets.used):
            if not targets.used[row].errors:
                targets.used[row].add_error(field, message)
        case _:
            targets.problems.append(message)


def _flat(detail: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], str]]:
    """`{"limit": {"value": ["…"]}}` → (("limit", "value"), "…")."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flat(inner, path if name == "non_field_errors" else (*path, name))
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        for row, inner in enumerate(detail):
            yield from _flat(inner, path if isinstance(inner, str) else (*path, row))
    else:
        yield path, str(detail)
