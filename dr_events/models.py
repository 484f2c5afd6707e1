"""Demand-response events, what they aim at, and each session's part in them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from chargers.electricity import BelowMinimum, Limit, Unit
from chargers.models import UNITS, Session, Site, as_limit
from dr_events.amounts import Amount, Kind
from dr_events.timeline import Step, step_at

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
        RELIEF = "relief", "so much less, all together"

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
    limit_value = models.FloatField(
        help_text="Watts, amperes per phase, or percent; of the first step where there are several."
    )
    below_minimum = models.CharField(
        max_length=8,
        choices=BELOW_MINIMUM,
        default=BelowMinimum.PAUSE,
        help_text="What becomes of a limit below 6 A, which AC cannot signal: a pause, or 6 A.",
    )

    randomize_start = models.DurationField(
        default=timedelta(0),
        help_text="Each session starts at its own time within so long after the start, or before "
        "it where this is negative.",
    )
    restore_w_per_min = models.FloatField(
        null=True,
        blank=True,
        help_text="Power comes back by so many watts a minute; none: at once.",
    )
    restore_random_share = models.FloatField(
        default=0, help_text="Up to so much longer, by chance, is each step of the slope."
    )
    restore_at_once = models.BooleanField(default=False, editable=False)

    reference_w = models.FloatField(
        null=True, editable=False, help_text="Metered draw of the scope when the event started."
    )
    reference_sessions = models.PositiveIntegerField(null=True, editable=False)
    reference_unmetered = models.PositiveIntegerField(null=True, editable=False)

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
    plan_again_at = models.DateTimeField(null=True, editable=False)
    slope_reached_at = models.DateTimeField(
        null=True, editable=False, help_text="Up to when the slope upwards is used."
    )
    slope_w = models.FloatField(null=True, editable=False, help_text="How far a cap has come up.")

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
                condition=~Q(limit_kind="percent") | Q(limit_value__lte=100),
                name="event_percent_sane",
            ),
            models.CheckConstraint(
                condition=Q(limit_kind__in=("per_session", "percent")) | Q(limit_unit="power"),
                name="event_cap_in_watts",
            ),
            models.CheckConstraint(
                condition=Q(restore_w_per_min__isnull=True) | Q(restore_w_per_min__gt=0),
                name="event_restore_rate_positive",
            ),
            models.CheckConstraint(
                condition=Q(restore_random_share__range=(0, 1)), name="event_random_share_sane"
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
    def kind(self) -> Kind:
        return Kind(self.limit_kind)

    @property
    def amount(self) -> Amount:
        """What is ordered; where there are several steps, by the first."""
        return Amount(self.kind, Unit(self.limit_unit), self.limit_value)

    @property
    def steps(self) -> list[Step]:
        """None where one amount holds for all of the event."""
        return [interval.step for interval in self.intervals.all()]

    def amount_at(self, now: datetime) -> Amount | None:
        """What is ordered at that moment; None in a gap between two steps."""
        steps = self.steps
        if not steps:
            return self.amount
        step = step_at(steps, now - self.starts_at)
        return step.amount if step else None

    @property
    def reference(self) -> dict[str, float | int | None] | None:
        """What the scope drew when the event started, W, over how many sessions; `unmetered` are
        those of them that are not in it."""
        if self.reference_w is None:
            return None
        return {
            "power_w": self.reference_w,
            "sessions": self.reference_sessions,
            "unmetered": self.reference_unmetered,
        }

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


class EventInterval(models.Model):
    """One step of an event: its amount from `starts_after` to `ends_after` (exclusive; none: the
    end of the event), both counted from the event's start, which may yet move."""

    event = models.ForeignKey(Event, models.CASCADE, related_name="intervals")
    starts_after = models.DurationField()
    ends_after = models.DurationField(null=True)
    limit_unit = models.CharField(max_length=8, choices=UNITS)
    limit_value = models.FloatField()

    class Meta:
        ordering = ("starts_after",)
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "starts_after"], name="interval_once"),
            models.CheckConstraint(
                condition=Q(starts_after__gte=timedelta(0))
                & (Q(ends_after__isnull=True) | Q(ends_after__gt=F("starts_after"))),
                name="interval_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(limit_value__gte=0, limit_value__lt=1e9), name="interval_limit_sane"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event.label} from {self.starts_after}"

    @property
    def step(self) -> Step:
        """Needs `event` at hand."""
        amount = Amount(self.event.kind, Unit(self.limit_unit), self.limit_value)
        return Step(self.starts_after, self.ends_after, amount)


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
    ended. Written by `participations` and `judgement` only.

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

    # A constraint is its index.
    event = models.ForeignKey(Event, models.PROTECT, related_name="participations", db_index=False)
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

    # And its circuit, for what the figures make of amperes: `voltage_v` and `phases`.
    place = models.JSONField(
        null=True, help_text="Its site and place in the grid as they were when it came in."
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
    non_responsive_at = models.DateTimeField(
        null=True, help_text="When it was first found non-responsive; stays, whatever came of it."
    )
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
            models.Index("event", condition=Q(released_at=None), name="participation_in_event"),
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


class EventLoad(models.Model):
    """What an event's sessions drew at one moment, and what they were held to: a point of its load
    curve. `limit_w` is what all of them may draw: their limits, and the draw of those without
    one; null while none is held. `expected_w` is what they draw once each of those that can be
    held does as it is told."""

    event = models.ForeignKey(Event, models.CASCADE, related_name="loads")
    at = models.DateTimeField()
    sessions = models.PositiveIntegerField()
    metered = models.PositiveIntegerField()
    power_w = models.FloatField(null=True)
    limit_w = models.FloatField(null=True)
    expected_w = models.FloatField(null=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "at"], name="event_load_once"),
            models.CheckConstraint(
                condition=Q(metered__lte=F("sessions")), name="event_load_metered_of_sessions"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event.label} at {self.at:%H:%M:%S}"


class Proposal(models.Model):
    """An order that waits for a second person: a declaration or, with `event`, an amendment of
    that event as it stood at `revision`. `data` is what intake takes. Moved in `proposals` only."""

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        REFUSED = "refused"

    summary = models.CharField(max_length=500, help_text="What it would have done when proposed.")
    data = models.JSONField()
    event = models.ForeignKey(Event, models.PROTECT, null=True, related_name="proposals")
    revision = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    proposed_by = models.CharField(max_length=150)
    proposed_at = models.DateTimeField()
    idempotency_key = models.CharField(max_length=255, null=True, editable=False)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["proposed_by", "idempotency_key"], name="proposal_idempotency_key_once"
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True, decided_by="")
                | Q(state__in=("approved", "refused"), decided_at__isnull=False),
                name="proposal_decided_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | ~Q(decided_by=F("proposed_by")),
                name="proposal_approved_by_another",
            ),
        ]
        indexes: ClassVar = [
            models.Index("id", condition=Q(state="open"), name="proposal_open"),
        ]

    def __str__(self) -> str:
        return self.summary[:80]


