"""What may be declared and amended: shapes, bounds and the errors that name the field.

REST, admin and command line all come through here, by way of `intake`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from rest_framework import serializers

from chargers.electricity import BelowMinimum, Limit, Unit
from chargers.models import UNITS
from dr_events.fields import Duration, Flag, Instant, Number, Strict, Text, WholeNumber
from dr_events.models import BELOW_MINIMUM, Event, EventTarget

# Above every charging standard in sight: the Megawatt Charging System ends at 3.75 MW, 3,000 A.
MAX_LIMIT_W = 4_000_000
MAX_LIMIT_A = 3_000
MAX_TARGETS = 1000
# A declarer's clock may be a little ahead of its request.
CLOCK_TOLERANCE = timedelta(seconds=60)
MAX_AHEAD = timedelta(days=3660)

NOT_YET = "is not supported yet; use per_session"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A valid declaration. `starts_at` None is now; `ends_at` None is until ended."""

    external_id: str | None
    name: str
    reason: str
    priority: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    duration: timedelta | None
    limit: Limit
    below_minimum: BelowMinimum
    targets: tuple[tuple[str, str], ...]
    test: bool

    def end(self, starts_at: datetime) -> datetime | None:
        """When an event ends that starts then; None for until ended."""
        return starts_at + self.duration if self.duration else self.ends_at

    def digest(self) -> str:
        """The same for two declarations that say the same."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return hashlib.sha256(
            orjson.dumps(said, default=str, option=orjson.OPT_SORT_KEYS)
        ).hexdigest()


class LimitShape(Strict):
    """How much, and of what."""

    kind = serializers.ChoiceField(choices=Event.LimitKind.choices)
    unit = serializers.ChoiceField(choices=UNITS)
    value = Number(min_value=0, help_text="Watts, or amperes per phase. 0 pauses the session.")

    def validate_kind(self, kind: str) -> str:
        if kind != Event.LimitKind.PER_SESSION:
            raise serializers.ValidationError(NOT_YET, code="not_supported")
        return kind

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        most = MAX_LIMIT_W if attrs["unit"] == Unit.POWER else MAX_LIMIT_A
        if attrs["value"] > most:
            raise serializers.ValidationError(
                {"value": f"is more than any charger delivers ({most:,})"}, code="too_large"
            )
        return attrs


class TargetShape(Strict):
    """Whom: everything, a place in the grid by its name, or one of eDRV's things by its id."""

    type = serializers.ChoiceField(choices=EventTarget.Type.choices)
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
    limit = LimitShape()
    below_minimum = serializers.ChoiceField(
        choices=BELOW_MINIMUM,
        required=False,
        help_text="AC cannot be held between 0 and 6 A: pause such a session, or let it have 6 A.",
    )
    targets = serializers.ListField(
        child=TargetShape(), allow_empty=False, min_length=1, max_length=MAX_TARGETS
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("ends_at") is not None and attrs.get("duration") is not None:
            raise serializers.ValidationError(
                {"duration": "cannot go together with ends_at"}, code="contradiction"
            )
        return attrs


class DeclarationShape(EventShape):
    """The body of `POST events/`."""

    external_id = Text(
        max_length=128,
        required=False,
        allow_null=True,
        help_text="Your own id. Declared again with the same content it answers 200.",
    )
    test = Flag(required=False, help_text="A drill: real limits, marked as a test.")


class AmendmentShape(EventShape):
    """The body of `PATCH events/{id}/`: what is left out stays as it is. What is given is given
    whole: half a limit would be taken for another unit's."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


def check_period(declaration: Declaration, *, now: datetime) -> None:
    """Raises ValidationError for times that a new event cannot have; one that was declared before
    and is declared again may have become old."""
    if declaration.starts_at is not None:
        check_start(declaration.starts_at, now=now)
    starts_at = declaration.starts_at or now
    field = "duration" if declaration.duration else "ends_at"
    check_end(declaration.end(starts_at), starts_at=starts_at, now=now, field=field)


def check_start(starts_at: datetime, *, now: datetime) -> None:
    """Raises ValidationError for a start that is past, or too far off to be meant."""
    if starts_at < now - CLOCK_TOLERANCE:
        raise serializers.ValidationError({"starts_at": "is in the past"}, code="past")
    if starts_at > now + MAX_AHEAD:
        raise serializers.ValidationError(
            {"starts_at": f"is more than {MAX_AHEAD.days} days ahead"}, code="too_far"
        )


def check_end(
    ends_at: datetime | None, *, starts_at: datetime, now: datetime, field: str = "ends_at"
) -> None:
    """Raises ValidationError, naming `field`, for an end that is past or not after the start."""
    if ends_at is None:
        return
    if ends_at <= now:
        verb = "is" if field == "ends_at" else "ends"
        raise serializers.ValidationError({field: f"{verb} in the past"}, code="past")
    if ends_at <= starts_at:
        raise serializers.ValidationError({field: "is not after starts_at"}, code="order")
    if ends_at > now + MAX_AHEAD:
        raise serializers.ValidationError(
            {field: f"is more than {MAX_AHEAD.days} days ahead"}, code="too_far"
        )


def read_new(data: Any, *, now: datetime) -> Declaration:
    """A Declaration that could be declared now. Raises rest_framework's ValidationError."""
    declaration = read_declaration(data)
    check_period(declaration, now=now)
    return declaration


def read_declaration(data: Any) -> Declaration:
    """A Declaration from JSON-like data. Raises rest_framework's ValidationError."""
    shape = DeclarationShape(data=data)
    shape.is_valid(raise_exception=True)
    said = shape.validated_data
    return Declaration(
        external_id=said.get("external_id"),
        name=said["name"],
        reason=said.get("reason", ""),
        priority=said.get("priority"),
        starts_at=said.get("starts_at"),
        ends_at=said.get("ends_at"),
        duration=said.get("duration"),
        limit=read_limit(said["limit"]),
        below_minimum=BelowMinimum(said.get("below_minimum", BelowMinimum.PAUSE)),
        targets=read_targets(said["targets"]),
        test=said.get("test", False),
    )


def read_amendment(data: Any) -> dict[str, Any]:
    """What an amendment says, validated field by field. Raises ValidationError."""
    shape = AmendmentShape(data=data)
    shape.is_valid(raise_exception=True)
    return dict(shape.validated_data)


def read_limit(said: dict[str, Any]) -> Limit:
    """A Limit from a LimitShape's data."""
    return Limit(Unit(said["unit"]), said["value"])


def read_targets(said: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Each target once, in an order of its own, so that the order given means nothing."""
    return tuple(sorted({(target["type"], target.get("value") or "") for target in said}))
