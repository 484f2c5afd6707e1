"""What planning and judging need to know of sessions, read in few queries for hundreds of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from chargers import circuits, sql
from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from chargers.models import Command, Session, as_limit
from chargers.retries import REJECTIONS
from dr_events import opt_outs, pacing
from dr_events.amounts import Amount, Kind
from dr_events.demand import Metering
from dr_events.judgement import Tolerance
from dr_events.models import Event, SiteCapacity
from dr_events.orders import (
    NO_SITE,
    Ask,
    Cap,
    Capacity,
    Car,
    Each,
    EventId,
    Grip,
    Order,
    Part,
    Percent,
    Rules,
    SiteId,
)
from dr_events.pacing import Pace


def rules() -> Rules:
    """When a new share of a cap is worth a command, as configured."""
    return Rules(
        dead_band_w=settings.CAP_DEAD_BAND_W,
        minimum_interval=timedelta(seconds=settings.CAP_MINIMUM_INTERVAL_S),
        turn=timedelta(seconds=settings.CAP_TURN_S),
        settling=timedelta(seconds=settings.CAP_SETTLING_S),
    )


def orders(*, now: datetime) -> dict[EventId, Order]:
    """The active events as the planner sees them, and those that are restoring: who is still in
    one of these stays as it is."""
    running = Event.objects.filter(status__in=(Event.Status.ACTIVE, Event.Status.RESTORING))
    return {event.id: order_of(event, now=now) for event in running.prefetch_related("intervals")}


def order_of(event: Event, *, now: datetime) -> Order:
    """An event as the planner sees it at that moment."""
    pace = pace_of(event)
    ask = ask_for(event.amount_at(now), reference_w=event.reference_w)
    if isinstance(ask, Cap) and pace and event.slope_w is not None:
        ask = replace(ask, cap_w=pacing.ramped_w(ask.cap_w, pace, from_w=event.slope_w, now=now))
    return Order(
        event_id=event.id,
        label=event.label,
        priority=event.priority,
        declared_at=event.declared_at,
        ask=ask,
        below_minimum=BelowMinimum(event.below_minimum),
        pace=pace,
    )


def pace_of(event: Event) -> Pace | None:
    """The slope on which an event gives power back; None: at once."""
    if event.restore_w_per_min is None:
        return None
    return Pace(event.restore_w_per_min, event.restore_random_share, event.slope_reached_at)


def ask_for(amount: Amount | None, *, reference_w: float | None) -> Ask | None:
    """An amount as the planner takes it. A relief is a cap below the draw at the start (W), and
    asks for nothing until that is known."""
    if amount is None:
        return None
    match amount.kind:
        case Kind.PER_SESSION:
            return Each(amount.limit)
        case Kind.PERCENT:
            return Percent(amount.value, amount.unit)
        case Kind.RELIEF:
            return None if reference_w is None else Cap(max(0.0, reference_w - amount.value))
        case kind:
            return Cap(amount.value, a_site=kind is Kind.PER_SITE)


def capacities(*, now: datetime) -> dict[SiteId, Capacity]:
    """The standing capacity of each site that has one."""
    return {one.site_id: capacity_of(one, now=now) for one in SiteCapacity.objects.all()}


def capacity_of(capacity: SiteCapacity, *, now: datetime) -> Capacity:
    """A site's standing capacity as the planner sees it at that moment."""
    silent = capacity.is_silent(now)
    return Capacity(
        capacity.power_at(now), "safe site capacity (feed silent)" if silent else "site capacity"
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """One open session: where it hangs, what it draws, what limit it is under, why it may be
    exempt."""

    session_id: int
    external_id: str
    is_started: bool
    site_id: SiteId
    site: str
    chargestation: str
    online: bool
    is_simulator: bool
    refused_units: tuple[str, ...]
    refuses_clear: bool
    circuit: Circuit
    metering: Metering
    exempt_reason: str
    wanted_cause: str
    grip: Grip

    @property
    def power_w(self) -> float | None:
        return self.metering.power_w

    def car(self, parts: Sequence[Part]) -> Car:
        return Car(
            session_id=self.session_id,
            circuit=self.circuit,
            metering=self.metering,
            parts=tuple(parts),
            exempt_reason=self.exempt_reason,
            # Who only holds a place takes nothing of a capacity yet.
            site_id=self.site_id if self.is_started else NO_SITE,
            grip=self.grip,
        )


def of_sessions(session_ids: Iterable[int], *, now: datetime) -> list[Facts]:
    """Facts of the open ones among these sessions."""
    patience = timedelta(seconds=settings.COMPLIANCE_PATIENCE_S)
    return [_facts(row, now - patience) for row in sql.rows(_FACTS, [list(session_ids)])]


def _facts(row: Mapping[str, Any], patience_since: datetime) -> Facts:
    circuit = circuits.of_row(row)
    metering = _metering(row, circuit)
    return Facts(
        session_id=row["id"],
        external_id=row["external_id"],
        is_started=row["status"] == Session.Status.STARTED,
        site_id=row["site_id"],
        site=row["site"],
        chargestation=row["chargestation"],
        online=row["online"],
        is_simulator=row["is_simulator"],
        refused_units=tuple(row["refused_units"]),
        refuses_clear=row["refuses_clear"],
        circuit=circuit,
        metering=metering,
        exempt_reason=row["exempt_reason"],
        wanted_cause=row["wanted_cause"],
        grip=_grip(row, circuit, metering, patience_since),
    )


def _metering(row: Mapping[str, Any], circuit: Circuit) -> Metering:
    power_w, metered_at = row["power_w"], row["metered_at"]
    limit = as_limit(row["confirmed_unit"], row["confirmed_value"])
    if limit is None:
        return Metering(power_w, metered_at, None, row["started_at"])
    return Metering(power_w, metered_at, circuit.watts(limit), row["confirmed_at"])


def _grip(
    row: Mapping[str, Any], circuit: Circuit, metering: Metering, patience_since: datetime
) -> Grip:
    wanted = as_limit(row["wanted_unit"], row["wanted_value"])
    return Grip(
        wanted=wanted,
        wanted_at=row["wanted_at"],
        switched_at=row["switched_at"],
        held_w=_held_w(row, circuit, wanted),
        is_loose=metering.limit_w is None or wanted is None or row["sent_clear"],
        is_stuck=_is_stuck(row) or _is_over_its_limit(row, metering, patience_since),
    )


def _held_w(row: Mapping[str, Any], circuit: Circuit, wanted: Limit | None) -> float | None:
    """The most that what is wanted, confirmed, or sent and not answered, may allow."""
    if wanted is None:
        return None
    others = [as_limit(row["confirmed_unit"], row["confirmed_value"])]
    others += [as_limit(unit, row[f"sent_{unit}"]) for unit in Unit]
    return max(circuit.watts(limit) for limit in (wanted, *others) if limit is not None)


def _is_stuck(row: Mapping[str, Any]) -> bool:
    """It does not answer, cannot be reached, or refuses. One refusal may only be the unit's.
    Silence lasts until it is broken, whatever has been wanted since."""
    if row["command_state"] == Command.State.REJECTED or not row["online"]:
        return True
    reason = row["command_reason"] or row["silence"] or ""
    return (
        row["command_state"] in Command.UNSETTLED
        and bool(reason)
        and not (reason in REJECTIONS and row["command_rejections"] <= 1)
    )


def _is_over_its_limit(
    row: Mapping[str, Any], metering: Metering, patience_since: datetime
) -> bool:
    """It accepted a limit long ago and still draws more: what it is told does not matter."""
    if metering.limit_w is None or metering.power_w is None or metering.since is None:
        return False
    assert metering.metered_at is not None
    tolerance = Tolerance.from_settings()
    return (
        not tolerance.allows(metering.power_w, metering.limit_w)
        and metering.since <= patience_since
        and metering.metered_at - metering.since >= tolerance.patience
    )


def parts_of(session_ids: Iterable[int]) -> dict[int, list[Part]]:
    """The running events in which each of these sessions is taking part."""
    found: dict[int, list[Part]] = {}
    for row in sql.rows(_PARTS, [list(session_ids)]):
        found.setdefault(row["session_id"], []).append(_part(row))
    return found


def _part(row: Mapping[str, Any]) -> Part:
    hold = None
    if row["status"] == Event.Status.RESTORING:
        hold = as_limit(row["wanted_unit"], row["wanted_value"])
    return Part(row["event_id"], row["before_w"], row["excused"], hold)


_SILENT = "('no_answer', 'station_offline', 'station_unreachable')"

_FACTS = f"""
    SELECT session.id, session.external_id, session.status, session.power_w,
           session.metered_at, session.started_at, session.wanted_cause,
           session.wanted_unit, session.wanted_value,
           session.confirmed_unit, session.confirmed_value, session.confirmed_at,
           site.id AS site_id, site.external_id AS site, station.external_id AS chargestation,
           station.online, station.is_simulator, station.refused_units, station.refuses_clear,
           command.created_at AS wanted_at, command.state AS command_state,
           command.reason AS command_reason, command.rejections AS command_rejections,
           since.switched_at, sent.power AS sent_power, sent.current AS sent_current,
           COALESCE(sent.clear, FALSE) AS sent_clear, sent.silence,
           {circuits.EXEMPT_REASON} AS exempt_reason,
           {circuits.COLUMNS}
      FROM chargers_session AS session
      {circuits.JOINS}
      LEFT JOIN chargers_command AS command
        ON command.session_id = session.id AND command.generation = session.generation
      -- What was sent since the last answer, and may be in force.
      LEFT JOIN LATERAL (
           SELECT max(value) FILTER (WHERE unit = 'power') AS power,
                  max(value) FILTER (WHERE unit = 'current') AS current,
                  bool_or(kind = 'clear') AS clear,
                  max(reason) FILTER (WHERE reason IN {_SILENT}) AS silence
             FROM chargers_command AS flying
            WHERE session.generation > session.confirmed_generation
              AND flying.session_id = session.id AND flying.attempts > 0
              AND flying.generation > session.confirmed_generation
              AND flying.generation < session.generation
              AND flying.state <> 'rejected') AS sent ON TRUE
      -- The first limit after the last pause, or the first pause after the last limit: since then
      -- it has had its turn, or waits for it. Saying the same anew costs nobody his place.
      LEFT JOIN LATERAL (
           SELECT min(same.created_at) AS switched_at
             FROM chargers_command AS same
            WHERE session.wanted_value IS NOT NULL
              AND same.session_id = session.id AND same.generation > COALESCE((
                  SELECT max(other.generation) FROM chargers_command AS other
                   WHERE other.session_id = session.id
                     AND (other.kind = 'clear'
                          OR (other.value = 0) <> (session.wanted_value = 0))), 0)) AS since ON TRUE
     WHERE session.id = ANY(%s) AND session.ended_at IS NULL
"""

_PARTS = f"""
    SELECT participation.session_id, participation.event_id, participation.before_w,
           participation.wanted_unit, participation.wanted_value, event.status,
           COALESCE({opt_outs.EXCUSED}, '') AS excused
      FROM (SELECT * FROM dr_events_participation
             -- Found by their sessions: by statistics older than an event it has next to nobody,
             -- and going through all of it looks cheap. OFFSET keeps this apart.
             WHERE session_id = ANY(%s) AND released_at IS NULL OFFSET 0) AS participation
      JOIN dr_events_event AS event ON event.id = participation.event_id
      JOIN chargers_session AS session ON session.id = participation.session_id
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
      JOIN chargers_site AS site ON site.id = station.site_id
     WHERE event.status = 'active' OR (event.status = 'restoring' AND participation.binding)
"""
