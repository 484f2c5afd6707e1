"""Two-person approval: an order is proposed by one person and given by another.

Whether it is needed is a setting, by role and by size. It is for people: clients of the REST
interface have their scopes. Ending and cancelling never wait for anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from chargers import audit
from chargers.audit import Actor
from chargers.problems import Problem
from dr_events import intake
from dr_events.models import Event, Proposal


def is_needed(roles: Iterable[str], *, metered_w: float) -> bool:
    """Whether an order over so much draw needs a second person when one in these roles gives it."""
    is_bound = bool(set(roles) & set(settings.APPROVAL_ROLES))
    return is_bound and metered_w >= settings.APPROVAL_ABOVE_KW * 1000


@transaction.atomic
def propose(
    data: dict[str, Any],
    *,
    summary: str,
    event: Event | None,
    actor: Actor,
    now: datetime,
    idempotency_key: str | None = None,
) -> Proposal:
    """Put an order before a second person. `event`: the one it amends.

    The same again under the same idempotency key gives the same proposal, decided or not. Raises
    Problem 409 where the key already stands for something else. An amendment needs none: its
    event's revision lets only one of them be given.
    """
    said = {
        "summary": summary[:500],
        "data": data,
        "event": event,
        "revision": event.revision if event else None,
        "proposed_at": now,
    }
    if idempotency_key is None:
        proposal, is_new = Proposal.objects.create(proposed_by=actor.name, **said), True
    else:
        proposal, is_new = Proposal.objects.get_or_create(
            proposed_by=actor.name, idempotency_key=idempotency_key, defaults=said
        )
    if is_new:
        _note("proposal.made", proposal, actor, now)
    elif proposal.data != data:
        raise Problem(
            409,
            "already_proposed",
            f"Idempotency-Key already stands for proposal {proposal.pk}, with other content.",
            field="Idempotency-Key",
        )
    return proposal


@transaction.atomic
def approve(proposal_id: int, *, actor: Actor, now: datetime) -> Event:
    """Give the order, in the name of who proposed it. Raises Problem 403 for the same person, 409
    where it is decided already or its event has changed, ValidationError where it is out of
    date."""
    proposal = Proposal.objects.select_for_update(no_key=True).get(pk=proposal_id)
    if proposal.proposed_by == actor.name:
        raise Problem(403, "same_person", "Somebody else has to approve what you proposed.")
    _decide(proposal, Proposal.State.APPROVED, actor, now)
    proposer = Actor(proposal.proposed_by, actor.origin)
    if proposal.event is None:
        # The form's own: sent again when the order no longer needs anybody, it orders nothing else.
        key = proposal.idempotency_key or f"proposal-{proposal.pk}"
        declared = intake.declare(proposal.data, actor=proposer, now=now, idempotency_key=key)
        return declared.event
    current = Event.objects.select_for_update(no_key=True).get(pk=proposal.event.pk)
    if current.revision != proposal.revision:
        raise Problem(409, "changed", "The event has changed since this was proposed.")
    return intake.amend(current.pk, proposal.data, actor=proposer, now=now)


@transaction.atomic
def refuse(proposal_id: int, *, actor: Actor, now: datetime) -> None:
    """Do not give the order; whoever proposed it may also take it back. Raises Problem 409 where
    it is decided already."""
    proposal = Proposal.objects.select_for_update(no_key=True).get(pk=proposal_id)
    _decide(proposal, Proposal.State.REFUSED, actor, now)


def _decide(proposal: Proposal, state: Proposal.State, actor: Actor, now: datetime) -> None:
    decided = Proposal.objects.filter(pk=proposal.pk, state=Proposal.State.OPEN).update(
        state=state, decided_by=actor.name, decided_at=now
    )
    if not decided:
        raise Problem(409, "decided", f"It is {proposal.state} already.")
    _note(f"proposal.{state}", proposal, actor, now)


def _note(action: str, proposal: Proposal, actor: Actor, now: datetime) -> None:
    audit.record(
        actor,
        action,
        at=now,
        subject="proposal",
        subject_ids=[proposal.pk],
        after={"summary": proposal.summary, "data": proposal.data},
    )
