"""Demand-response events, what they aim at, and each session's part in them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from chargers.electricity import BelowMinimum, Limit, Unit
from chargers.models import UNITS, Session, as_limit

BELOW_MINIMUM = [(choice.value, choice.value) for choice in BelowMinimum]


class Event(models.Model):
    """One demand-response order: whom, how much, from when to when, how important.

    States: scheduled → active → restoring → completed; scheduled → cancelled;
    active → restoring → cancelled. They move in `lifecycle` only. `revision` counts what the
    planner has to take note of; `planned_revision` says how far it has got.
    """

    class Status(models.TextChoices):
        SCHEDULED = "scheduled"
        ACTIVE = "active"
        RESTORING = "restoring"
        COMPLETED = "completed"
        CANCELLED = "cancelled"

    UNFINISHED = (Status.SCHEDULED, Status.ACTIVE, Status.RESTORING)

    class LimitKind(models.TextChoices):
        PER_SESSION = "per_session", "each session"
        PERCENT = "percent", "percent of each session's draw"
        PER_SITE = "per_site", "each site together"
        PER_EVENT = "per_event", "all together"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    external_id = models.CharField(
        max_length=128, null=True, blank=True, help_text="The declaring system's own id."
    )
    name = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    test = models.BooleanField(default=False, help_text="A drill: real limits, marked as a test.")
    priority = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="0 is the highest; none is the lowest (OpenADR 3)."
    )
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.SCHEDULED, editable=False
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Exclusive; none: until ended.")

    limit_kind = models.CharField(
        max_length=12, choices=LimitKind.choices, default=LimitKind.PER_SESSION
    )
    limit_unit = models.CharField(max_length=8, choices=UNITS, default=Unit.POWER)
    limit_value = models.FloatField(help_text="Watts, or amperes per phase. 0 is a pause.")
    below_minimum = models.CharField(
        max_length=8,
        choices=BELOW_MINIMUM,
        default=BelowMinimum.PAUSE,
        help_text="What becomes of a limit below 6 A, which AC cannot signal: a pause, or 6 A.",
    )

    declared_by = models.CharField(max_length=150, editable=False)
    declared_at = models.DateTimeField(editable=False)
    idempotency_key = models.CharField(max_length=255, null=True, editable=False)
    request_digest = models.CharField(max_length=64, editable=False)

    activated_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    ending_as = models.CharField(
        max_length=10,
        choices=[("completed", "completed"), ("cancelled", "cancelled")],
        blank=True,
        editable=False,
    )
    restored_at = models.DateTimeField(null=True, editable=False)
    revision = models.PositiveIntegerField(default=1, editable=False)
    planned_revision = models.PositiveIntegerField(default=0, editable=False)
    planned_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("-declared_at", "id")
        permissions: ClassVar = [
            ("operate_event", "Can declare, amend, end and cancel events"),
            ("export_report", "Can export event reports"),
        ]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["declared_by", "external_id"], name="event_external_id_once_a_declarer"
            ),
            models.UniqueConstraint(
                fields=["declared_by", "idempotency_key"], name="event_idempotency_key_once"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="event_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(limit_value__gte=0, limit_value__lt=1e9), name="event_limit_sane"
            ),
            models.CheckConstraint(
                condition=Q(status="scheduled", activated_at__isnull=True, ended_at__isnull=True)
                | Q(status="active", activated_at__isnull=False, ended_at__isnull=True)
                | Q(status__in=("restoring", "completed", "cancelled"), ended_at__isnull=False),
                name="event_times_fit_status",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                "status",
                condition=Q(status__in=("scheduled", "active", "restoring")),
                name="event_running",
            ),
            models.Index(F("declared_at").desc(), "id", name="event_newest"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def limit(self) -> Limit:
        return Limit(Unit(self.limit_unit), self.limit_value)

    @property
    def is_over(self) -> bool:
        """Whether it is too late to amend or stop it: its limits are gone, or being lifted."""
        return self.status not in (Event.Status.SCHEDULED, Event.Status.ACTIVE)

    @property
    def label(self) -> str:
        """How an event is named in logs and as the cause of a command."""
        return f"{self.external_id or self.name}"[:64]

    @property
    def duration(self) -> timedelta | None:
        return self.ends_at - self.starts_at if self.ends_at else None


class EventTarget(models.Model):
    """One part of an event's scope: everything, a place in the grid, or one thing by eDRV id."""

    class Type(models.TextChoices):
        ALL = "all", "the whole fleet"
        GRID_ZONE = "grid_zone", "grid zone"
        SUBSTATION = "substation"
        FEEDER = "feeder"
        SITE = "site"
        CHARGESTATION = "chargestation"
        SESSION = "session"

    event = models.ForeignKey(Event, models.CASCADE, related_name="targets")
    type = models.CharField(max_length=16, choices=Type.choices)
    value = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("id",)
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "type", "value"], name="target_once"),
            models.CheckConstraint(
                condition=Q(type="all", value="") | (~Q(type="all") & ~Q(value="")),
                name="target_value_fits_type",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.value}".strip()


class Participation(models.Model):
    """One session in one event: what was wanted, what was confirmed, what was metered, how it
    ended. Written by `fanout` and `judgement` only.

    It runs until `released_at`: the event ended, no longer aims at the session, or the session
    left. `restored_at` is the proof that no limit of this event is left on it.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        CONFIRMED = "confirmed"
        FAILED = "failed"
        UNREACHABLE = "unreachable"
        EXEMPT = "exempt"
        ENDED = "ended"

    event = models.ForeignKey(Event, models.PROTECT, related_name="participations")
    session = models.ForeignKey(Session, models.PROTECT, related_name="participations")
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=40, blank=True)
    binding = models.BooleanField(
        default=False, help_text="This event's limit is the one in force on the session."
    )
    joined_at = models.DateTimeField()
    joined_late = models.BooleanField(default=False)
    joined_generation = models.PositiveIntegerField(default=0)
    before_w = models.FloatField(
        null=True, help_text="Metered draw when the session came into the event."
    )

    wanted_unit = models.CharField(max_length=8, choices=UNITS, null=True)
    wanted_value = models.FloatField(null=True)
    wanted_at = models.DateTimeField(null=True)
    confirmed_unit = models.CharField(max_length=8, choices=UNITS, null=True)
    confirmed_value = models.FloatField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    first_sent_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    complied_at = models.DateTimeField(null=True)
    over_limit_since = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    released_generation = models.PositiveIntegerField(null=True)
    was_limited = models.BooleanField(
        default=False, help_text="At its release a limit may have been in force."
    )
    restored_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event", "session"], name="participation_once_an_event"
            ),
            models.CheckConstraint(
                condition=Q(restored_at__isnull=True) | Q(released_at__isnull=False),
                name="participation_restored_after_release",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | Q(binding=False),
                name="participation_released_binds_nothing",
            ),
        ]
        indexes: ClassVar = [
            models.Index("event", "state", name="participation_by_state"),
            models.Index("session", condition=Q(released_at=None), name="participation_running"),
            models.Index(
                "event",
                condition=Q(was_limited=True, restored_at=None),
                name="participation_unrestored",
            ),
        ]

    def __str__(self) -> str:
        return f"session {self.session} in {self.event.label}"

    @property
    def wanted(self) -> Limit | None:
        return as_limit(self.wanted_unit, self.wanted_value)

    @property
    def confirmed(self) -> Limit | None:
        return as_limit(self.confirmed_unit, self.confirmed_value)
