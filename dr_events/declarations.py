"""What may be declared and amended: the rules that go beyond the shape of a field.

REST, admin and command line all come through here, by way of `intake`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from rest_framework import serializers

from chargers.electricity import BelowMinimum, Unit
from dr_events import shapes, timeline
from dr_events.amounts import Amount, Kind
from dr_events.shapes import invalid
from dr_events.timeline import Step

# A declarer's clock may be a little ahead of its request.
CLOCK_TOLERANCE = timedelta(seconds=60)
MAX_AHEAD = timedelta(days=3660)
NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A step as it was said: without a start it begins where the one before ends."""

    starts_at: datetime | None
    duration: timedelta | None
    amount: Amount


@dataclass(frozen=True, slots=True)
class Restore:
    """The slope on which power comes back, W a minute, by chance up to a share slower."""

    rate_w_per_min: float
    random_share: float = 0.0

    def as_json(self) -> dict[str, float]:
        return {"rate_w_per_min": self.rate_w_per_min, "random_share": self.random_share}


@dataclass(frozen=True, slots=True)
class Declaration:
    """A valid declaration. `starts_at` None is now; `ends_at` None is until ended. `amount` is
    that of the first interval where there are any."""

    external_id: str | None
    name: str
    reason: str
    priority: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    duration: timedelta | None
    amount: Amount
    intervals: tuple[Interval, ...]
    below_minimum: BelowMinimum
    randomize_start: timedelta
    restore: Restore | None
    targets: tuple[tuple[str, str], ...]
    test: bool

    def end(self, starts_at: datetime) -> datetime | None:
        """When an event ends that starts then; None for until ended."""
        return self.schedule(starts_at)[1]

    def schedule(self, starts_at: datetime) -> tuple[list[Step], datetime | None]:
        """Its steps and its end, if it starts then. Raises ValidationError."""
        ends_at = starts_at + self.duration if self.duration else self.ends_at
        return schedule(self.intervals, starts_at=starts_at, ends_at=ends_at)

    def digest(self) -> str:
        """The same for two declarations that say the same."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return hashlib.sha256(
            orjson.dumps(said, default=str, option=orjson.OPT_SORT_KEYS)
        ).hexdigest()


def schedule(
    intervals: Sequence[Interval], *, starts_at: datetime, ends_at: datetime | None
) -> tuple[list[Step], datetime | None]:
    """The steps of an event, and its end, which may only follow from theirs. Raises
    ValidationError for steps that overlap or leave the event."""
    if not intervals:
        return [], ends_at
    starts = _starts(intervals, starts_at)
    ends = [_end_of(interval, start) for interval, start in zip(intervals, starts, strict=True)]
    for number, (end, following) in enumerate(zip(ends, starts[1:], strict=False), 1):
        if end is not None and following < end:
            raise invalid(
                f"intervals.{number}.starts_at", "overlaps the step before", code="overlap"
            )
    _check_last(intervals, starts[-1], ends[-1], ends_at)
    ends_at = ends[-1] or ends_at
    closed = [end or following for end, following in zip(ends, starts[1:], strict=False)]
    steps = [
        Step(start - starts_at, end - starts_at if end else None, interval.amount)
        for start, end, interval in zip(starts, [*closed, None], intervals, strict=True)
    ]
    return steps, ends_at


def _starts(intervals: Sequence[Interval], starts_at: datetime) -> list[datetime]:
    starts: list[datetime] = []
    follows_at: datetime | None = starts_at
    for number, interval in enumerate(intervals):
        start = interval.starts_at or follows_at
        if start is None:
            raise invalid(
                f"intervals.{number - 1}.duration",
                "is required: the next step does not say when it starts",
                code="required",
            )
        if number == 0 and start != starts_at:
            raise invalid(
                "intervals.0.starts_at", "must be that of the event", code="outside_event"
            )
        if starts and start <= starts[-1]:
            raise invalid(
                f"intervals.{number}.starts_at", "overlaps the step before", code="overlap"
            )
        # Before its end is reckoned, which might be later than any date there is.
        if start - starts_at > MAX_AHEAD:
            place = f"intervals.{number}"
            raise invalid(
                f"{place}.starts_at" if interval.starts_at else place,
                f"begins more than {MAX_AHEAD.days} days after the event",
                code="too_far",
            )
        starts.append(start)
        follows_at = _end_of(interval, start)
    return starts


def _end_of(interval: Interval, start: datetime) -> datetime | None:
    return start + interval.duration if interval.duration else None


def _check_last(
    intervals: Sequence[Interval],
    start: datetime,
    end: datetime | None,
    ends_at: datetime | None,
) -> None:
    if ends_at is None:
        return
    place = f"intervals.{len(intervals) - 1}"
    if start >= ends_at:
        said = f"{place}.starts_at" if intervals[-1].starts_at else place
        raise invalid(said, "begins when the event is over", code="outside_event")
    if end is not None and end > ends_at:
        raise invalid(f"{place}.duration", "leaves the event", code="outside_event")
    if end is not None and end < ends_at:
        raise invalid(
            f"{place}.duration",
            "ends before the event: leave it out, and the last step goes on to the end",
            code="outside_event",
        )


def check_steps(steps: Sequence[Step], *, starts_at: datetime, ends_at: datetime | None) -> None:
    """Raises ValidationError where the last step would begin after the event's end."""
    if steps and ends_at is not None and starts_at + steps[-1].starts_after >= ends_at:
        raise invalid("ends_at", "is before the last interval begins", code="outside_event")


