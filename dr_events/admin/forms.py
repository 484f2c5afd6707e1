"""The forms that declare and amend an event. They read HTML; what may be declared is decided by
`declarations`, whose errors `form_errors` puts at the fields they belong to. Scope and steps are
rows of their own (`form_rows`); an `order_sheets.OrderSheet` has all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import isodate
from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import lazy
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

from chargers.electricity import Unit, plain_number
from chargers.wording import watts_text
from dr_events.admin.form_rows import duration_of, minutes_of
from dr_events.amounts import Kind
from dr_events.models import Event

MOST_RANDOM_MINUTES = 24 * 60
KINDS = [
    (Kind.PER_SESSION, "for each session"),
    (Kind.PERCENT, "in percent of each session's draw"),
    (Kind.PER_SITE, "for each site together"),
    (Kind.PER_EVENT, "for all sessions together"),
    (Kind.RELIEF, "so much less than at the start, all together"),
]
KIND_WORDS = {str(kind): text for kind, text in KINDS}


def _per_session_help() -> str:
    one, three = watts_text(230 * 16), watts_text(230 * 16 * 3)
    return f"0 pauses charging. At 230 V, 16 A is {one} on one phase, {three} on three."


# What the value is of, and what it does; for one or several kinds.
KIND_HELPS = [
    (
        Kind.PER_SESSION.value,
        # Each time anew: numbers are the reader's.
        lazy(_per_session_help, str)(),
    ),
    (
        Kind.PERCENT.value,
        "Percent of what each session drew when it came into the event. 0 pauses charging.",
    ),
    (
        f"{Kind.PER_SITE.value}|{Kind.PER_EVENT.value}",
        (
            "Watts for all of them together, shared fairly. Where there are not 6 A for everyone, "
            "they take turns. 0 pauses charging."
        ),
    ),
    (
        Kind.RELIEF.value,
        "Watts less than what the scope draws when the event starts. 0 leaves that draw as it is.",
    ),
]
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

    # What the form shows at first. What is shown names no offset, so where the clock goes through
    # an hour twice it does not say which of two times is meant: left as it is, it is this one.
    shown: datetime | None = None

    def __init__(self, label: str) -> None:
        attrs = {"type": "datetime-local", "class": " ".join(INPUT_CLASSES)}
        widget = forms.DateTimeInput(attrs=attrs, format="%Y-%m-%dT%H:%M:%S")
        super().__init__(label=label, required=False, widget=widget)

    def to_python(self, value: Any) -> datetime | None:
        if self.shown and _parsed(value) == timezone.make_naive(self.shown):
            return self.shown
        return super().to_python(value)


def _parsed(value: Any) -> datetime | None:
    try:
        return parse_datetime(value)
    except (TypeError, ValueError):
        return None


class LimitField(forms.FloatField):
    """Marked as required. Several steps can stand in its place, so that the sheet sees to it."""

    def validate(self, value: float | None) -> None:
        if value is not None:
            super().validate(value)


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
    limit_kind = _choice("The limit is", KINDS, Kind.PER_SESSION)
    limit_value = LimitField(label="Limit", widget=UnfoldAdminDecimalFieldWidget)
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
    randomize_start = forms.FloatField(
        label="Random start (minutes)",
        required=False,
        min_value=-MOST_RANDOM_MINUTES,
        max_value=MOST_RANDOM_MINUTES,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Each session starts by chance within so long after the start, or before it "
        "where this is negative, such as -5. Empty: all at once.",
    )
    restore = _radio(
        "Power comes back", [("at_once", "at once"), ("slope", "as a slope")], "at_once"
    )
    restore_rate = forms.FloatField(
        label="At most (kW a minute)",
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="All sessions together.",
    )
    restore_random = forms.FloatField(
        label="By chance slower (%)",
        required=False,
        min_value=0,
        max_value=100,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Up to so much, each step anew.",
    )
    end = _radio(
        "Ends", [("for", "after"), ("at", "at a time"), ("open", "when somebody ends it")], "for"
    )
    duration = _choice("After", DURATIONS, "PT1H")
    ends_at = LocalTime("Ends at")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.needs_time("end", "ends_at", "Say when, or choose another end.")
        is_slope = self.cleaned_data.get("restore") == "slope"
        has_rate = self.cleaned_data.get("restore_rate") is not None
        if is_slope and not has_rate and "restore_rate" not in self.errors:
            self.add_error("restore_rate", "Say how much a minute, or let it come at once.")
        return data

    def needs_time(self, choice: str, field: str, message: str) -> None:
        """Where "at a time" is chosen, there must be one."""
        is_chosen = self.cleaned_data.get(choice) == "at"
        if is_chosen and not self.cleaned_data.get(field) and field not in self.errors:
            self.add_error(field, message)

    kind_helps = KIND_HELPS
    # Percentages become limits of this unit.
    percent_unit: str = Unit.POWER

    @property
    def kind(self) -> str | None:
        return self.cleaned_data.get("limit_kind")

    @property
    def unit(self) -> str | None:
        """Amperes are for single sessions: what several share is watts."""
        match self.kind:
            case Kind.PER_SESSION:
                return self.cleaned_data.get("limit_unit")
            case Kind.PERCENT:
                return self.percent_unit
            case _:
                return Unit.POWER

    @property
    def limit(self) -> dict[str, Any]:
        value = self.cleaned_data.get("limit_value")
        return {"kind": self.kind, "unit": self.unit, "value": value}

    @property
    def restored(self) -> dict[str, float] | None:
        """The slope on which power comes back."""
        rate_kw, percent = (
            self.cleaned_data.get(name) for name in ("restore_rate", "restore_random")
        )
        if self.cleaned_data.get("restore") != "slope" or rate_kw is None:
            return None
        rate_w, share = round(rate_kw * 1000, 3), round((percent or 0) / 100, 6)
        return {"rate_w_per_min": rate_w, "random_share": share}


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
        """As `POST /api/v1/events/` takes it, but for limit and targets. What the form has found
        wrong already is None: then it is asked only for what else is."""
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
            "below_minimum": said("below_minimum"),
            "randomize_start": duration_of(said("randomize_start")),
            "restore": self.restored,
        }


class AmendForm(OrderForm):
    """`revision` is that of the event when the form was opened: whoever else has changed it
    since then is not overruled unseen."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    starts_at = LocalTime("Starts at")

    def __init__(self, data: Any = None, *, event: Event) -> None:
        super().__init__(data, initial=initial_of(event))
        for name in ("starts_at", "ends_at"):
            self.fields[name].shown = self.get_initial_for_field(  # type: ignore[attr-defined]
                self.fields[name], name
            )
        self.fields["end"].choices = [  # type: ignore[attr-defined]
            ("at", "at a time"),
            ("for", "after, counted from now"),
            ("open", "when somebody ends it"),
        ]
        if event.kind is Kind.PERCENT:
            self.percent_unit = event.limit_unit
        if event.status != Event.Status.SCHEDULED:
            del self.fields["starts_at"], self.fields["randomize_start"]

    def amendment(self, *, now: datetime) -> dict[str, Any]:
        """As `PATCH /api/v1/events/{id}/` takes it: only what differs, but for limit and
        targets."""
        data, changed = self.cleaned_data, set(self.changed_data)
        told: dict[str, Any] = {
            name: data[name]
            for name in ("name", "reason", "priority", "below_minimum")
            if name in changed
        }
        if "randomize_start" in changed:
            told["randomize_start"] = duration_of(data["randomize_start"])
        if changed & {"restore", "restore_rate", "restore_random"}:
            told["restore"] = self.restored
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
        "limit_kind": event.limit_kind,
        "limit_value": None if event.steps else plain_number(event.limit_value),
        "limit_unit": event.limit_unit,
        "below_minimum": event.below_minimum,
        "priority": event.priority,
        "randomize_start": minutes_of(event.randomize_start) or None,
        **_initial_of_restore(event),
        "starts_at": event.starts_at,
        "end": "at" if event.ends_at else "open",
        "duration": "PT30M",
        "ends_at": event.ends_at,
        "revision": event.revision,
    }


def _initial_of_restore(event: Event) -> dict[str, Any]:
    if event.restore_w_per_min is None:
        return {"restore": "at_once"}
    return {
        "restore": "slope",
        "restore_rate": plain_number(event.restore_w_per_min / 1000),
        "restore_random": plain_number(round(event.restore_random_share * 100, 4)),
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def zone_text() -> str:
    """Europe/Amsterdam (CEST): the zone in which times are typed here."""
    name, short = timezone.get_current_timezone_name(), f"{timezone.localtime():%Z}"
    return name if name == short else f"{name} ({short})"
