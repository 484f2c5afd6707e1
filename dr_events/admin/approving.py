"""Proposals in the admin: who orders may have to put it before a second person, who sees what it
would do now, and gives the order or refuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from rest_framework.serializers import ValidationError
from unfold.contrib.filters.admin import ChoicesCheckboxFilter

from chargers import numerals
from chargers.admin.pages import BigTableAdmin
from chargers.admin.parts import (
    actor_of,
    change_url,
    column,
    link_column,
    moment_column,
    state_column,
    value_column,
)
from chargers.problems import Problem
from chargers.wording import GAP
from dr_events import preview, proposals
from dr_events.admin import consequences
from dr_events.admin.words import effects
from dr_events.models import Event, Proposal
from dr_events.preview import Preview

STATE_COLOURS = {"open": "warning", "approved": "success", "refused": ""}
OPERATE = "dr_events.operate_event"


def must_propose(request: HttpRequest, seen: Preview) -> bool:
    """Whether this person's order needs a second one."""
    roles = request.user.groups.values_list("name", flat=True)
    return proposals.is_needed(roles, metered_w=seen.last_metered_w)


def proposed(
    request: HttpRequest,
    data: dict[str, Any],
    summary: Callable[[], str],
    event: Event | None = None,
    *,
    key: str | None = None,
) -> HttpResponse:
    """Put it before a second person, and say so. The summary is kept, for readers of any
    language. `key`: of the form, which proposes one order however often it is sent."""
    with numerals.written_in(numerals.PLAIN):
        summed_up = summary()
    made = proposals.propose(
        data,
        summary=summed_up,
        event=event,
        actor=actor_of(request),
        now=timezone.now(),
        idempotency_key=key,
    )
    if made.state == Proposal.State.OPEN:
        messages.warning(
            request, "Nothing is ordered yet: it is proposed, and waits for a second person."
        )
    else:
        messages.info(request, f"It had been proposed already, and is {made.state}.")
    return redirect(change_url(made))


@admin.register(Proposal)
class ProposalAdmin(BigTableAdmin):
    change_form_outer_before_template = "admin/dr_events/proposal/decide.html"
    list_display = (
        column("summary_text", "what", str),
        state_column("state", STATE_COLOURS),
        link_column("event", "amends"),
        "proposed_by",
        moment_column("proposed_at"),
        value_column("decided_by", "decided by", lambda name: name or GAP),
    )
    list_filter = (("state", ChoicesCheckboxFilter),)
    search_fields = ("proposed_by__startswith", "summary__icontains")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "summary",
                    state_column("state", STATE_COLOURS),
                    link_column("event", "amends"),
                    "proposed_by",
                    moment_column("proposed_at"),
                    value_column("decided_by", "decided by", lambda name: name or GAP),
                    moment_column("decided_at"),
                )
            },
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(require_POST(self.decide_view))
        return [
            path("<int:proposal_id>/decide/", decide, name="dr_events_proposal_decide"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        proposal = self.get_object(request, object_id)
        told: dict[str, Any] = {}
        if proposal and proposal.state == Proposal.State.OPEN and request.user.has_perm(OPERATE):
            is_mine = proposal.proposed_by == actor_of(request).name
            decide_url = reverse("admin:dr_events_proposal_decide", args=[proposal.pk])
            told = {
                "is_mine": is_mine,
                "decide_url": decide_url,
                **self._effects(request, proposal),
            }
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**told, **(extra_context or {})}
        )
        return response

    def _effects(self, request: HttpRequest, proposal: Proposal) -> dict[str, Any]:
        """What it would do now, which may not be what it would have done when it was proposed."""
        now = timezone.now()
        try:
            if proposal.event is None:
                seen = preview.preview(proposal.data, now=now)
                return {"effects": effects(seen, preview.amount_of(proposal.data, now=now))}
            found = consequences.of_amending(
                proposal.event.pk, proposal.data, actor=actor_of(request), now=now
            )
        except ValidationError as error:
            return {"problem": f"It is out of date: {error.detail}"}
        except Problem as problem:
            return {"problem": problem.detail}
        return {"effects": effects(found.seen, found.amount)}

    def decide_view(self, request: HttpRequest, proposal_id: int) -> HttpResponse:
        """Give the order, or refuse it."""
        if not request.user.has_perm(OPERATE):
            raise PermissionDenied
        proposal = get_object_or_404(Proposal, pk=proposal_id)
        actor, now = actor_of(request), timezone.now()
        try:
            if request.POST.get("decision") == "approve":
                event = proposals.approve(proposal.pk, actor=actor, now=now)
                messages.success(request, f"“{event}” is ordered.")
                return redirect(change_url(event))
            proposals.refuse(proposal.pk, actor=actor, now=now)
            messages.success(request, "It is refused: nothing was ordered.")
        except ValidationError as error:
            messages.error(request, f"Nothing was ordered: it is out of date. {error.detail}")
        except Problem as problem:
            messages.error(request, f"Nothing was ordered. {problem.detail}")
        return redirect(change_url(proposal))
