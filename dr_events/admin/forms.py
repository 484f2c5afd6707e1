"""The forms that declare and amend an event. They read HTML; what may be declared is decided by
`declarations`, whose errors `form_errors` puts at the fields they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import isodate
from django import forms
from django.utils import timezone
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from chargers.electricity import plain_number
from dr_events.models import Event, EventTarget

# Django reads at most 1,000 fields of a form; an event of more targets is amended by REST.
MOST_TARGET_ROWS = 300
DURATIONS = [
    ("PT15M", "15 minutes"),
    ("PT30M", "30 minutes"),
    ("PT45M", "45 minutes"),
    ("PT1H", "1 hour"),
    ("PT1H30M", "1½ hours"),
    ("PT2H", "2 hours"),
    ("PT3H", "3 hours"),
    ("PT4H", "4 hours"),
    ("PT6H", "6 hours"),
    ("PT12H", "12 hours"),
]


class LocalTime(forms.DateTimeField):
    """A time in the gateway's zone, by the browser's own picker."""

    def __init__(self, label: str) -> None:
        attrs = {"type": "datetime-local", "class": " ".join(INPUT_CLASSES)}
        widget = forms.DateTimeInput(attrs=attrs, format="%Y-%m-%dT%H:%M:%S")
        super().__init__(label=label, required=False, widget=widget)


def _choice(label: str, choices: Sequence[tuple[str, str]], initial: str) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, choices=choices, initial=initial, widget=UnfoldAdminSelectWidget
    )


def _radio(label: str, choices: Sequence[tuple[str, str]], initial: str) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=choices,
        initial=initial,
        widget=UnfoldAdminRadioSelectWidget,
    )


class OrderForm(forms.Form):
    """What declaring and amending share."""

    name = forms.CharField(
        label="Name",
        max_length=200,
        widget=UnfoldAdminTextInputWidget({"autofocus": True, "autocomplete": "off"}),
    )
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        required=False,
        widget=UnfoldAdminExpandableTextareaWidget,
        help_text="For whoever reads the report later.",
    )
    limit_value = forms.FloatField(
        label="Limit for each session",
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="0 pauses charging. At 230 V, 16 A is 3,680 W on one phase, 11,040 W on three.",
    )
    limit_unit = _choice(
        "Unit", [("power", "watts (W)"), ("current", "amperes a phase (A)")], "power"
    )
    below_minimum = _choice(
        "A limit below 6 A becomes",
        [("pause", "a pause"), ("minimum", "6 A")],
        "pause",
    )
    priority = forms.IntegerField(
        label="Priority",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="0 is the highest; empty is the lowest.",
    )
    end = _radio(
        "Ends", [("for", "after"), ("at", "at a time"), ("open", "when somebody ends it")], "for"
    )
    duration = _choice("After", DURATIONS, "PT1H")
    ends_at = LocalTime("Ends at")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.needs_time("end", "ends_at", "Say when, or choose another end.")
        return data

    def needs_time(self, choice: str, field: str, message: str) -> None:
        """Where "at a time" is chosen, there must be one."""
        is_chosen = self.cleaned_data.get(choice) == "at"
        if is_chosen and not self.cleaned_data.get(field) and field not in self.errors:
            self.add_error(field, message)

    @property
    def limit(self) -> dict[str, Any]:
        return {
            "kind": Event.LimitKind.PER_SESSION,
            "unit": self.cleaned_data.get("limit_unit"),
            "value": self.cleaned_data.get("limit_value"),
        }


class DeclareForm(OrderForm):
    external_id = forms.CharField(
        label="External id",
        max_length=128,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Your own for it, such as the number of the switching order; once only.",
    )
    test = forms.BooleanField(
        label="This is a drill",
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="Real limits are sent; the event is marked as a test.",
    )
    start = _radio("Starts", [("now", "now"), ("at", "at a time")], "now")
    starts_at = LocalTime("Starts at")

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        self.needs_time("start", "starts_at", "Say when, or let it start now.")
        return data

    def declaration(self) -> dict[str, Any]:
        """As `POST /api/v1/events/` takes it, but for the targets. What the form has found wrong
        already is None: then it is asked only for what else is."""
        said = self.cleaned_data.get
        return {
            "name": said("name"),
            "reason": said("reason") or "",
            "external_id": said("external_id") or None,
            "test": bool(said("test")),
            "priority": said("priority"),
            "starts_at": _iso(said("starts_at")) if said("start") == "at" else None,
            "duration": said("duration") if said("end") == "for" else None,
            "ends_at": _iso(said("ends_at")) if said("end") == "at" else None,
            "limit": self.limit,
            "below_minimum": said("below_minimum"),
        }


class AmendForm(OrderForm):
    """`revision` is that of the event when the form was opened: whoever else has changed it
    since then is not overruled unseen."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    starts_at = LocalTime("Starts at")

    def __init__(self, data: Any = None, *, event: Event) -> None:
        super().__init__(data, initial=initial_of(event))
        self.fields["end"].choices = [  # type: ignore[attr-defined]
            ("at", "at a time"),
            ("for", "after, counted from now"),
            ("open", "when somebody ends it"),
        ]
        if event.status != Event.Status.SCHEDULED:
            del self.fields["starts_at"]

    def amendment(self, *, now: datetime) -> dict[str, Any]:
        """As `PATCH /api/v1/events/{id}/` takes it: only what differs, but for the targets."""
        data, changed = self.cleaned_data, set(self.changed_data)
        told: dict[str, Any] = {
            name: data[name]
            for name in ("name", "reason", "priority", "below_minimum")
            if name in changed
        }
        if changed & {"limit_value", "limit_unit"}:
            told["limit"] = self.limit
        if "starts_at" in changed:
            told["starts_at"] = _iso(data["starts_at"])
        if changed & {"end", "ends_at"} or data["end"] == "for":
            told["ends_at"] = self._ends_at(now)
        return told

    def _ends_at(self, now: datetime) -> str | None:
        match self.cleaned_data["end"]:
            case "at":
                return _iso(self.cleaned_data["ends_at"])
            case "for":
                duration: timedelta = isodate.parse_duration(self.cleaned_data["duration"])
                return _iso(now + duration)
            case _:
                return None


