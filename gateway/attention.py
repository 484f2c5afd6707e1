"""What needs a person now, and the one thing that helps. Nothing here is a second opinion: what is
wrong is what `dr_events.troubles` says, in its words; this adds where to go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from chargers import inventory, pace
from chargers.admin.parts import change_url, list_url
from chargers.models import Attempt, Command, Heartbeat, Session, WebhookDelivery
from chargers.numerals import numeral
from chargers.wording import number_of
from dr_events import troubles
from dr_events.admin.words import duration_text
from dr_events.models import Proposal, SiteCapacity
from dr_events.pulse import SWEPT
from dr_events.roster import UNRESTORED
from dr_events.troubles import Found, What
from gateway import health

NO_KEY = "No EDRV_API_KEY is set: no charger can be read or limited"
MOST_PROPOSALS = 5
# Said of events, and shown to who may see those; the rest is the gateway's own.
OF_EVENTS = {What.FAILED, What.NON_RESPONSIVE, What.STUCK, What.CAPACITIES}
NOT_GRAVE = {What.NON_RESPONSIVE, What.CAPACITIES}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that needs a person. `action` and `url`: what helps; empty where that is not done
    here. `key` names it in the page; `more` is what is known besides, `lasting` for how long."""

    key: str
    text: str
    action: str = ""
    url: str = ""
    is_grave: bool = True
    more: str = ""
    lasting: str = ""


def needs_now(request: HttpRequest, *, now: datetime) -> list[Need]:
    """The grave ones first. To each person what they may see anyway."""
    may = request.user.has_perm
    may_operate = may("dr_events.operate_event")
    found: list[Need] = []
    if may("chargers.view_heartbeat"):
        found += _not_begun()
    for one in troubles.present(now=now):
        seen_by = "dr_events.view_event" if one.what in OF_EVENTS else "chargers.view_heartbeat"
        if may(seen_by):
            found.append(_need(one, now=now, may_operate=may_operate))
    if may("dr_events.view_event"):
        found += _proposals()
    return sorted(found, key=lambda need: not need.is_grave)


def _not_begun() -> Iterator[Need]:
    """What keeps the gateway from beginning at all. Of that no notice is sent: without Redis none
    goes out, and before the first sweep there is nothing to tell."""
    if not (redis := health.redis_check()).ok:
        yield Need("redis", f"Redis does not answer: {redis.detail}")
    beats = set(Heartbeat.objects.values_list("name", flat=True))
    if SWEPT not in beats:
        yield Need("never-swept", "The gateway plans nothing: its sweep has never run")
    if not settings.EDRV_API_KEY:
        yield Need("key", NO_KEY)
    elif not beats & {pace.OK, inventory.SYNCED, pace.TROUBLE, pace.UNREAD}:
        yield Need("unread", "The fleet has not been read from eDRV yet", is_grave=False)


def _need(found: Found, *, now: datetime, may_operate: bool) -> Need:
    action, url = _what_helps(found, may_operate=may_operate)
    return Need(
        found.key.replace(":", "-"),
        found.subject,
        action,
        url,
        is_grave=found.what not in NOT_GRAVE,
        more=_more(found),
        lasting=f"for {duration_text(now - found.since)}" if found.since else "",
    )


def _more(found: Found) -> str:
    """What is known besides. Sessions are not named: the link leads to them."""
    match found.what:
        case What.EDRV:
            waiting = found.detail["commands_waiting"]
            waits = f"; {number_of(waiting, 'command waits', 'commands wait')} for it"
            return f"{found.detail['error']}{waits if waiting else ''}"
        case What.CAPACITIES:
            named = found.detail["sites"]
            rest = found.figure - len(named)
            more = f" and {numeral(rest)} more" if rest else ""
            return f"{', '.join(named)}{more}: safe values hold"
        case _:
            return ""


def _what_helps(found: Found, *, may_operate: bool) -> tuple[str, str]:
    match found.what:
        case What.FAILED | What.NON_RESPONSIVE:
            page, action = ("retry", "Retry these") if may_operate else ("change", "See these")
            return action, _event_url(page, found.event_id, state=found.what)
        case What.STUCK if may_operate:
            query = urlencode({"event": str(found.event_id)}) if found.event_id else ""
            return "Lift again", f"{reverse('admin:chargers_session_lift_again')}?{query}"
        case What.STUCK if found.event_id:
            return "See these", _event_url("change", found.event_id, state=UNRESTORED)
        case What.STUCK:
            return "See these", list_url(Session, open="yes", may_be_limited__exact=1)
        case What.CAPACITIES:
            return "See the capacities", list_url(SiteCapacity, silent="yes")
        case What.WEBHOOKS:
            return "See what came last", list_url(WebhookDelivery)
        case What.EDRV:
            return "See its answers", list_url(Attempt)
        case What.DISPATCH:
            return "See what is due", list_url(Command, state__exact=Command.State.DUE)
        case _:
            return "See the heartbeats", list_url(Heartbeat)


def _event_url(page: str, event_id: UUID | None, **query: str) -> str:
    address = reverse(f"admin:dr_events_event_{page}", args=[event_id])
    return f"{address}?{urlencode(query)}" if query else address


def _proposals() -> Iterator[Need]:
    for proposal in Proposal.objects.filter(state=Proposal.State.OPEN)[:MOST_PROPOSALS]:
        text = f"{proposal.proposed_by} proposes: {proposal.summary}"
        yield Need(f"proposal-{proposal.pk}", text, "Approve or refuse", change_url(proposal))