def check_combination(
    kind: Kind,
    *,
    below_minimum: str,
    randomize_start: timedelta,
    restore: Restore | None,
    steps: Sequence[Step],
) -> None:
    """Raises ValidationError for terms that contradict each other."""
    if kind.is_shared and below_minimum == BelowMinimum.MINIMUM:
        raise invalid(
            "below_minimum",
            f"minimum contradicts {kind}: whom a cap cannot give 6 A has to wait for its turn",
            code="contradiction",
        )
    if kind.is_shared and randomize_start:
        raise invalid(
            "randomize_start",
            f"contradicts {kind}: a cap holds for all sessions from the same moment",
            code="contradiction",
        )
    if restore and timeline.has_gap(steps):
        raise invalid(
            "restore",
            "contradicts the gap between two intervals, where all power is back at once",
            code="contradiction",
        )


def check_period(declaration: Declaration, *, now: datetime) -> None:
    """Raises ValidationError for times that a new event cannot have; one that was declared before
    and is declared again may have become old."""
    if declaration.starts_at is not None:
        check_start(declaration.starts_at, now=now)
    starts_at = declaration.starts_at or now
    field = "ends_at" if declaration.ends_at else "duration"
    steps, ends_at = declaration.schedule(starts_at)
    check_end(ends_at, starts_at=starts_at, now=now, field=field)
    check_combination(
        declaration.amount.kind,
        below_minimum=declaration.below_minimum,
        randomize_start=declaration.randomize_start,
        restore=declaration.restore,
        steps=steps,
    )


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
    said = shapes.read(shapes.DeclarationShape, data)
    intervals = read_intervals(said.get("intervals", ()))
    return Declaration(
        external_id=said.get("external_id"),
        name=said["name"],
        reason=said.get("reason", ""),
        priority=said.get("priority"),
        starts_at=said.get("starts_at"),
        ends_at=said.get("ends_at"),
        duration=said.get("duration"),
        amount=intervals[0].amount if intervals else read_amount(said["limit"]),
        intervals=intervals,
        below_minimum=BelowMinimum(said.get("below_minimum", BelowMinimum.PAUSE)),
        randomize_start=said.get("randomize_start") or NO_TIME,
        restore=read_restore(said.get("restore")),
        targets=read_targets(said["targets"]),
        test=said.get("test", False),
    )


def read_amendment(data: Any) -> dict[str, Any]:
    """What an amendment says, validated field by field. Raises ValidationError."""
    return shapes.read(shapes.AmendmentShape, data)


def read_amount(said: dict[str, Any]) -> Amount:
    """An Amount from a LimitShape's data."""
    return Amount(Kind(said["kind"]), Unit(said["unit"]), said["value"])


def read_intervals(said: Sequence[dict[str, Any]]) -> tuple[Interval, ...]:
    """The steps as said, from IntervalShapes' data."""
    return tuple(
        Interval(one.get("starts_at"), one.get("duration"), read_amount(one["limit"]))
        for one in said
    )


def read_restore(said: dict[str, Any] | None) -> Restore | None:
    """A Restore from a RestoreShape's data."""
    return Restore(said["rate_w_per_min"], said.get("random_share", 0.0)) if said else None


def read_targets(said: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Each target once, in an order of its own, so that the order given means nothing."""
    return tuple(sorted({(target["type"], target.get("value") or "") for target in said}))