def initial_of(event: Event) -> dict[str, Any]:
    """An event as the form first shows it."""
    return {
        "name": event.name,
        "reason": event.reason,
        "limit_value": plain_number(event.limit_value),
        "limit_unit": event.limit_unit,
        "below_minimum": event.below_minimum,
        "priority": event.priority,
        "starts_at": event.starts_at,
        "end": "at" if event.ends_at else "open",
        "duration": "PT30M",
        "ends_at": event.ends_at,
        "revision": event.revision,
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


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


class Targets(forms.BaseFormSet):  # type: ignore[type-arg]
    """The scope. `problems` are those of no single row."""

    def __init__(self, data: Any = None, *, initial: Any = None) -> None:
        super().__init__(data, prefix="targets", initial=initial)
        self.problems: list[str] = []

    @property
    def used(self) -> list[TargetForm]:
        return [row for row in self.forms if not row.is_empty]

    def clean(self) -> None:
        if not any(self.errors) and not self.used:
            raise forms.ValidationError("Name at least one target.")

    def as_json(self) -> list[dict[str, Any]]:
        return [row.target for row in self.used]


TargetRows = cast(
    type[Targets],
    forms.formset_factory(
        TargetForm,
        formset=Targets,
        extra=1,
        max_num=MOST_TARGET_ROWS,
        absolute_max=MOST_TARGET_ROWS,
    ),
)


def zone_text() -> str:
    """Europe/Amsterdam (CEST): the zone in which times are typed here."""
    name, short = timezone.get_current_timezone_name(), f"{timezone.localtime():%Z}"
    return name if name == short else f"{name} ({short})"
