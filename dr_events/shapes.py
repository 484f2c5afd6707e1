"""The shapes in which orders come in as JSON, and the errors that name the field."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from chargers.electricity import Unit
from chargers.models import UNITS
from chargers.numerals import numeral
from dr_events.amounts import Kind
from dr_events.fields import (
    Choice,
    Duration,
    Flag,
    Instant,
    Number,
    SignedDuration,
    Strict,
    Text,
    WholeNumber,
)
from dr_events.models import BELOW_MINIMUM, Event, EventTarget, OptOut

# Above every charging standard in sight: the Megawatt Charging System ends at 3.75 MW, 3,000 A.
MAX_LIMIT_W = 4_000_000
MAX_LIMIT_A = 3_000
# A cap is of many: more than any substation feeds.
MAX_CAP_W = 999_000_000
MAX_TARGETS = 1000
MAX_INTERVALS = 1000


def invalid(field: str, detail: str, *, code: str = "invalid") -> serializers.ValidationError:
    """An error of one field, given as a path such as limit.value or intervals.1.duration."""
    error: Any = serializers.ErrorDetail(detail, code=code)
    first, *rest = field.split(".")
    for name in reversed(rest):
        error = {name: error if isinstance(error, dict) else [error]}
    return serializers.ValidationError({first: error if isinstance(error, dict) else [error]})


class LimitShape(Strict):
    """How much, and of what."""

    kind = Choice(choices=Event.LimitKind.choices)
    unit = Choice(
        choices=UNITS, help_text="power (W) or current (A per phase); caps and reliefs are in W."
    )
    value = Number(
        min_value=0,
        help_text="W, A per phase, or percent. 0 pauses charging; a relief of 0 does not.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        kind, value = Kind(attrs["kind"]), attrs["value"]
        if kind.is_shared and attrs["unit"] != Unit.POWER:
            raise invalid("unit", "must be power: what sessions share is watts")
        if kind is Kind.PERCENT and value > 100:
            raise invalid("value", "is more than 100 percent", code="max_value")
        _check_size(kind, attrs["unit"], value)
        return attrs


def _check_size(kind: Kind, unit: str, value: float) -> None:
    most, whose = MAX_LIMIT_W, "charger delivers"
    if kind.is_shared:
        most, whose = MAX_CAP_W, "substation feeds"
    elif unit == Unit.CURRENT:
        most = MAX_LIMIT_A
    if value > most:
        raise invalid("value", f"is more than any {whose} ({numeral(most)})", code="too_large")


class Steps(serializers.ListField):
    """A list whose errors name a step as `invalid` does: intervals.1.limit.value."""

    def run_child_validation(self, data: Any) -> Any:
        try:
            return super().run_child_validation(data)
        except serializers.ValidationError as error:
            by_step: Any = error.detail
            raise serializers.ValidationError(
                {str(number): detail for number, detail in by_step.items()}
            ) from error


class IntervalShape(Strict):
    """One step: it begins where the one before ends, unless `starts_at` says later."""

    starts_at = Instant(required=False, allow_null=True)
    duration = Duration(
        required=False, allow_null=True, help_text="Of the last step: left out, to the end."
    )
    limit = LimitShape()


class RestoreShape(Strict):
    """How power comes back: as a slope."""

    rate_w_per_min = Number(
        min_value=1, max_value=MAX_CAP_W, help_text="All sessions together, W a minute."
    )
    random_share = Number(
        required=False, min_value=0, max_value=1, help_text="By chance up to so much slower."
    )


class TargetShape(Strict):
    """Whom: everything, a place in the grid by its name, or one of eDRV's things by its id."""

    type = Choice(choices=EventTarget.Type.choices)
    value = Text(
        required=False, allow_null=True, max_length=64, help_text="None for the type `all`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        value = attrs.get("value")
        if attrs["type"] == EventTarget.Type.ALL and value is not None:
            raise serializers.ValidationError({"value": "has no meaning for the type all"})
        if attrs["type"] != EventTarget.Type.ALL and value is None:
            raise serializers.ValidationError({"value": "is required"}, code="required")
        return attrs


class EventShape(Strict):
    """The fields that a declaration and an amendment share."""

    name = Text(max_length=200)
    reason = Text(max_length=500, required=False, allow_blank=True)
    priority = WholeNumber(
        min_value=0,
        max_value=32767,
        required=False,
        allow_null=True,
        help_text="0 is the highest; null is the lowest.",
    )
    starts_at = Instant(required=False, allow_null=True, help_text="null: now.")
    ends_at = Instant(
        required=False, allow_null=True, help_text="Exclusive. null, and no duration: until ended."
    )
    duration = Duration(required=False, allow_null=True, help_text="Instead of ends_at.")
    limit = LimitShape(required=False, help_text="One for all of the event; or `intervals`.")
    intervals = Steps(
        child=IntervalShape(),
        required=False,
        allow_empty=False,
        min_length=1,
        max_length=MAX_INTERVALS,
        help_text="Steps, instead of one limit; all of one kind.",
    )
    below_minimum = Choice(
        choices=BELOW_MINIMUM,
        required=False,
        help_text="AC cannot be held between 0 and 6 A: pause such a session, or let it have 6 A.",
    )
    randomize_start = SignedDuration(
        required=False,
        allow_null=True,
        help_text="Each session starts by chance within so long after starts_at, or before it "
        "where this is negative, such as -PT5M.",
    )
    restore = RestoreShape(
        required=False, allow_null=True, help_text="null: all power comes back at once."
    )
    targets = serializers.ListField(
        child=TargetShape(), allow_empty=False, min_length=1, max_length=MAX_TARGETS
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("ends_at") is not None and attrs.get("duration") is not None:
            raise invalid("duration", "cannot go together with ends_at", code="contradiction")
        if "limit" in attrs and "intervals" in attrs:
            raise invalid("intervals", "cannot go together with limit", code="contradiction")
        _check_kinds([interval["limit"]["kind"] for interval in attrs.get("intervals", ())])
        return attrs


def _check_kinds(kinds: list[str]) -> None:
    for number, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise invalid(
                f"intervals.{number}.limit.kind",
                f"contradicts the first step's, {kinds[0]}: an event has one kind",
                code="contradiction",
            )


class DeclarationShape(EventShape):
    """The body of `POST events/`: with `limit` or with `intervals`."""

    external_id = Text(
        max_length=128,
        required=False,
        allow_null=True,
        help_text="Your own id. Declared again with the same content it answers 200.",
    )
    test = Flag(required=False, help_text="A drill: real limits, marked as a test.")

    def get_fields(self) -> dict[str, Any]:
        """Without intervals there must be a limit, and its lack is told with all else."""
        fields = super().get_fields()
        said = getattr(self, "initial_data", None)
        fields["limit"].required = isinstance(said, dict) and "intervals" not in said
        return fields


class AmendmentShape(EventShape):
    """The body of `PATCH events/{id}/`: what is left out stays as it is. What is given is given
    whole: half a limit would be taken for another unit's. A limit replaces all intervals, and
    they it."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


class OptOutShape(Strict):
    """The body of `POST events/{id}/opt_outs/`."""

    type = Choice(choices=OptOut.Type.choices)
    value = Text(max_length=64, help_text="eDRV id.")
    kind = Choice(
        choices=OptOut.Kind.choices,
        default=OptOut.Kind.OPT_OUT,
        help_text="An opt-out uses up the budget of the year, an exemption does not.",
    )
    reason = Text(max_length=200, required=False, allow_blank=True)


class CapacityShape(Strict):
    """The body of `PUT sites/{id}/available_power/`."""

    power_w = Number(min_value=0, max_value=MAX_CAP_W, help_text="For all cars of the site, W.")
    valid_until = Instant(help_text="Say it again before then; from then on safe_power_w holds.")
    safe_power_w = Number(
        required=False,
        min_value=0,
        max_value=MAX_CAP_W,
        help_text="What holds when the feed falls silent, W. Left out, it stays as it was; "
        "at first it is what the gateway is configured with.",
    )


def read(shape: type[Strict], data: Any) -> dict[str, Any]:
    """What `data` says, validated. Raises ValidationError."""
    found = shape(data=data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def read_opt_out(data: Any) -> dict[str, Any]:
    """What an opt-out says, validated. Raises ValidationError."""
    return read(OptOutShape, data)
