"""How events, participations and the fleet are shown over REST: a public contract."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.electricity import Limit
from chargers.models import UNITS, ChargeStation, Connector, Session, Site
from dr_events.fields import Instant
from dr_events.figures import Counts
from dr_events.models import Event, EventTarget, Participation


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
    complied = serializers.IntegerField(min_value=0)
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


class EventRepresentation(serializers.ModelSerializer[Event]):
    limit = serializers.SerializerMethodField()
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
            "below_minimum",
            "targets",
            "declared_by",
            "declared_at",
            "activated_at",
            "ended_at",
            "restored_at",
            "counts",
        )

    @extend_schema_field(EventLimit)
    def get_limit(self, event: Event) -> dict[str, Any]:
        return {
            "kind": event.limit_kind,
            **event.limit.as_json(),
            "paused": event.limit.is_pause,
        }

    @extend_schema_field(CountsRepresentation)
    def get_counts(self, event: Event) -> dict[str, int]:
        counts: dict[UUID, Counts] = self.context["counts"]
        return counts[event.id].as_json()


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
        return str(binding[0].event_id) if binding else None


class RunnerUp(serializers.Serializer[Any]):
    event = serializers.UUIDField()
    limit = LimitRepresentation()


class Why(serializers.Serializer[Any]):
    """Why a session is at its limit: the binding event, the arithmetic in words, and what the
    other events would have asked."""

    event = serializers.UUIDField(allow_null=True)
    limit = LimitRepresentation(allow_null=True)
    explanation = serializers.CharField()
    runners_up = RunnerUp(many=True)


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
    limited_now_by = serializers.CharField(allow_blank=True)
    cannot = serializers.CharField(allow_blank=True, help_text="Why not, or not by this event.")


class PreviewRepresentation(serializers.Serializer[Any]):
    """What a declaration would do now; sums over all sessions in scope, in W."""

    sessions_in_scope = serializers.IntegerField(min_value=0)
    sessions_to_limit = serializers.IntegerField(min_value=0)
    sessions_unmetered = serializers.IntegerField(min_value=0)
    metered_w = serializers.FloatField()
    expected_w = serializers.FloatField()
    expected_relief_w = serializers.FloatField()
    cannot = serializers.DictField(child=serializers.IntegerField(min_value=1))
    warnings = WarningRepresentation(many=True)
    sessions = PreviewLine(many=True, help_text="The largest draws first, 1,000 at most.")
    truncated = serializers.BooleanField()
