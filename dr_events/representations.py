"""How events, participations and the fleet are shown over REST: a public contract."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.electricity import Limit
from chargers.models import UNITS, ChargeStation, Connector, Session, Site
from dr_events import exports
from dr_events.amounts import Amount
from dr_events.fields import Instant, SignedDuration
from dr_events.figures import Counts
from dr_events.models import Event, EventTarget, Export, OptOut, Participation, SiteCapacity


class LimitRepresentation(serializers.Serializer[Any]):
    """A limit in the unit it was wanted or confirmed in."""

    unit = serializers.ChoiceField(choices=UNITS)
    value = serializers.FloatField(min_value=0, help_text="W, or A per phase; 0 is a pause.")


class LimitField(serializers.Field[Limit, Any, Any, Any]):
    def to_representation(self, value: Limit) -> Any:
        return value.as_json()


@extend_schema_field(LimitRepresentation)
class LimitOrNull(LimitField):
    def __init__(self) -> None:
        super().__init__(read_only=True, allow_null=True)


class EventLimit(LimitRepresentation):
    kind = serializers.ChoiceField(choices=Event.LimitKind.choices)
    paused = serializers.BooleanField(help_text="True for a limit of 0: charging pauses.")


class CountsRepresentation(serializers.Serializer[Any]):
    """targeted = pending + confirmed + failed + unreachable + exempt + ended."""

    targeted = serializers.IntegerField(min_value=0)
    pending = serializers.IntegerField(min_value=0)
    confirmed = serializers.IntegerField(min_value=0)
    failed = serializers.IntegerField(min_value=0)
    unreachable = serializers.IntegerField(min_value=0)
    exempt = serializers.IntegerField(min_value=0)
    ended = serializers.IntegerField(min_value=0)
    complied = serializers.IntegerField(
        min_value=0,
        help_text="Confirmed, exempt or ended, with a reading at or under the accepted limit. The "
        "outcome `complied` in reports is narrower: it leaves out who left or drew more later.",
    )
    restored = serializers.IntegerField(min_value=0)


class TargetRepresentation(serializers.ModelSerializer[EventTarget]):
    value = serializers.CharField(allow_null=True, help_text="null for the type `all`.")

    class Meta:
        model = EventTarget
        fields = ("type", "value")

    def to_representation(self, instance: EventTarget) -> dict[str, Any]:
        return {"type": instance.type, "value": instance.value or None}


class WarningRepresentation(serializers.Serializer[Any]):
    """Something accepted that may not be what was meant."""

    code = serializers.CharField()
    detail = serializers.CharField()


class IntervalRepresentation(serializers.Serializer[Any]):
    """One step of an event."""

    starts_at = Instant()
    ends_at = Instant(allow_null=True, help_text="null: until the event is ended.")
    limit = EventLimit()


class RestoreRepresentation(serializers.Serializer[Any]):
    """The slope on which power comes back."""

    rate_w_per_min = serializers.FloatField(help_text="All sessions together, W a minute.")
    random_share = serializers.FloatField()


class ReferenceRepresentation(serializers.Serializer[Any]):
    """What the scope drew when the event started: what a relief is counted from."""

    power_w = serializers.FloatField(help_text="Metered, W.")
    sessions = serializers.IntegerField(min_value=0)
    unmetered = serializers.IntegerField(min_value=0, help_text="Sessions not in power_w.")


class EventRepresentation(serializers.ModelSerializer[Event]):
    limit = serializers.SerializerMethodField(help_text="In force now or, before it, at first.")
    intervals = serializers.SerializerMethodField()
    randomize_start = SignedDuration(allow_null=True)
    restore = serializers.SerializerMethodField()
    reference = ReferenceRepresentation(allow_null=True)
    targets = TargetRepresentation(many=True)
    counts = serializers.SerializerMethodField()
    starts_at = Instant()
    ends_at = Instant(allow_null=True)
    declared_at = Instant()
    activated_at = Instant(allow_null=True)
    ended_at = Instant(allow_null=True)
    restored_at = Instant(allow_null=True)

    class Meta:
        model = Event
        fields: tuple[str, ...] = (
            "id",
            "external_id",
            "name",
            "reason",
            "test",
            "priority",
            "status",
            "starts_at",
            "ends_at",
            "limit",
            "intervals",
            "below_minimum",
            "randomize_start",
            "restore",
            "reference",
            "targets",
            "declared_by",
            "declared_at",
            "activated_at",
            "ended_at",
            "restored_at",
            "counts",
        )

    @extend_schema_field(EventLimit(allow_null=True))
    def get_limit(self, event: Event) -> dict[str, Any] | None:
        """Null in a gap between two steps."""
        if event.activated_at is None:
            return limit_json(event.amount)
        amount = event.amount_at(event.ended_at or timezone.now())
        return limit_json(amount) if amount else None

    @extend_schema_field(IntervalRepresentation(many=True))
    def get_intervals(self, event: Event) -> list[dict[str, Any]]:
        return [
            {
                "starts_at": _time(event.starts_at + step.starts_after),
                "ends_at": _time(
                    event.starts_at + step.ends_after if step.ends_after else event.ends_at
                ),
                "limit": limit_json(step.amount),
            }
            for step in event.steps
        ]

    @extend_schema_field(RestoreRepresentation(allow_null=True))
    def get_restore(self, event: Event) -> dict[str, float] | None:
        if event.restore_w_per_min is None:
            return None
        return {
            "rate_w_per_min": event.restore_w_per_min,
            "random_share": event.restore_random_share,
        }

    @extend_schema_field(CountsRepresentation)
    def get_counts(self, event: Event) -> dict[str, int]:
        counts: dict[UUID, Counts] = self.context["counts"]
        return counts[event.id].as_json()


def limit_json(amount: Amount) -> dict[str, Any]:
    """As EventLimit."""
    return {**amount.as_json(), "paused": amount.is_pause}


def _time(time: datetime | None) -> str | None:
    return None if time is None else Instant().to_representation(time)


class EventDetail(EventRepresentation):
    """One event, with what may not be as it was meant."""

    warnings = serializers.SerializerMethodField()

    class Meta(EventRepresentation.Meta):
        fields = (*EventRepresentation.Meta.fields, "warnings")

    @extend_schema_field(WarningRepresentation(many=True))
    def get_warnings(self, event: Event) -> list[dict[str, str]]:
        warnings: list[dict[str, str]] = self.context["warnings"]
        return warnings


class ParticipationRepresentation(serializers.ModelSerializer[Participation]):
    session = serializers.CharField(source="session.external_id", help_text="eDRV id.")
    chargestation = serializers.CharField(source="session.chargestation.external_id")
    site = serializers.CharField(source="session.chargestation.site.external_id")
    wanted = LimitOrNull()
    confirmed = LimitOrNull()
    joined_at = Instant()
    next_attempt_at = Instant(allow_null=True)
    first_sent_at = Instant(allow_null=True)
    accepted_at = Instant(allow_null=True)
    complied_at = Instant(allow_null=True)
    non_responsive_at = Instant(
        allow_null=True,
        help_text="When it was first found to draw more than its limit for longer than it may"
        " take; stays, whatever came of it.",
    )
    restored_at = Instant(allow_null=True)
    power_w = serializers.FloatField(
        source="session.power_w", allow_null=True, help_text="Latest metered draw, W."
    )
    metered_at = Instant(source="session.metered_at", allow_null=True)

    class Meta:
        model = Participation
        fields = (
            "session",
            "chargestation",
            "site",
            "state",
            "reason",
            "binding",
            "wanted",
            "confirmed",
            "before_w",
            "power_w",
            "metered_at",
            "attempts",
            "next_attempt_at",
            "joined_at",
            "joined_late",
            "first_sent_at",
            "accepted_at",
            "complied_at",
            "non_responsive_at",
            "restored_at",
        )


class SiteRepresentation(serializers.ModelSerializer[Site]):
    class Meta:
        model = Site
        fields = (
            "id",
            "external_id",
            "name",
            "address",
            "timezone",
            "grid_zone",
            "substation",
            "feeder",
            "voltage_v",
            "exempt",
            "exempt_reason",
        )


class ConnectorRepresentation(serializers.ModelSerializer[Connector]):
    class Meta:
        model = Connector
        fields = (
            "id",
            "external_id",
            "status",
            "power_type",
            "max_power_w",
            "voltage_v",
            "phases",
            "max_current_a",
        )


class ChargeStationRepresentation(serializers.ModelSerializer[ChargeStation]):
    site = serializers.CharField(source="site.external_id", help_text="eDRV id.")
    connectors = ConnectorRepresentation(many=True)

    class Meta:
        model = ChargeStation
        fields = (
            "id",
            "external_id",
            "name",
            "site",
            "protocol",
            "online",
            "is_simulator",
            "refused_units",
            "refuses_clear",
            "exempt",
            "exempt_reason",
            "connectors",
        )


class SessionRepresentation(serializers.ModelSerializer[Session]):
    site = serializers.CharField(source="chargestation.site.external_id", help_text="eDRV id.")
    chargestation = serializers.CharField(source="chargestation.external_id")
    connector = serializers.CharField(source="connector.external_id", allow_null=True, default=None)
    started_at = Instant(allow_null=True)
    ended_at = Instant(allow_null=True)
    metered_at = Instant(allow_null=True)
    confirmed_at = Instant(allow_null=True)
    wanted = LimitOrNull()
    confirmed = LimitOrNull()
    binding_event = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields: tuple[str, ...] = (
            "id",
            "external_id",
            "site",
            "chargestation",
            "connector",
            "status",
            "started_at",
            "ended_at",
            "power_w",
            "current_a",
            "energy_wh",
            "state_of_charge_percent",
            "metered_at",
            "wanted",
            "confirmed",
            "confirmed_at",
            "binding_event",
            "exempt",
            "exempt_reason",
        )

    @extend_schema_field({"type": ["string", "null"], "format": "uuid"})
    def get_binding_event(self, session: Session) -> str | None:
        running: list[Participation] = getattr(session, "running_participations", [])
        binding = [part for part in running if part.binding]
        # One that gives its power back keeps what it held until another event takes over.
        active = [part for part in binding if part.event.status == Event.Status.ACTIVE]
        decides = next(iter(active or binding), None)
        return str(decides.event_id) if decides else None


class RunnerUp(serializers.Serializer[Any]):
    event = serializers.UUIDField()
    limit = LimitRepresentation()


class WhyCap(serializers.Serializer[Any]):
    """A cap that the session shares."""

    name = serializers.CharField(help_text="The event's, or that it is the site's capacity.")
    cap_w = serializers.FloatField()
    sessions = serializers.IntegerField(min_value=0)
    paused = serializers.IntegerField(min_value=0)
    allowed_w = serializers.FloatField()
    cannot_hold_w = serializers.FloatField(help_text="Draw of those that cannot be held, W.")


class Why(serializers.Serializer[Any]):
    """Why a session is at its limit: the binding event, the arithmetic in words, and what the
    other events would have asked."""

    event = serializers.UUIDField(allow_null=True)
    limit = LimitRepresentation(allow_null=True)
    explanation = serializers.CharField()
    runners_up = RunnerUp(many=True)
    caps = WhyCap(many=True)


class SessionDetail(SessionRepresentation):
    why = serializers.SerializerMethodField()

    class Meta(SessionRepresentation.Meta):
        fields = (*SessionRepresentation.Meta.fields, "why")

    @extend_schema_field(Why)
    def get_why(self, session: Session) -> dict[str, Any]:
        why: dict[str, Any] = self.context["why"]
        return why


class PreviewLine(serializers.Serializer[Any]):
    session = serializers.CharField(help_text="eDRV id.")
    chargestation = serializers.CharField()
    site = serializers.CharField()
    power_w = serializers.FloatField(allow_null=True)
    wanted = LimitRepresentation(allow_null=True)
    expected_w = serializers.FloatField(allow_null=True)
    expected_relief_w = serializers.FloatField()
    expected_rise_w = serializers.FloatField(
        help_text="At most so much more, where a limit rises or goes."
    )
    limited_now_by = serializers.CharField(allow_blank=True)
    below_floor = serializers.BooleanField(help_text="Paused: there are no 6 A for it.")
    cannot = serializers.CharField(allow_blank=True, help_text="Why not, or not by this event.")
    unable = serializers.ListField(
        child=serializers.CharField(),
        help_text="What the station does not understand; it is told in another way.",
    )


class PreviewCap(serializers.Serializer[Any]):
    """A cap of the order: for all its sessions or, with `site`, for those there."""

    site = serializers.CharField(allow_null=True)
    cap_w = serializers.FloatField()
    sessions = serializers.IntegerField(min_value=0)
    paused = serializers.IntegerField(min_value=0)
    allowed_w = serializers.FloatField(help_text="Sum of the limits of those that can be held.")
    cannot_hold_w = serializers.FloatField(help_text="Draw of those that cannot, W.")
    reachable = serializers.BooleanField()


class PreviewRepresentation(serializers.Serializer[Any]):
    """What a declaration would do now; sums over all sessions in scope, in W."""

    sessions_in_scope = serializers.IntegerField(min_value=0)
    sessions_to_limit = serializers.IntegerField(min_value=0)
    sessions_below_floor = serializers.IntegerField(min_value=0)
    sessions_unmetered = serializers.IntegerField(min_value=0)
    metered_w = serializers.FloatField()
    expected_w = serializers.FloatField()
    expected_relief_w = serializers.FloatField()
    expected_rise_w = serializers.FloatField()
    reachable = serializers.BooleanField(help_text="Whether what is ordered can be had at all.")
    caps = PreviewCap(many=True)
    cannot = serializers.DictField(child=serializers.IntegerField(min_value=1))
    warnings = WarningRepresentation(many=True)
    sessions = PreviewLine(many=True, help_text="The largest draws first, 1,000 at most.")
    truncated = serializers.BooleanField()


class OptOutRepresentation(serializers.ModelSerializer[OptOut]):
    declared_at = Instant()
    withdrawn_at = Instant(allow_null=True)

    class Meta:
        model = OptOut
        fields = (
            "id",
            "kind",
            "type",
            "value",
            "reason",
            "budget_of",
            "declared_by",
            "declared_at",
            "withdrawn_at",
        )


class ProgressRepresentation(serializers.Serializer[Any]):
    """Participations."""

    done = serializers.IntegerField(min_value=0)
    total = serializers.IntegerField(min_value=0)


class ExportRepresentation(serializers.ModelSerializer[Export]):
    """A report that is made in the background."""

    event = serializers.UUIDField(source="event_id")
    format = serializers.CharField()
    requested_at = Instant()
    finished_at = Instant(allow_null=True)
    progress = serializers.SerializerMethodField()
    file = serializers.SerializerMethodField(help_text="Where it is; null until it is ready.")
    manifest = serializers.SerializerMethodField(
        help_text="Where its signed manifest is; null until it is ready."
    )
    sha256 = serializers.CharField(help_text="Of the file; empty until it is ready.")

    class Meta:
        model = Export
        fields = (
            "id",
            "event",
            "format",
            "state",
            "progress",
            "requested_by",
            "requested_at",
            "finished_at",
            "size_bytes",
            "sha256",
            "trouble",
            "file",
            "manifest",
        )

    @extend_schema_field(ProgressRepresentation)
    def get_progress(self, export: Export) -> dict[str, int]:
        done, total = exports.progress_of(export)
        return {"done": done, "total": total}

    def get_file(self, export: Export) -> str | None:
        return self._where("export-file", export)

    def get_manifest(self, export: Export) -> str | None:
        return self._where("export-manifest", export)

    def _where(self, name: str, export: Export) -> str | None:
        return reverse(name, args=[export.pk]) if export.state == Export.State.READY else None


class CapacityRepresentation(serializers.ModelSerializer[SiteCapacity]):
    """What a site may import now, W, and what is said of it."""

    site = serializers.CharField(source="site.external_id", help_text="eDRV id.")
    valid_until = Instant()
    declared_at = Instant()
    in_force_w = serializers.SerializerMethodField(
        help_text="power_w or, in silence, safe_power_w."
    )
    silent = serializers.SerializerMethodField(help_text="The feed has not spoken in time.")

    class Meta:
        model = SiteCapacity
        fields = (
            "site",
            "power_w",
            "valid_until",
            "safe_power_w",
            "in_force_w",
            "silent",
            "declared_by",
            "declared_at",
        )

    def get_in_force_w(self, capacity: SiteCapacity) -> float:
        return capacity.power_at(timezone.now())

    def get_silent(self, capacity: SiteCapacity) -> bool:
        return capacity.is_silent(timezone.now())
