"""A small fleet in the database, made by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from chargers.edrv.payloads import Action, ActionStatus
from chargers.electricity import Limit, Unit
from chargers.limits import Want
from chargers.models import ChargeStation, Connector, Session, Site

NOW = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
FOUR_KW = Limit(Unit.POWER, 4200)
SIX_KW = Limit(Unit.POWER, 6000)

_ids = itertools.count(1)


def new_id() -> str:
    return f"{next(_ids):024x}"


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def make_site(**fields: Any) -> Site:
    return Site.objects.create(**{"external_id": new_id(), "feeder": "F12", **fields})


def make_station(site: Site | None = None, **fields: Any) -> ChargeStation:
    return ChargeStation.objects.create(
        **{"external_id": new_id(), "site": site or make_site(), **fields}
    )


def make_connector(station: ChargeStation | None = None, **fields: Any) -> Connector:
    defaults = {"power_type": "ac_3_phase", "max_power_w": 22_080}
    return Connector.objects.create(
        **{
            "external_id": new_id(),
            "chargestation": station or make_station(),
            **defaults,
            **fields,
        }
    )


def make_session(connector: Connector | None = None, **fields: Any) -> Session:
    """A started session drawing 11 kW."""
    connector = connector or make_connector()
    defaults = {"status": "started", "started_at": later(-3600), "power_w": 11_000.0}
    return Session.objects.create(
        **{
            "external_id": new_id(),
            "connector": connector,
            "chargestation": connector.chargestation,
            "metered_at": later(-10),
            **defaults,
            **fields,
        }
    )


def wanting(session: Session, limit: Limit | None, relief_w: float = 0.0) -> Want:
    return Want(session.pk, limit, "test", relief_w)


def action(
    action_id: str, status: str, *, at: datetime | None = None, response_data: Any = None
) -> Action:
    return Action(
        action_id, "session.set_power_limit", ActionStatus(status), at or NOW, response_data
    )
