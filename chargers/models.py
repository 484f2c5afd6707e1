"""The physical fleet, the commands sent to it and the webhooks that came back.

Rows of fact (Command, Attempt, MeterReading, WebhookDelivery, AuditEntry) are written by the
gateway alone and never deleted by it, but for old readings that are no event's evidence.
Constraints hold the truth, since bulk SQL passes by `clean()`.
"""

from __future__ import annotations

import math
import uuid
import zoneinfo
from datetime import datetime
from functools import cache
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from chargers.electricity import (
    DEFAULT_VOLTAGE_V,
    MINIMUM_AC_CURRENT_A,
    Circuit,
    Limit,
    Unit,
)

UNITS = [(unit.value, unit.value) for unit in Unit]


@cache
def is_timezone(name: str) -> bool:
    """Whether the IANA database of this machine has it."""
    return name in zoneinfo.available_timezones()


def validate_timezone(name: str) -> None:
    """For model fields. Raises ValidationError."""
    if not is_timezone(name):
        raise ValidationError(f"{name!r} is no IANA time zone")


class Exemptible(models.Model):
    """What an operator may take out of every event: an emergency fleet, a hospital."""

    exempt = models.BooleanField(default=False, help_text="Never limited by any event.")
    exempt_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True


class Site(Exemptible):
    """eDRV's location, with its place in the grid, which eDRV does not know."""

    external_id = models.CharField("eDRV id", max_length=64, unique=True)
    name = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=300, blank=True)
    timezone = models.CharField(max_length=64, default="UTC", validators=[validate_timezone])
    grid_zone = models.CharField(max_length=64, blank=True, db_index=True)
    substation = models.CharField(max_length=64, blank=True, db_index=True)
    feeder = models.CharField(max_length=64, blank=True, db_index=True)
    voltage_v = models.FloatField(
        default=DEFAULT_VOLTAGE_V,
        validators=[MinValueValidator(50), MaxValueValidator(1000)],
        help_text="Volts per phase, phase to neutral.",
    )

    class Meta:
        ordering = ("name", "id")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(voltage_v__gt=0), name="site_voltage_positive")
        ]

    def __str__(self) -> str:
        return self.name or self.address or self.external_id


class ChargeStation(Exemptible):
    """eDRV's chargestation, with what its answers have taught us of what it cannot do."""

    external_id = models.CharField("eDRV id", max_length=64, unique=True)
    site = models.ForeignKey(Site, models.PROTECT, related_name="chargestations")
    name = models.CharField(max_length=200, blank=True)
    protocol = models.CharField(max_length=32, blank=True)
    online = models.BooleanField(default=True)
    online_changed_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is online or offline, where that is known."
    )
    online_told_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Of when the last word on that is; older ones are too late.",
    )
    is_simulator = models.BooleanField(
        default=False, help_text="eDRV's own simulator: takes amperes only and knows no clear."
    )
    refused_units = ArrayField(
        models.CharField(max_length=8, choices=UNITS), default=list, blank=True
    )
    refuses_clear = models.BooleanField(default=False)

    class Meta:
        verbose_name = "chargestation"
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name or self.external_id


