"""All that is filled in to declare or amend an event: the form, the rows of its scope and of its
steps, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.http import HttpRequest

from dr_events.admin.form_rows import (
    MOST_TARGET_ROWS,
    StepRows,
    Steps,
    TargetRows,
    Targets,
    duration_of,
    fit_rows,
    initial_of_steps,
)
from dr_events.admin.forms import AmendForm, DeclareForm
from dr_events.models import Event

AnyForm = TypeVar("AnyForm", DeclareForm, AmendForm)
REQUIRED = "This field is required."
ONE_OR_SEVERAL = "Say one limit or several steps, not both."


@dataclass(slots=True)
class OrderSheet(Generic[AnyForm]):
    """`targets` or `steps` are None where a form cannot hold them; they stay as they are then."""

    form: AnyForm
    targets: Targets | None
    steps: Steps | None

    @property
    def has_steps(self) -> bool:
        return self.steps is not None and bool(self.steps.used)

    def is_valid(self) -> bool:
        """All parts are looked at, so that all that is wrong is shown at once."""
        parts = [part for part in (self.form, self.targets, self.steps) if part is not None]
        valid = [part.is_valid() for part in parts]
        if "limit_value" not in self.form.errors:
            self._check_limit()
        return all(valid) and not self.form.errors

    def _check_limit(self) -> None:
        value = self.form.cleaned_data.get("limit_value")
        # Steps that a form cannot hold stay, unless another limit or kind is named.
        is_needed = self.steps is not None or "limit_kind" in self.form.changed_data
        if self.has_steps and value is not None:
            self.form.add_error("limit_value", ONE_OR_SEVERAL)
        elif is_needed and not self.has_steps and value is None:
            self.form.add_error("limit_value", REQUIRED)

    @property
    def has_errors(self) -> bool:
        rows = [part for part in (self.targets, self.steps) if part is not None and part.is_bound]
        return bool(self.form.errors) or any(
            part.total_error_count() or part.problems for part in rows
        )

    def ordered(self) -> dict[str, Any]:
        """One limit, or several steps."""
        if self.steps is None or not self.has_steps:
            return {"limit": self.form.limit}
        return {"intervals": self.steps.as_json(self.form.kind, self.form.unit)}


def new_sheet(request: HttpRequest) -> OrderSheet[DeclareForm]:
    """To declare an event: blank, or as it was filled in."""
    data = request.POST if request.method == "POST" else None
    return OrderSheet(DeclareForm(data), TargetRows(data), StepRows(data))


def declaration(sheet: OrderSheet[DeclareForm]) -> dict[str, Any]:
    """As `POST /api/v1/events/` takes it."""
    targets = sheet.targets.as_json() if sheet.targets else []
    return {**sheet.form.declaration(), **sheet.ordered(), "targets": targets}


def sheet_of(event: Event, request: HttpRequest) -> OrderSheet[AmendForm]:
    """To amend an event: as it stands, or as it was filled in."""
    data = request.POST if request.method == "POST" else None
    targets, steps = list(event.targets.values("type", "value")), event.steps
    return OrderSheet(
        AmendForm(data, event=event),
        TargetRows(data, initial=targets if data is None else None)
        if len(targets) < MOST_TARGET_ROWS
        else None,
        StepRows(data, initial=initial_of_steps(steps) if data is None else None)
        if fit_rows(steps)
        else None,
    )


def amendment(sheet: OrderSheet[AmendForm], event: Event, *, now: datetime) -> dict[str, Any]:
    """As `PATCH /api/v1/events/{id}/` takes it: only what differs."""
    told = sheet.form.amendment(now=now)
    if sheet.targets is not None and _names_others(sheet.targets, event):
        told["targets"] = sheet.targets.as_json()
    ordered = sheet.ordered()
    keeps_steps = sheet.steps is None and ordered["limit"]["value"] is None
    return told if keeps_steps or ordered == _stands(event) else {**told, **ordered}


def _names_others(targets: Targets, event: Event) -> bool:
    stands = set(event.targets.values_list("type", "value"))
    return {(row["type"], row["value"] or "") for row in targets.as_json()} != stands


def _stands(event: Event) -> dict[str, Any]:
    """What an event orders, as a sheet that was left alone would say it."""
    steps = event.steps
    if not steps:
        return {"limit": event.amount.as_json()}
    minutes = [row["minutes"] for row in initial_of_steps(steps)]
    return {
        "intervals": [
            {"limit": step.amount.as_json(), "duration": duration_of(of_step)}
            for step, of_step in zip(steps, minutes, strict=True)
        ]
    }
