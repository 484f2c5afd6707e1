"""What amending or ending an event, or leaving it, would do, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from chargers import load, sql
from chargers.audit import Actor
from chargers.models import Session
from chargers.wording import limit_text
from dr_events import facts, intake, opt_outs, planner, pools, preview, scope
from dr_events.amounts import Amount
from dr_events.content import content_of
from dr_events.models import Event, OptOut, Participation
from dr_events.opt_outs import Budget
from dr_events.orders import Order
from dr_events.planner import Plan
from dr_events.preview import Preview
from dr_events.timeline import Step


@dataclass(frozen=True, slots=True)
class Release:
    """Letting go of `sessions`: so many are `restored` to full power, the others `held_by`
    another event (by its name and limit), or were not limited."""

    sessions: int = 0
    restored: int = 0
    held_by: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What an amendment would make of an event, whom it would then limit, whom let go. `amount`
    is what it orders now, or first; None between two steps."""

    before: dict[str, Any]
    after: dict[str, Any]
    event: Event
    targets: list[tuple[str, str]]
    seen: Preview
    released: Release
    amount: Amount | None
    steps: list[Step]

    @property
    def amounts(self) -> list[Amount]:
        """All that it orders in the course of time."""
        return [step.amount for step in self.steps] or [self.event.amount]


@dataclass(frozen=True, slots=True)
class Leaving:
    """Taking something out of an event: the `sessions` charging there that it aims at, drawing
    `power_w` together, what letting go of them does, and whose budget is charged."""

    event: Event
    opt_out: OptOut
    sessions: int
    power_w: float
    released: Release
    budget: Budget


@dataclass(frozen=True, slots=True)
class Returning:
    """Withdrawing an opt-out: the `sessions` that the event aims at again, so many to be
    `limited` by it."""

    sessions: int
    limited: int


_LIMITED = "SELECT id FROM chargers_session WHERE may_be_limited AND id = ANY(%s)"


def of_ending(event: Event, *, now: datetime) -> Release:
    """Ending or cancelling it now."""
    return _release(event.id, _taking_part(event.id), now)


def of_amending(event_id: UUID, data: Any, *, actor: Actor, now: datetime) -> Amendment:
    """Amend, look, undo: so the same rules refuse the same things. Raises as intake.amend does."""
    with transaction.atomic():
        before = content_of(Event.objects.get(pk=event_id))
        event = intake.amend(event_id, data, actor=actor, now=now)
        targets = list(event.targets.values_list("type", "value"))
        aimed_at = set(scope.sessions_of(targets))
        leaving = [id_ for id_ in _taking_part(event.id) if id_ not in aimed_at]
        amount = _amount(event, now)
        amendment = Amendment(
            before=before,
            after=content_of(event),
            event=event,
            targets=targets,
            seen=preview.of_event(event, amount, targets, now=now),
            released=_release(event.id, leaving, now),
            amount=amount,
            steps=event.steps,
        )
        transaction.set_rollback(True)
    return amendment


def of_opting_out(event_id: UUID, data: Any, *, actor: Actor, now: datetime) -> Leaving:
    """Opt out, look, undo. Raises as opt_outs.opt_out does."""
    with transaction.atomic():
        opted = opt_outs.opt_out(event_id, data, actor=actor, now=now).opt_out
        event = opted.event
        there = _aimed_at(event, opted)
        power = Session.objects.filter(load.fresh(now=now), pk__in=there).aggregate(
            w=Sum("power_w")
        )
        running = set(_taking_part(event_id))
        leaving = Leaving(
            event=event,
            opt_out=opted,
            sessions=len(there),
            power_w=power["w"] or 0.0,
            released=_release(event_id, [id_ for id_ in there if id_ in running], now),
            budget=opt_outs.budget(opted.budget_of, now=now),
        )
        transaction.set_rollback(True)
    return leaving


def of_withdrawing(opted: OptOut, *, actor: Actor, now: datetime) -> Returning:
    """Withdraw, look, undo."""
    with transaction.atomic():
        opt_outs.withdraw(opted.event_id, opted.pk, actor=actor, now=now)
        there = _aimed_at(opted.event, opted)
        plans = _plans_under(facts.orders(now=now), there, now)
        limited = [plan for plan in plans if plan.limit and plan.binding == opted.event_id]
        transaction.set_rollback(True)
    return Returning(len(there), len(limited))


def _aimed_at(event: Event, opted: OptOut) -> list[int]:
    """The sessions charging in what was opted out that the event aims at."""
    aimed_at = scope.sessions_of(list(event.targets.values_list("type", "value")))
    return sorted(set(aimed_at) & set(scope.sessions_of([(opted.type, opted.value)])))


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