class Connector(models.Model):
    """One outlet. Volts, phases and greatest current are ours: eDRV does not tell them."""

    class PowerType(models.TextChoices):
        AC_1_PHASE = "ac_1_phase", "AC, one phase"
        AC_3_PHASE = "ac_3_phase", "AC, three phases"
        DC = "dc", "DC"
        UNKNOWN = "unknown", "unknown"

    external_id = models.CharField("eDRV id", max_length=64, unique=True)
    chargestation = models.ForeignKey(ChargeStation, models.PROTECT, related_name="connectors")
    status = models.CharField(max_length=40, blank=True)
    power_type = models.CharField(
        max_length=16, choices=PowerType.choices, default=PowerType.UNKNOWN
    )
    max_power_w = models.FloatField(null=True, blank=True, help_text="As eDRV tells it.")
    voltage_v = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(50), MaxValueValidator(1000)],
        help_text="Where it differs from the site's.",
    )
    phases = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3)]
    )
    max_current_a = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Per phase."
    )

    class Meta:
        ordering = ("id",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(phases__isnull=True) | Q(phases__range=(1, 3)),
                name="connector_phases_1_to_3",
            ),
            models.CheckConstraint(
                condition=Q(max_current_a__isnull=True) | Q(max_current_a__gt=0),
                name="connector_max_current_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.external_id

    def circuit(self) -> Circuit:
        """Needs `chargestation__site` at hand."""
        return circuit_of(
            power_type=self.power_type,
            phases=self.phases,
            voltage_v=self.voltage_v or self.chargestation.site.voltage_v,
            max_current_a=self.max_current_a,
            max_power_w=self.max_power_w,
        )


SMALLEST_THREE_PHASE_W = 10_000


def circuit_of(
    *,
    power_type: str | None,
    phases: int | None,
    voltage_v: float | None,
    max_current_a: float | None,
    max_power_w: float | None,
) -> Circuit:
    """A circuit from what is known. Where eDRV does not say so, a connector below 10 kW has one
    phase: three begin with 16 A, 11 kW."""
    voltage_v = voltage_v or DEFAULT_VOLTAGE_V
    power_w = max_power_w if max_power_w and max_power_w > 0 else None
    is_guess = not phases and power_type in (None, "", Connector.PowerType.UNKNOWN)
    if not phases:
        is_small = power_w is not None and power_w < SMALLEST_THREE_PHASE_W
        single = power_type == Connector.PowerType.AC_1_PHASE or (is_guess and is_small)
        phases = 1 if single else 3
    is_dc = power_type == Connector.PowerType.DC
    one_phase_current_a = None
    if not max_current_a and power_w and not is_dc:
        max_current_a = _greatest_current_a(power_w, voltage_v * phases)
        one_phase_current_a = _greatest_current_a(power_w, voltage_v) if is_guess else None
    return Circuit(voltage_v, phases, max_current_a, is_dc, one_phase_current_a)


def _greatest_current_a(power_w: float, volts: float) -> float:
    """Powers are told in tenths of a kW: 22 kW is 32 A, not 31.88."""
    return max(math.ceil(power_w / volts - 0.25), MINIMUM_AC_CURRENT_A)


class Session(Exemptible):
    """One car on one connector: its metering, the limit wanted for it and the one confirmed.

    `generation` counts the changes of the wanted limit; each has one Command. `may_be_limited`
    is pessimistic: True from before a limit is sent until its absence is proven.
    """

    class Status(models.TextChoices):
        CREATED = "created"
        STARTED = "started"
        ENDED = "ended"
        CANCELLED = "cancelled"

    external_id = models.CharField("eDRV id", max_length=64, unique=True)
    chargestation = models.ForeignKey(ChargeStation, models.PROTECT, related_name="sessions")
    connector = models.ForeignKey(
        Connector, models.PROTECT, null=True, blank=True, related_name="sessions"
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.CREATED)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(
        default=timezone.now, help_text="When eDRV last spoke of it, by webhook or list."
    )

    # Metered; where a report has only amperes, what they come to.
    power_w = models.FloatField(null=True, blank=True)
    current_a = models.FloatField(null=True, blank=True)
    energy_wh = models.FloatField(null=True, blank=True, help_text="Delivered so far.")
    state_of_charge_percent = models.FloatField(null=True, blank=True)
    metered_at = models.DateTimeField(null=True, blank=True)

    wanted_unit = models.CharField(max_length=8, choices=UNITS, null=True, blank=True)
    wanted_value = models.FloatField(null=True, blank=True)
    wanted_cause = models.CharField(max_length=64, blank=True, default="", db_default="")
    expected_relief_w = models.FloatField(default=0, db_default=0)
    generation = models.PositiveIntegerField(default=0, db_default=0)
    confirmed_unit = models.CharField(max_length=8, choices=UNITS, null=True, blank=True)
    confirmed_value = models.FloatField(null=True, blank=True)
    confirmed_generation = models.PositiveIntegerField(default=0, db_default=0)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    may_be_limited = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(wanted_unit__isnull=True, wanted_value__isnull=True)
                | Q(wanted_unit__isnull=False, wanted_value__gte=0),
                name="session_wanted_whole",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_unit__isnull=True, confirmed_value__isnull=True)
                | Q(confirmed_unit__isnull=False, confirmed_value__gte=0),
                name="session_confirmed_whole",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_generation__lte=F("generation")),
                name="session_confirmed_not_ahead",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("ended", "cancelled"), ended_at__isnull=False)
                | Q(status__in=("created", "started"), ended_at__isnull=True),
                name="session_ended_has_time",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(may_be_limited=False),
                name="session_ended_is_unlimited",
            ),
        ]
        indexes: ClassVar = [
            models.Index("chargestation", condition=Q(ended_at=None), name="session_open"),
            # None on `may_be_limited`, which changes with every command: all of them are open.
        ]

    def __str__(self) -> str:
        return self.external_id

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def wanted(self) -> Limit | None:
        """None for no limit; a limit ends with its session."""
        return None if self.ended_at else as_limit(self.wanted_unit, self.wanted_value)

    @property
    def confirmed(self) -> Limit | None:
        """What the station accepted last and still holds the car to, as far as is known."""
        return None if self.ended_at else as_limit(self.confirmed_unit, self.confirmed_value)

    def circuit(self) -> Circuit:
        """Needs `connector__chargestation__site` at hand."""
        if self.connector is None:
            return Circuit(voltage_v=self.chargestation.site.voltage_v)
        return self.connector.circuit()


