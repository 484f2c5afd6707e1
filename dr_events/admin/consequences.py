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
from dr_events import facts, intake, planner, preview, scope
from dr_events.models import Event, Participation
from dr_events.planner import Order, Plan
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


def of_ending(event: Event) -> Release:
    """Ending or cancelling it now."""
    return _release(event.id, _taking_part(event.id))


def of_amending(event_id: UUID, data: Any, *, actor: Actor, now: datetime) -> Amendment:
    """Amend, look, undo: so the same rules refuse the same things. Raises as intake.amend does."""
    with transaction.atomic():
        before = intake.content_of(Event.objects.get(pk=event_id))
        event = intake.amend(event_id, data, actor=actor, now=now)
        targets = list(event.targets.values_list("type", "value"))
        aimed_at = set(scope.sessions_of(targets))
        amendment = Amendment(
            before=before,
            after=intake.content_of(event),
            event=event,
            targets=targets,
            seen=preview.of_order(facts.order_of(event), targets),
            released=_release(event.id, [i for i in _taking_part(event.id) if i not in aimed_at]),
        )
        transaction.set_rollback(True)
    return amendment


def _taking_part(event_id: UUID) -> list[int]:
    running = Participation.objects.filter(event_id=event_id, released_at=None)
    return list(running.values_list("session_id", flat=True))


def _release(event_id: UUID, session_ids: Sequence[int]) -> Release:
    others = {id_: order for id_, order in facts.orders().items() if id_ != event_id}
    plans = _plans_under(others, session_ids) if others else []
    held = {plan.session_id: plan for plan in plans if plan.binding}
    held_by = Counter(
        f"{others[plan.binding].label} ({limit_text(plan.limit)})"
        for plan in held.values()
        if plan.binding
    )
    free = [id_ for id_ in session_ids if id_ not in held]
    limited = len(sql.ids(_LIMITED, [free]))
    return Release(len(session_ids), limited, dict(held_by.most_common()))


def _plans_under(orders: Mapping[UUID, Order], session_ids: Sequence[int]) -> list[Plan]:
    memberships = facts.memberships(session_ids)
    found = facts.of_sessions(session_ids)
    cars = [session.car(memberships.get(session.session_id, ())) for session in found]
    return planner.plan(orders, cars)
