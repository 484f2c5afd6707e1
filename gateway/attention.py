"""What needs a person now, and the one thing that helps. Nothing here is a second opinion: each
line comes from what is recorded, or from the checks of /health/ready/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from chargers import sql
from chargers.admin.parts import change_url, list_url
from chargers.models import Attempt, Command, Heartbeat, Session, WebhookDelivery
from chargers.wording import watts_text, words
from dr_events import roster
from dr_events.admin.words import duration_text, number_of
from dr_events.models import Event, Proposal, SiteCapacity
from gateway import health

NO_KEY = "edrv: no EDRV_API_KEY is set, so no charger can be read or limited"
# Clearing takes seconds; what lasts longer is stuck.
STUCK_AFTER = timedelta(minutes=2)
RESTORING_LONG = timedelta(minutes=5)
MOST_CAPACITIES = 5
MOST_PROPOSALS = 5


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that needs a person. `action` and `url`: what helps; empty where that is not done
    here. `key` names it in the page."""

    key: str
    text: str
    action: str = ""
    url: str = ""
    is_grave: bool = True


def needs_now(request: HttpRequest, *, now: datetime) -> list[Need]:
    """The grave ones first. To each person what they may see anyway."""
    may = request.user.has_perm
    found: list[Need] = []
    if may("chargers.view_heartbeat"):
        found += _of_gateway(now)
    if may("dr_events.view_event"):
        found += _of_events(now, may_operate=may("dr_events.operate_event"))
        found += _of_capacities(now)
        found += _proposals()
    if may("chargers.view_session"):
        found += _stuck_limits(now)
    return sorted(found, key=lambda need: not need.is_grave)


def _of_gateway(now: datetime) -> Iterator[Need]:
    for name, check in health.run_checks(now=now).items():
        if not check.ok:
            seconds = "" if check.seconds is None else f" ({check.seconds:,.0f} s)"
            action, url = _where_to_look(name)
            yield Need(name, f"{words(name)}: {check.detail}{seconds}", action, url)
    if not settings.EDRV_API_KEY:
        yield Need("key", NO_KEY)


def _where_to_look(check: str) -> tuple[str, str]:
    match check:
        case "webhooks":
            return "See what came last", list_url(WebhookDelivery)
        case "edrv":
            return "See its answers", list_url(Attempt)
        case "oldest_due":
            return "See what is due", list_url(Command, state__exact=Command.State.DUE)
        case "sweep":
            return "See the heartbeats", list_url(Heartbeat)
        case _:
            return "", ""


_TROUBLES = """
    SELECT event.id, event.name,
           count(*) FILTER (WHERE part.state = 'failed') AS failed,
           count(*) FILTER (WHERE part.state = 'confirmed' AND part.reason = 'non_responsive')
               AS unresponsive
      FROM dr_events_event AS event
      JOIN dr_events_participation AS part ON part.event_id = event.id
     WHERE event.status = 'active' AND part.released_at IS NULL
       AND (part.state = 'failed' OR part.reason = 'non_responsive')
     GROUP BY event.id, event.name, event.starts_at ORDER BY event.starts_at
"""


def _of_events(now: datetime, *, may_operate: bool) -> Iterator[Need]:
    for row in sql.rows(_TROUBLES):
        for state, count, what in (
            ("failed", row["failed"], "refused its limit for good"),
            (roster.NON_RESPONSIVE, row["unresponsive"], "accepted its limit and draws more"),
        ):
            if count:
                sessions = number_of(count, "session")
                text = f"{row['name']}: {sessions} {what if count == 1 else _plural(what)}"
                page = "retry" if may_operate else "change"
                address = reverse(f"admin:dr_events_event_{page}", args=[row["id"]])
                action = "Retry these" if may_operate else "See these"
                url = f"{address}?{urlencode({'state': state})}"
                yield Need(f"{state}-{row['id']}", text, action, url, is_grave=state == "failed")
    yield from _restoring_long(now)


def _plural(what: str) -> str:
    return what.replace("its limit", "their limits").replace("draws", "draw")


def _restoring_long(now: datetime) -> Iterator[Need]:
    """A slope takes its time; everything else is over in seconds."""
    slow = Event.objects.filter(
        Q(restore_w_per_min=None) | Q(restore_at_once=True),
        status=Event.Status.RESTORING,
        ended_at__lt=now - RESTORING_LONG,
    )
    for event in slow:
        lasting = duration_text(now - event.ended_at) if event.ended_at else ""
        text = f"{event}: has been restoring for {lasting}; some limit is not proven gone yet"
        yield Need(f"restoring-{event.pk}", text, "See the event", change_url(event))


def _proposals() -> Iterator[Need]:
    for proposal in Proposal.objects.filter(state=Proposal.State.OPEN)[:MOST_PROPOSALS]:
        text = f"{proposal.proposed_by} proposes: {proposal.summary}"
        yield Need(f"proposal-{proposal.pk}", text, "Approve or refuse", change_url(proposal))


_STUCK = """
    SELECT count(*) AS sessions FROM chargers_session AS session
      JOIN chargers_command AS command
        ON command.session_id = session.id AND command.generation = session.generation
     WHERE session.may_be_limited AND session.ended_at IS NULL AND session.wanted_unit IS NULL
       AND command.created_at < %s
"""


def _stuck_limits(now: datetime) -> Iterator[Need]:
    stuck = sql.rows(_STUCK, [now - STUCK_AFTER])[0]["sessions"]
    if stuck:
        sessions = number_of(stuck, "session keeps", "sessions keep")
        url = list_url(Session, open="yes", may_be_limited__exact=1)
        yield Need("stuck", f"{sessions} a limit that nobody wants any more", "See these", url)


def _of_capacities(now: datetime) -> Iterator[Need]:
    silent = SiteCapacity.objects.filter(valid_until__lte=now).select_related("site")
    for capacity in silent.order_by("valid_until")[:MOST_CAPACITIES]:
        lasting = duration_text(now - capacity.valid_until)
        text = (
            f"{capacity.site}: its capacity feed has been silent for {lasting}; "
            f"{watts_text(capacity.safe_power_w)} holds"
        )
        key, url = f"capacity-{capacity.pk}", change_url(capacity)
        yield Need(key, text, "See the capacity", url, is_grave=False)