def as_limit(unit: str | None, value: float | None) -> Limit | None:
    """A Limit from its two columns."""
    return None if unit is None or value is None else Limit(Unit(unit), value)


class MeterReading(models.Model):
    """One energy report. What it did not tell is null, never zero."""

    # Its constraint is its index.
    session = models.ForeignKey(Session, models.PROTECT, related_name="readings", db_index=False)
    metered_at = models.DateTimeField()
    power_w = models.FloatField(null=True)
    current_a = models.FloatField(null=True)
    meter_wh = models.FloatField(null=True, help_text="The meter's own reading.")
    state_of_charge_percent = models.FloatField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("session", "metered_at", name="reading_once")
        ]

    def __str__(self) -> str:
        return f"{self.session_id} at {self.metered_at:%Y-%m-%d %H:%M:%S}"


class PlaceLoad(models.Model):
    """What a place in the grid drew at one moment: a sample, kept for a day or two so that the
    control room need not read millions of readings. `power_w` is the sum over the `metered` of
    its `cars`; null where there are cars and none of them is metered."""

    at = models.DateTimeField()
    grid_zone = models.CharField(max_length=64, blank=True)
    substation = models.CharField(max_length=64, blank=True)
    feeder = models.CharField(max_length=64, blank=True)
    power_w = models.FloatField(null=True)
    cars = models.PositiveIntegerField()
    metered = models.PositiveIntegerField()
    limited = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["at", "grid_zone", "substation", "feeder"], name="place_load_once"
            ),
            models.CheckConstraint(
                condition=Q(metered__lte=F("cars")), name="place_load_metered_of_cars"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.grid_zone}/{self.substation}/{self.feeder} at {self.at:%H:%M:%S}"


