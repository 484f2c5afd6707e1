"""The rows of the forms that declare and amend an event: its scope, and its steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import isodate
from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from chargers.electricity import plain_number
from dr_events.models import EventTarget
from dr_events.timeline import Step, has_gap

# Django reads at most 1,000 fields of a form; an event of more rows is amended by REST.
MOST_TARGET_ROWS = 300
MOST_STEP_ROWS = 100
MOST_MINUTES = 366 * 24 * 60


class TargetForm(forms.Form):
    """One row of the scope; an empty one means nothing."""

    type = forms.ChoiceField(
        required=False,
        choices=[("", "Choose…"), *EventTarget.Type.choices],
        widget=UnfoldAdminSelectWidget({"data-target-type": "", "aria-label": "Type of target"}),
    )
    value = forms.CharField(
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget(
            {
                "data-target-value": "",
                "aria-label": "Name or eDRV id",
                "placeholder": "Name or eDRV id",
                "autocomplete": "off",
            }
        ),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("value") and not data.get("type"):
            self.add_error("type", "Say what this is.")
        return data

    @property
    def is_empty(self) -> bool:
        return not self.cleaned_data.get("type")

    @property
    def target(self) -> dict[str, Any]:
        return {"type": self.cleaned_data["type"], "value": self.cleaned_data.get("value") or None}


class StepForm(forms.Form):
    """One row of the steps; an empty one means nothing."""

    minutes = forms.FloatField(
        required=False,
        max_value=MOST_MINUTES,
        widget=UnfoldAdminDecimalFieldWidget(
            {"aria-label": "For so many minutes", "placeholder": "to the end"}
        ),
    )
    value = forms.FloatField(
        required=False,
        widget=UnfoldAdminDecimalFieldWidget({"aria-label": "Limit of this step"}),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        has_value = data.get("value") is not None or "value" in self.errors
        if data.get("minutes") is not None and not has_value:
            self.add_error("value", "Say the limit of this step.")
        return data

    def clean_minutes(self) -> float | None:
        minutes: float | None = self.cleaned_data["minutes"]
        if minutes is not None and minutes * 60 < 1:
            raise forms.ValidationError("Must be more than nothing.")
        return minutes

    @property
    def is_empty(self) -> bool:
        said = (self.cleaned_data.get("minutes"), self.cleaned_data.get("value"))
        return said == (None, None) and not self.errors

    def interval(self, kind: str | None, unit: str | None) -> dict[str, Any]:
        """As the REST interface takes it."""
        minutes = self.cleaned_data.get("minutes")
        limit = {"kind": kind, "unit": unit, "value": self.cleaned_data.get("value")}
        return {"limit": limit, "duration": duration_of(minutes)}


def duration_of(minutes: float | None) -> str | None:
    """PT1M30S; with a sign where it is negative."""
    if minutes is None:
        return None
    return str(isodate.duration_isoformat(timedelta(seconds=round(minutes * 60))))


def minutes_of(duration: timedelta | None) -> float | int | None:
    """1.5; None for to the end."""
    return None if duration is None else plain_number(duration.total_seconds() / 60)


class Rows(forms.BaseFormSet):  # type: ignore[type-arg]
    """Rows of which empty ones mean nothing. `problems` are those of no single row."""

    prefix_of_all = ""

    def __init__(self, data: Any = None, *, initial: Any = None) -> None:
        super().__init__(data, prefix=self.prefix_of_all, initial=initial)
        self.problems: list[str] = []

    @property
    def used(self) -> list[Any]:
        return [row for row in self.forms if not row.is_empty]


class Targets(Rows):
    """The scope."""

    prefix_of_all = "targets"

    def clean(self) -> None:
        if not any(self.errors) and not self.used:
            raise forms.ValidationError("Name at least one target.")

    def as_json(self) -> list[dict[str, Any]]:
        return [row.target for row in self.used]


class Steps(Rows):
    """The steps; none where one limit holds for all of the event."""

    prefix_of_all = "steps"

    @property
    def is_filled_in(self) -> bool:
        """Whether there is anything in it to be seen."""
        if self.is_bound:
            return bool(self.problems or self.total_error_count() or self.used)
        return bool(self.initial)

    def as_json(self, kind: str | None, unit: str | None) -> list[dict[str, Any]]:
        return [row.interval(kind, unit) for row in self.used]


def initial_of_steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as their rows first show them."""
    return [
        {
            "minutes": minutes_of(step.ends_after - step.starts_after if step.ends_after else None),
            "value": plain_number(step.amount.value),
        }
        for step in steps
    ]


def fit_rows(steps: Sequence[Step]) -> bool:
    """Whether rows can say these: no gaps, and one unit."""
    return (
        len(steps) < MOST_STEP_ROWS
        and not has_gap(steps)
        and len({step.amount.unit for step in steps}) <= 1
    )


def _rows(form: type[forms.Form], formset: type[Rows], *, extra: int, most: int) -> Any:
    return forms.formset_factory(
        form, formset=formset, extra=extra, max_num=most, absolute_max=most
    )


TargetRows = cast(type[Targets], _rows(TargetForm, Targets, extra=1, most=MOST_TARGET_ROWS))
StepRows = cast(type[Steps], _rows(StepForm, Steps, extra=2, most=MOST_STEP_ROWS))
