"""Changing our own fields of the fleet: what eDRV does not know and people here decide.

One transaction: the change, its audit entry, and the news to whoever plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from django.db import transaction
from django.db.models import Model, QuerySet

from chargers import audit, news
from chargers.audit import Actor
from chargers.models import ChargeStation, Connector, Session, Site

FleetThing: TypeAlias = Site | ChargeStation | Connector | Session

OWN_FIELDS: Mapping[type[Model], tuple[str, ...]] = {
    Site: ("grid_zone", "substation", "feeder", "voltage_v", "exempt", "exempt_reason"),
    ChargeStation: ("exempt", "exempt_reason", "refused_units", "refuses_clear"),
    Connector: ("voltage_v", "phases", "max_current_a"),
    Session: ("exempt", "exempt_reason"),
}
_PATH_FROM_SESSION: Mapping[type[Model], str] = {
    Site: "chargestation__site",
    ChargeStation: "chargestation",
    Connector: "connector",
    Session: "pk",
}


@transaction.atomic
def change(
    thing: FleetThing, values: Mapping[str, Any], *, actor: Actor, now: datetime, action: str = ""
) -> bool:
    """Give our own fields of one thing new values; True if that changed anything.

    Only these columns are written: the rest of the row belongs to eDRV's sync and to the
    planner, and may have changed since it was read.
    """
    model: Any = type(thing)
    stored = model.objects.select_for_update(no_key=True).get(pk=thing.pk)
    changed = {
        name: values[name]
        for name in OWN_FIELDS[model]
        if name in values and values[name] != getattr(stored, name)
    }
    if not changed:
        return False
    model.objects.filter(pk=thing.pk).update(**changed)
    subject = model.__name__.lower()
    audit.record(
        actor,
        action or f"{subject}.changed",
        at=now,
        subject=subject,
        subject_ids=[thing.pk],
        before={name: getattr(stored, name) for name in changed},
        after=changed,
    )
    news.tell(open_sessions(model, [thing.pk]).values_list("pk", flat=True))
    return True


def open_sessions(model: type[Model], ids: list[Any]) -> QuerySet[Session]:
    """The open sessions at these sites, chargestations or connectors."""
    return Session.objects.filter(ended_at=None, **{f"{_PATH_FROM_SESSION[model]}__in": ids})