class OptOut(models.Model):
    """A site, chargestation or session that one event leaves alone: its driver or owner opted
    out, or an operator exempted it. It stays on record, withdrawn or not, and in the event's
    counts."""

    class Kind(models.TextChoices):
        OPT_OUT = "opt_out", "opted out"
        EXEMPTION = "exemption", "exempted"

    class Type(models.TextChoices):
        SITE = "site"
        CHARGESTATION = "chargestation"
        SESSION = "session"

    event = models.ForeignKey(Event, models.PROTECT, related_name="opt_outs")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.OPT_OUT)
    type = models.CharField(max_length=16, choices=Type.choices)
    value = models.CharField(max_length=64, help_text="eDRV id.")
    budget_of = models.CharField(
        max_length=80, blank=True, help_text="Whose budget of the year it is taken from."
    )
    reason = models.CharField(max_length=200, blank=True)
    declared_by = models.CharField(max_length=150)
    declared_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["event", "type", "value"],
                condition=Q(withdrawn_at__isnull=True),
                name="opt_out_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index("budget_of", "declared_at", name="opt_out_budget"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.value} {self.get_kind_display()} of {self.event.label}"


class SiteCapacity(models.Model):
    """What a site may import at most, beside and above all events: what the sun, a battery or a
    fuse gives. When its feed falls silent, from `valid_until` on, `safe_power_w` holds."""

    site = models.OneToOneField(Site, models.PROTECT, related_name="capacity")
    power_w = models.FloatField()
    valid_until = models.DateTimeField()
    safe_power_w = models.FloatField()
    declared_by = models.CharField(max_length=150)
    declared_at = models.DateTimeField()
    planned_at = models.DateTimeField(null=True, editable=False)
    plan_again_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "site capacities"
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(power_w__gte=0, power_w__lt=1e9)
                & Q(safe_power_w__gte=0, safe_power_w__lt=1e9),
                name="capacity_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"capacity of {self.site}"

    def is_silent(self, now: datetime) -> bool:
        """Whether its feed has fallen silent."""
        return now >= self.valid_until

    def power_at(self, now: datetime) -> float:
        """What may be imported at that moment, W."""
        return self.safe_power_w if self.is_silent(now) else self.power_w


class Export(models.Model):
    """A report that was taken, or is made in the background. The file of the latter is kept in
    pieces here, since the process that makes it and the one that sends it may share no disk."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = models.ForeignKey(Event, models.PROTECT, related_name="exports")
    format = models.CharField(max_length=10)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(
        db_default=0, help_text="How often making it in the background was begun."
    )
    size_bytes = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    trouble = models.CharField(max_length=300, blank=True, help_text="Why it failed.")
    manifest = models.TextField(
        blank=True, db_default="", help_text="What the file is, signed; canonical JSON."
    )

    class Meta:
        ordering = ("-requested_at", "id")
        default_permissions = ("view",)
        indexes: ClassVar = [
            models.Index(
                "requested_at",
                condition=Q(state__in=("waiting", "running")),
                name="export_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.format} of {self.event.label}"


class ExportPiece(models.Model):
    """A megabyte of an export's file, in order; deleted after EXPORTS_KEPT_DAYS."""

    export = models.ForeignKey(Export, models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["export", "number"], name="export_piece_once")
        ]

    def __str__(self) -> str:
        return f"piece {self.number} of {self.export_id}"