class Command(models.Model):
    """One change of the wanted limit on its way to the station: one set or one clear, with as
    many attempts as it takes.

    States: due → sent → accepted | rejected | unconfirmed; from any unsettled one superseded
    (a newer generation) or moot (the session ended). A clear that ends a limit which was rejected
    for good is moot from the start: there is nothing to send. `next_attempt_at` is the lease, the
    deadline and the back-off in one: whoever finds it passed may take the next step.
    """

    class Kind(models.TextChoices):
        SET = "set"
        CLEAR = "clear"

    class State(models.TextChoices):
        DUE = "due"
        SENT = "sent"
        UNCONFIRMED = "unconfirmed"
        ACCEPTED = "accepted"
        REJECTED = "rejected"
        SUPERSEDED = "superseded"
        MOOT = "moot"

    class Step(models.TextChoices):
        """What to do at `next_attempt_at`."""

        SEND = "send"
        LOOK_ACTION = "look_action", "look at the action"
        LOOK_SESSION = "look_session", "look at the session"

    UNSETTLED = (State.DUE, State.SENT, State.UNCONFIRMED)
    CLAIMABLE = (State.DUE, State.UNCONFIRMED)

    # A constraint is its index.
    session = models.ForeignKey(Session, models.PROTECT, related_name="commands", db_index=False)
    generation = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    unit = models.CharField(max_length=8, choices=UNITS, null=True)
    value = models.FloatField(null=True)
    cause = models.CharField(max_length=64, blank=True, db_default="")
    state = models.CharField(max_length=12, choices=State.choices, db_default=State.DUE)
    step = models.CharField(max_length=16, choices=Step.choices, db_default=Step.SEND)
    reason = models.CharField(max_length=40, blank=True, db_default="")
    next_attempt_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(db_default=0, help_text="Times it was sent.")
    rejections = models.PositiveIntegerField(db_default=0)
    expected_relief_w = models.FloatField(db_default=0)
    created_at = models.DateTimeField()
    first_sent_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar = [
            models.UniqueConstraint("session", "generation", name="command_once_a_generation"),
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(state__in=("due", "sent", "unconfirmed")),
                name="command_one_unsettled",
            ),
            models.CheckConstraint(
                condition=Q(kind="set", unit__isnull=False, value__gte=0)
                | Q(kind="clear", unit__isnull=True, value__isnull=True),
                name="command_limit_fits_kind",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("due", "sent", "unconfirmed"), settled_at__isnull=True)
                | Q(
                    state__in=("accepted", "rejected", "superseded", "moot"),
                    settled_at__isnull=False,
                    next_attempt_at__isnull=True,
                ),
                name="command_settled_has_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                F("expected_relief_w").desc(),
                "id",
                condition=Q(state__in=("due", "unconfirmed")),
                name="command_claimable",
            ),
            models.Index("next_attempt_at", condition=Q(state="sent"), name="command_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.limit or ''} #{self.pk} ({self.state})"

    @property
    def limit(self) -> Limit | None:
        """None for a clear."""
        return as_limit(self.unit, self.value)

    @classmethod
    def due(cls, *, now: datetime) -> models.QuerySet[Command]:
        """Those of which a dispatcher is to take the next step by now."""
        return cls.objects.filter(state__in=cls.CLAIMABLE, next_attempt_at__lte=now)


class Attempt(models.Model):
    """One request of a command: committed before it is sent, completed with its answer.

    `number` counts the times the command was sent; a look has the number of the sending it looks
    after. An attempt without an answer whose lease has passed was lost with its worker: nobody
    knows whether it went out, so it counts as if it had.
    """

    class Verb(models.TextChoices):
        SET = "set"
        CLEAR = "clear"
        LOOK_ACTION = "look_action"
        LOOK_SESSION = "look_session"

        @property
        def is_sending(self) -> bool:
            return self in (Attempt.Verb.SET, Attempt.Verb.CLEAR)

    command = models.ForeignKey(Command, models.PROTECT, related_name="tries")
    # Its command's, which PostgreSQL checks already.
    session = models.ForeignKey(Session, models.PROTECT, related_name="+", db_constraint=False)
    number = models.PositiveIntegerField()
    verb = models.CharField(max_length=16, choices=Verb.choices)
    unit = models.CharField(max_length=8, choices=UNITS, null=True)
    value = models.FloatField(null=True)
    claimed_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    action_id = models.CharField(max_length=64, null=True)
    outcome = models.CharField(max_length=40, db_default="", help_text="Empty while in flight.")
    may_have_effect = models.BooleanField(
        db_default=True, help_text="Whether the station may have acted on it."
    )
    station_at = models.DateTimeField(
        null=True, help_text="When the station accepted or refused it, by eDRV's clock."
    )
    answer = models.TextField(db_default="")

    class Meta:
        ordering = ("id",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["command", "number"],
                condition=Q(verb__in=("set", "clear")),
                name="attempt_numbered_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                "action_id", condition=Q(action_id__isnull=False), name="attempt_by_action"
            ),
            models.Index("session", condition=Q(outcome=""), name="attempt_in_flight"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} try {self.number} of command {self.command_id}"


class WebhookDelivery(models.Model):
    """One webhook exactly as it came, stored before it was understood."""

    class State(models.TextChoices):
        PENDING = "pending"
        WAITING = "waiting", "waiting for what it speaks of"
        APPLIED = "applied"
        IGNORED = "ignored"
        FAILED = "failed"

    external_id = models.CharField("eDRV id", max_length=80)
    type = models.CharField(max_length=100)
    body = models.BinaryField()
    signature = models.CharField(max_length=400)
    received_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, db_default=State.PENDING)
    waiting_for = models.CharField(max_length=64, db_default="")
    applied_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, db_default="")

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "webhook deliveries"
        constraints: ClassVar = [
            # Whether two deliveries about one thing may share an id is in no document.
            models.UniqueConstraint(fields=("external_id", "type"), name="delivery_once"),
        ]
        indexes: ClassVar = [
            models.Index("id", condition=Q(state="pending"), name="delivery_pending"),
            models.Index("waiting_for", condition=Q(state="waiting"), name="delivery_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.external_id}"


class SiteFile(models.Model):
    """A CSV of sites that is too large to be waited for: checked, confirmed and written in the
    background by `site_files`. Gone after a day; what it changed is in the audit trail."""

    class State(models.TextChoices):
        CHECKING = "checking"
        CHECKED = "checked", "waiting for a confirmation"
        WRITING = "writing"
        DONE = "done"
        REFUSED = "refused"
        FAILED = "failed"

    MOVING = (State.CHECKING, State.WRITING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    content = models.BinaryField(help_text="Empty once nothing is to be done with it any more.")
    rows = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.CHECKING)
    sent_by = models.CharField(max_length=150)
    sent_from = models.CharField(max_length=100, blank=True)
    sent_at = models.DateTimeField()
    totals = models.JSONField(default=dict, help_text="new, changed, unchanged, wrong: how many.")
    faults = models.JSONField(default=list, help_text="[row, what is wrong, what it says], a few.")

    class Meta:
        ordering = ("-sent_at",)
        default_permissions = ()

    def __str__(self) -> str:
        return self.name

    @property
    def is_moving(self) -> bool:
        """Whether something is being done with it, without anybody."""
        return self.state in self.MOVING


class SessionNews(models.Model):
    """A session of which something changed, for whoever plans above. Written in the transaction
    of the change and deleted in the one that has dealt with it, so a crash loses none."""

    # Sessions are never deleted, and this is written by the thousand.
    session = models.ForeignKey(
        Session, models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    standing_only = models.BooleanField(
        default=False, help_text="An answer or a reading: how it stands with its limit."
    )

    class Meta:
        verbose_name_plural = "session news"

    def __str__(self) -> str:
        return str(self.session_id)


class Heartbeat(models.Model):
    """When something last happened that is watched from outside: `sweep`, `sync`, `edrv_ok`…"""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField(default=timezone.now)
    detail = models.CharField(max_length=300, blank=True, db_default="")

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%H:%M:%S}"

    @classmethod
    def note(cls, name: str, *, at: datetime, detail: str = "") -> None:
        """It happened then; an earlier time and its detail are forgotten."""
        Heartbeat.objects.bulk_create(
            [Heartbeat(name=name, at=at, detail=detail[:300])],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["at", "detail"],
        )


class AuditEntry(models.Model):
    """Who did what, when, from where; before and after. Append-only: a trigger refuses update
    and delete. A transition of many rows at once is one entry naming them all."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    origin = models.CharField(max_length=100, blank=True, db_default="")
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=40)
    subject_ids = ArrayField(models.CharField(max_length=64))
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    digest = models.BinaryField(help_text="SHA-256 of all of this as canonical JSON.")

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"


class AuditLink(models.Model):
    """An audit entry's place in the hash chain, written by a trigger when the entry's transaction
    commits (docs/adr/0030-links-are-made-at-commit.md). Append-only, like the entries."""

    position = models.BigIntegerField(primary_key=True, help_text="From 1, without gaps.")
    entry = models.OneToOneField(
        AuditEntry, models.DO_NOTHING, related_name="link", db_constraint=False
    )
    digest = models.BinaryField()
    hash = models.BinaryField(help_text="SHA-256 of the hash before it and the digest.")

    class Meta:
        ordering = ("-position",)
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(position__gt=0), name="link_from_one")
        ]

    def __str__(self) -> str:
        return f"link {self.position}"
