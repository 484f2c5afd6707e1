"""What about an order may not be as it was meant: each with a code, and in words.

The same for a preview and for an event that stands, so that what was said before is said after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from chargers import circuits, sql
from chargers.electricity import BelowMinimum
from chargers.wording import number_of, time_text, watts_text
from dr_events import facts, rulings, scope, troubles
from dr_events.amounts import Amount, Kind
from dr_events.models import Event
from dr_events.orders import Each, Order, Part

Warnings = list[dict[str, str]]


def of_event(event: Event, *, now: datetime) -> Warnings:
    """What about an event may not be as it was meant; nothing more once it is over."""
    if event.is_over:
        return []
    targets = list(event.targets.values_list("type", "value"))
    reference_w = event.reference_w
    if reference_w is None and event.kind is Kind.RELIEF:
        # Not started, or not planned yet: what it would be counted from now.
        reference_w = scope.metered_w(scope.sessions_of(targets))
    return [
        *of_scope(targets),
        *of_relief(event.amount, reference_w),
        *of_floor(_bent_by(event, targets, now)),
        *of_outage(now),
    ]


def of_scope(targets: Iterable[tuple[str, str]]) -> Warnings:
    """What about a scope may not be as it was meant."""
    targets = list(targets)
    warnings = [
        {
            "code": "target_unknown",
            "detail": f"Nothing in the fleet is known as {f'{type_} {value}'.strip()}.",
        }
        for type_, value in scope.unmatched(targets)
    ]
    if scope.is_empty(targets):
        warnings.append(
            {"code": "scope_empty", "detail": "No car is charging in this scope right now."}
        )
    return warnings


def of_relief(amount: Amount | None, reference_w: float | None) -> Warnings:
    """A relief of more than is drawn is accepted, and said to be out of reach."""
    if amount is None or amount.kind is not Kind.RELIEF or reference_w is None:
        return []
    if amount.value <= reference_w:
        return []
    detail = (
        f"A relief of {watts_text(amount.value)} is asked for; the scope draws "
        f"{watts_text(reference_w)}, {watts_text(amount.value - reference_w)} less."
    )
    return [{"code": "relief_unreachable", "detail": detail}]


def of_floor(paused: int) -> Warnings:
    """A limit that AC cannot be held to stops the car: said, since it is not what was ordered."""
    if not paused:
        return []
    whom = number_of(paused, "session pauses", "sessions pause")
    detail = f"{whom}: less is left than the 6 A that AC charging needs."
    return [{"code": "below_minimum", "detail": detail}]


def of_outage(now: datetime) -> Warnings:
    """What is foreseen comes later, or not, while eDRV is away."""
    trouble = troubles.edrv_trouble(now=now)
    if trouble is None:
        return []
    since = f"{troubles.EDRV_SUBJECT} since {time_text(trouble.at)} ({trouble.detail})"
    detail = f"{since}: what is ordered may not reach the chargers before it does."
    return [{"code": "provider_unavailable", "detail": detail}]


def _bent_by(event: Event, targets: Sequence[tuple[str, str]], now: datetime) -> int:
    """How many sessions it pauses though it asks for more than 0 of each: as they were planned or,
    where its terms are still to be planned, as they will be. Who has to wait for a turn under a
    cap is known by planning only."""
    order = facts.order_of(event, now=max(now, event.starts_at))
    if not rulings.lets_each_charge(order) or order.below_minimum is BelowMinimum.MINIMUM:
        return 0
    if event.status == Event.Status.ACTIVE and event.planned_revision == event.revision:
        running = event.participations.filter(released_at=None, binding=True, wanted_value=0)
        return running.exclude(state="exempt").count()
    if isinstance(order.ask, Each) and not _bends_any_circuit(order):
        return 0
    parameters = {"event": event.id, "sessions": scope.sessions_of(targets)}
    return sum(
        rulings.is_bent(order, Part(event.id, before_w), circuit)
        for row in sql.rows(_CIRCUITS, parameters)
        for circuit in [circuits.of_row(row)]
        for before_w in row["before_w"]
    )


def _bends_any_circuit(order: Order) -> bool:
    """Of the few kinds there are, wherever they are: mostly none, and no session need be read."""
    part = Part(order.event_id)
    return any(
        rulings.is_bent(order, part, circuits.of_row(row)) for row in sql.rows(_ALL_CIRCUITS)
    )


_ALL_CIRCUITS = f"""
    SELECT DISTINCT {circuits.COLUMNS}
      FROM (SELECT DISTINCT voltage_v FROM chargers_site) AS site
     CROSS JOIN (
           SELECT DISTINCT power_type, phases, max_current_a, max_power_w, voltage_v
             FROM chargers_connector
            UNION SELECT NULL, NULL, NULL, NULL, NULL) AS connector
"""

# Who takes its limit from the event, or will: by the few kinds of circuits there are.
_CIRCUITS = f"""
    SELECT {circuits.COLUMNS},
           array_agg(CASE WHEN participation.id IS NULL THEN session.power_w
                          ELSE participation.before_w END) AS before_w
      FROM chargers_session AS session
      {circuits.JOINS}
      LEFT JOIN dr_events_participation AS participation
        ON participation.session_id = session.id AND participation.event_id = %(event)s
     WHERE session.id = ANY(%(sessions)s) AND {circuits.EXEMPT_REASON} = ''
       AND COALESCE(participation.state, '') <> 'exempt'
       AND COALESCE(participation.reason, '') <> 'outranked'
     GROUP BY connector.power_type, connector.phases, connector.max_current_a,
           connector.max_power_w, COALESCE(connector.voltage_v, site.voltage_v)
"""
