"""What the lists of the REST interface can be narrowed down by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from rest_framework import serializers

from chargers.models import ChargeStation, Session, Site
from dr_events.fields import Instant
from dr_events.models import Event, EventTarget, Participation


class TruthField(forms.Field):
    """true or false; anything else is refused rather than taken for "no matter which"."""

    def to_python(self, value: Any) -> bool | None:
        if value is None:
            return None
        if str(value).lower() not in ("true", "false"):
            raise forms.ValidationError("must be true or false", code="invalid")
        return str(value).lower() == "true"


class TruthFilter(django_filters.BooleanFilter):
    field_class = TruthField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, widget=forms.TextInput, **kwargs)


class InstantField(forms.Field):
    """A time with its offset, as everywhere else."""

    def to_python(self, value: Any) -> datetime | None:
        if value is None:
            return None
        try:
            return Instant().to_internal_value(value)
        except serializers.ValidationError as error:
            details: Any = error.get_full_details()
            reason = details[0]
            raise forms.ValidationError(str(reason["message"]), code=reason["code"]) from error


class InstantFilter(django_filters.IsoDateTimeFilter):
    field_class = InstantField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, widget=forms.TextInput, **kwargs)


class Filters(django_filters.FilterSet):
    """Refuses an empty value, which would be taken for no filter at all."""

    def is_valid(self) -> bool:
        data = self.data or {}
        for name in self.filters:
            if data.get(name) == "" and name not in self.form.errors:
                self.form.add_error(name, forms.ValidationError("must not be empty", code="empty"))
        return bool(super().is_valid())


class EventFilter(Filters):
    status = django_filters.MultipleChoiceFilter(choices=Event.Status.choices)
    external_id = django_filters.CharFilter()
    test = TruthFilter()
    starts_after = InstantFilter(
        "starts_at", lookup_expr="gte", help_text="Events that start at this time or later."
    )
    starts_before = InstantFilter(
        "starts_at", lookup_expr="lt", help_text="Events that start earlier than at this time."
    )
    target_type = django_filters.ChoiceFilter(
        choices=EventTarget.Type.choices,
        method="filter_target",
        help_text="Events with such a target; with `target_value`, with one target that is both.",
    )
    target_value = django_filters.CharFilter(method="filter_target")

    class Meta:
        model = Event
        fields: tuple[str, ...] = ()

    def filter_target(self, events: QuerySet[Event], name: str, value: str) -> QuerySet[Event]:
        said = self.form.cleaned_data
        wanted = {"type": said["target_type"], "value": said["target_value"]}
        one = EventTarget.objects.filter(
            event=OuterRef("pk"), **{field: text for field, text in wanted.items() if text}
        )
        return events.filter(Exists(one))


class ParticipationFilter(Filters):
    state = django_filters.MultipleChoiceFilter(choices=Participation.State.choices)
    reason = django_filters.CharFilter()
    site = django_filters.CharFilter("session__chargestation__site__external_id")
    session = django_filters.CharFilter("session__external_id")
    joined_late = TruthFilter()

    class Meta:
        model = Participation
        fields: tuple[str, ...] = ()


class SiteFilter(Filters):
    external_id = django_filters.CharFilter()
    grid_zone = django_filters.CharFilter()
    substation = django_filters.CharFilter()
    feeder = django_filters.CharFilter()

    class Meta:
        model = Site
        fields: tuple[str, ...] = ()


class ChargeStationFilter(Filters):
    external_id = django_filters.CharFilter()
    site = django_filters.CharFilter("site__external_id")
    feeder = django_filters.CharFilter("site__feeder")
    online = TruthFilter()

    class Meta:
        model = ChargeStation
        fields: tuple[str, ...] = ()


class SessionFilter(Filters):
    external_id = django_filters.CharFilter()
    status = django_filters.MultipleChoiceFilter(choices=Session.Status.choices)
    site = django_filters.CharFilter("chargestation__site__external_id")
    chargestation = django_filters.CharFilter("chargestation__external_id")
    feeder = django_filters.CharFilter("chargestation__site__feeder")
    limited = TruthFilter(
        method="filter_limited", help_text="Sessions on which a limit is, or may be, in force."
    )

    class Meta:
        model = Session
        fields: tuple[str, ...] = ()

    def filter_limited(
        self, sessions: QuerySet[Session], name: str, value: bool
    ) -> QuerySet[Session]:
        found = sessions.filter(may_be_limited=value)
        # By the index of open sessions, which all that are limited are.
        return found.filter(ended_at=None) if value else found
