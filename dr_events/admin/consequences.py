"""What amending or ending an event would do, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from chargers import sql
from chargers.audit import Actor
from chargers.wording import limit_text
from dr_events import facts, intake, planner, pools, preview, scope
from dr_events.amounts import Amount
from dr_events.models import Event, Participation
from dr_events.orders import Order
from dr_events.planner import Plan
from dr_events.preview import Preview


@dataclass(frozen=True, slots=True)
class Release:
    """Letting go of `sessions`: so many are `restored` to full power, the others `held_by`
    another event (by its name and limit), or were not limited."""

    sessions: int = 0
    restored: int = 0
    held_by: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What an amendment would make of an event, whom it would then limit, whom let go."""

    before: dict[str, Any]
    after: dict[str, Any]
    event: Event
    targets: list[tuple[str, str]]
    seen: Preview
    released: Release

    @property
    def changes(self) -> list[str]:
        return [name for name, value in self.after.items() if value != self.before[name]]


_LIMITED = "SELECT id FROM chargers_session WHERE may_be_limited AND id = ANY(%s)"


def of_ending(event: Event, *, now: datetime) -> Release:
    """Ending or cancelling it now."""
    return _release(event.id, _taking_part(event.id), now)


def of_amending(event_id: UUID, data: Any, *, actor: Actor, now: datetime) -> Amendment:
    """Amend, look, undo: so the same rules refuse the same things. Raises as intake.amend does."""
    with transaction.atomic():
        before = intake.content_of(Event.objects.get(pk=event_id))
        event = intake.amend(event_id, data, actor=actor, now=now)
        targets = list(event.targets.values_list("type", "value"))
        aimed_at = set(scope.sessions_of(targets))
        leaving = [id_ for id_ in _taking_part(event.id) if id_ not in aimed_at]
        amendment = Amendment(
            before=before,
            after=intake.content_of(event),
            event=event,
            targets=targets,
            seen=preview.of_event(event, _amount(event, now), targets, now=now),
            released=_release(event.id, leaving, now),
        )
        transaction.set_rollback(True)
    return amendment


def _taking_part(event_id: UUID) -> list[int]:
    running = Participation.objects.filter(event_id=event_id, released_at=None)
    return list(running.values_list("session_id", flat=True))


def _amount(event: Event, now: datetime) -> Amount | None:
    """What it orders now or, before it has begun, at first."""
    return event.amount if event.status == Event.Status.SCHEDULED else event.amount_at(now)


def _release(event_id: UUID, session_ids: Sequence[int], now: datetime) -> Release:
    others = {id_: order for id_, order in facts.orders(now=now).items() if id_ != event_id}
    plans = _plans_under(others, session_ids, now)
    held = {plan.session_id: plan for plan in plans if plan.limit is not None}
    held_by = Counter(f"{plan.cause} ({limit_text(plan.limit)})" for plan in held.values())
    free = [id_ for id_ in session_ids if id_ not in held]
    limited = len(sql.ids(_LIMITED, [free]))
    return Release(len(session_ids), limited, dict(held_by.most_common()))


def _plans_under(
    orders: Mapping[UUID, Order], session_ids: Sequence[int], now: datetime
) -> list[Plan]:
    capacities = facts.capacities(now=now)
    if not orders and not capacities:
        return []
    together = pools.widened(session_ids)
    parts = facts.parts_of(together)
    cars = [
        found.car(parts.get(found.session_id, ())) for found in facts.of_sessions(together, now=now)
    ]
    planned = planner.plan(orders, cars, now=now, capacities=capacities, rules=facts.rules())
    asked_for = set(session_ids)
    return [plan for plan in planned.plans if plan.session_id in asked_for]
