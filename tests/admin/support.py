"""Pages as a person reads them, forms as a browser posts them, and rows of every kind."""

from __future__ import annotations

import html
import re
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chargers.models import (
    Attempt,
    AuditEntry,
    ChargeStation,
    Command,
    Connector,
    Heartbeat,
    MeterReading,
    Session,
    Site,
    WebhookDelivery,
)
from dr_events.models import Event, Export, OptOut, Participation, Proposal, SiteCapacity
from dr_events.notices.models import Delivery, Kind, Notice, Subscription, Trouble
from dr_events.notices.signing import new_secret
from tests.dr_events import story
from tests.fleet import NOW, later, make_connector, make_session, make_site, make_station, new_id

RECORDS = (
    Command,
    Attempt,
    WebhookDelivery,
    MeterReading,
    Participation,
    OptOut,
    Proposal,
    SiteCapacity,
    AuditEntry,
    Heartbeat,
    Delivery,
    Trouble,
)
FLEET = (Site, ChargeStation, Connector, Session)
EVERYTHING = (Event, *FLEET, *RECORDS)


def address(model: type[Model], page: str, *args: Any) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=args)


def text_of(response: Any) -> str:
    """The words of a page's body, without its menus."""
    page = response.content.decode().partition('id="content"')[2]
    page = re.sub(r"(?s)<(script|style|template|datalist).*?</\1>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def messages_of(client: Client, response: Any) -> str:
    """What a page that redirects says on the next one."""
    following = client.get(response.headers["Location"])
    return " ".join(str(message) for message in following.context["messages"])


def hidden_of(response: Any) -> dict[str, str]:
    """The hidden fields of a page's forms, as the browser would post them."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page_of(response))
    return {name: html.unescape(value) for name, value in fields}


def page_of(response: Any) -> str:
    return str(response.content.decode())


def order(**changes: Any) -> dict[str, Any]:
    """The declare form as filled in: 4,200 W on feeder F12, now, for 45 minutes."""
    return {
        "name": "Feeder F12 overload",
        "reason": "T4 at 105 %",
        "external_id": "",
        "priority": "",
        "limit_kind": "per_session",
        "limit_value": "4200",
        "limit_unit": "power",
        "below_minimum": "pause",
        "randomize_start": "",
        "restore": "at_once",
        "restore_rate": "",
        "restore_random": "",
        "start": "now",
        "starts_at": "",
        "end": "for",
        "duration": "PT45M",
        "ends_at": "",
        **rows(("feeder", "F12")),
        **steps(),
        **changes,
    }


def rows(*targets: tuple[str, str]) -> dict[str, str]:
    """The rows of a scope, as the browser posts them."""
    fields = {"targets-TOTAL_FORMS": str(len(targets)), "targets-INITIAL_FORMS": "0"}
    for number, (type_, value) in enumerate(targets):
        fields[f"targets-{number}-type"] = type_
        fields[f"targets-{number}-value"] = value
    return fields


def steps(*told: tuple[str, str]) -> dict[str, str]:
    """The rows of steps, each (minutes, value); an empty one is always there, too."""
    fields = {"steps-TOTAL_FORMS": str(len(told) + 1), "steps-INITIAL_FORMS": "0"}
    for number, (minutes, value) in enumerate((*told, ("", ""))):
        fields[f"steps-{number}-minutes"] = minutes
        fields[f"steps-{number}-value"] = value
    return fields


def make_event(**fields: Any) -> Event:
    """An active event, as it stands in the database."""
    return Event.objects.create(
        **{
            "name": "Feeder F12 overload",
            "status": "active",
            "starts_at": NOW,
            "activated_at": NOW,
            "limit_value": 4200,
            "declared_by": "user:operator",
            "declared_at": NOW,
            "request_digest": new_id(),
            **fields,
        }
    )


def make_participation(event: Event | None = None, **fields: Any) -> Participation:
    return Participation.objects.create(
        **{
            "event": event or make_event(),
            "session": make_session(),
            "joined_at": NOW,
            "wanted_unit": "power",
            "wanted_value": 4200,
            "before_w": 11_000,
            **fields,
        }
    )


def make_opt_out(event: Event | None = None, **fields: Any) -> OptOut:
    return OptOut.objects.create(
        **{
            "event": event or make_event(),
            "type": "site",
            "value": new_id(),
            "declared_by": "user:operator",
            "declared_at": NOW,
            **fields,
        }
    )


def make_proposal(**fields: Any) -> Proposal:
    return Proposal.objects.create(
        **{
            "summary": "Feeder F12 overload: 3 sessions in feeder F12 will be held to 4,200 W each",
            "data": story.declaration(),
            "proposed_by": "user:operator",
            "proposed_at": NOW,
            **fields,
        }
    )


def make_capacity(site: Site | None = None, **fields: Any) -> SiteCapacity:
    return SiteCapacity.objects.create(
        **{
            "site": site or make_site(),
            "power_w": 40_000,
            "valid_until": later(300),
            "safe_power_w": 10_000,
            "declared_by": "client:solar",
            "declared_at": NOW,
            **fields,
        }
    )


def make_command(session: Session | None = None, **fields: Any) -> Command:
    return Command.objects.create(
        **{
            "session": session or make_session(),
            "generation": 1,
            "kind": "set",
            "unit": "power",
            "value": 4200,
            "state": "due",
            "created_at": NOW,
            **fields,
        }
    )


def make_attempt(command: Command | None = None, **fields: Any) -> Attempt:
    command = command or make_command()
    return Attempt.objects.create(
        **{
            "command": command,
            "session": command.session,
            "number": 1,
            "verb": "set",
            "unit": "current",
            "value": 16,
            "claimed_at": NOW,
            "lease_until": later(30),
            **fields,
        }
    )


def make_delivery(**fields: Any) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        **{
            "external_id": new_id(),
            "type": "session.updated",
            "body": b'{"_id": "1", "data": {"status": "Started"}}',
            "signature": "t=1795231337,v1=0123456789abcdef",
            "received_at": NOW,
            **fields,
        }
    )


def make_reading(**fields: Any) -> MeterReading:
    return MeterReading.objects.create(
        **{"session": make_session(), "metered_at": NOW, "power_w": 7_400, **fields}
    )


def make_entry(**fields: Any) -> AuditEntry:
    return AuditEntry.objects.create(
        **{
            "at": timezone.now(),
            "actor": "user:operator",
            "action": "site.changed",
            "subject": "site",
            "subject_ids": [new_id()],
            "digest": bytes(32),
            **fields,
        }
    )


def make_subscription(owner: User | None = None, **fields: Any) -> Subscription:
    """To a webhook, about everything."""
    return Subscription.objects.create(
        **{
            "owner": owner or User.objects.create(username=new_id()),
            "channel": "webhook",
            "address": f"https://pager.example.com/{new_id()}",
            "kinds": list(Kind.values),
            "secret": new_secret(),
            "created_at": NOW,
            **fields,
        }
    )


def make_notice_delivery(**fields: Any) -> Delivery:
    subscription = fields.pop("subscription", None) or make_subscription()
    content = {"type": "test", "timestamp": "2026-07-01T18:00:00Z", "data": {"by": "user:anna"}}
    notice = Notice.objects.create(kind="trouble", subject="A test", content=content, at=NOW)
    return Delivery.objects.create(
        **{
            "notice": notice,
            "subscription": subscription,
            "owner": subscription.owner,
            "channel": subscription.channel,
            "address": subscription.address,
            "next_attempt_at": NOW,
            **fields,
        }
    )


def make_trouble(**fields: Any) -> Trouble:
    defaults = {"key": new_id(), "subject": "It is broken", "since": NOW, "figure": 1}
    return Trouble.objects.create(**{**defaults, **fields})


def make_export(event: Event | None = None, **fields: Any) -> Export:
    defaults = {"format": "xlsx", "requested_by": "user:auditor", "requested_at": NOW}
    return Export.objects.create(**{"event": event or make_event(), **defaults, **fields})


def make_heartbeat() -> Heartbeat:
    return Heartbeat.objects.create(name=new_id(), at=NOW)


MAKERS = {
    Event: make_event,
    Site: make_site,
    ChargeStation: make_station,
    Connector: make_connector,
    Session: make_session,
    Command: make_command,
    Attempt: make_attempt,
    WebhookDelivery: make_delivery,
    MeterReading: make_reading,
    Participation: make_participation,
    OptOut: make_opt_out,
    SiteCapacity: make_capacity,
    Proposal: make_proposal,
    AuditEntry: make_entry,
    Export: make_export,
    Heartbeat: make_heartbeat,
    Delivery: make_notice_delivery,
    Trouble: make_trouble,
}


def make(model: type[Model]) -> Any:
    """One row of a model, with all it needs."""
    return MAKERS[model]()
