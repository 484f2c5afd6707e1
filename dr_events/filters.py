"""What the lists of the REST interface can be narrowed down by."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet

from chargers.models import ChargeStation, Session, Site
from dr_events.models import Event, EventTarget, Participation


class EventFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=Event.Status.choices)
    external_id = django_filters.CharFilter()
    test = django_filters.BooleanFilter()
    starts_after = django_filters.IsoDateTimeFilter("starts_at", lookup_expr="gte")
    starts_before = django_filters.IsoDateTimeFilter("starts_at", lookup_expr="lt")
    target_type = django_filters.ChoiceFilter(
        "targets__type", choices=EventTarget.Type.choices, distinct=True
    )
    target_value = django_filters.CharFilter("targets__value", distinct=True)

    class Meta:
        model = Event
        fields: tuple[str, ...] = ()


class ParticipationFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=Participation.State.choices)
    reason = django_filters.CharFilter()
    site = django_filters.CharFilter("session__chargestation__site__external_id")
    session = django_filters.CharFilter("session__external_id")
    joined_late = django_filters.BooleanFilter()

    class Meta:
        model = Participation
        fields: tuple[str, ...] = ()


class SiteFilter(django_filters.FilterSet):
    external_id = django_filters.CharFilter()
    grid_zone = django_filters.CharFilter()
    substation = django_filters.CharFilter()
    feeder = django_filters.CharFilter()

    class Meta:
        model = Site
        fields: tuple[str, ...] = ()


class ChargeStationFilter(django_filters.FilterSet):
    external_id = django_filters.CharFilter()
    site = django_filters.CharFilter("site__external_id")
    feeder = django_filters.CharFilter("site__feeder")
    online = django_filters.BooleanFilter()

    class Meta:
        model = ChargeStation
        fields: tuple[str, ...] = ()


class SessionFilter(django_filters.FilterSet):
    external_id = django_filters.CharFilter()
    status = django_filters.MultipleChoiceFilter(choices=Session.Status.choices)
    site = django_filters.CharFilter("chargestation__site__external_id")
    chargestation = django_filters.CharFilter("chargestation__external_id")
    feeder = django_filters.CharFilter("chargestation__site__feeder")
    limited = django_filters.BooleanFilter(
        method="filter_limited", help_text="Sessions on which a limit is, or may be, in force."
    )

    class Meta:
        model = Session
        fields: tuple[str, ...] = ()

    def filter_limited(
        self, sessions: QuerySet[Session], name: str, value: bool
    ) -> QuerySet[Session]:
        return sessions.filter(may_be_limited=value)
