"""The admin's sidebar: what each person may see, by what they come for. And what each of its pages
loads and says: the gateway's own styles and scripts, and the moment at which its figures hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from chargers.wording import clock_text, time_text
from gateway.login import passing

# title, url name of the admin, Material symbol (shipped with unfold), permission
Entry = tuple[str, str, str, str]

SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Demand response",
        (
            ("Control room", "index", "monitoring", "dr_events.view_event"),
            ("Events", "dr_events_event_changelist", "bolt", "dr_events.view_event"),
            (
                "Participations",
                "dr_events_participation_changelist",
                "rule",
                "dr_events.view_participation",
            ),
            ("Troubles", "notices_trouble_changelist", "warning", "notices.view_trouble"),
            ("Proposals", "dr_events_proposal_changelist", "approval", "dr_events.view_proposal"),
            ("Opt-outs", "dr_events_optout_changelist", "block", "dr_events.view_optout"),
            ("Exports", "dr_events_export_changelist", "download", "dr_events.view_export"),
            (
                "Site capacities",
                "dr_events_sitecapacity_changelist",
                "solar_power",
                "dr_events.view_sitecapacity",
            ),
            (
                "Notifications",
                "notices_subscription_changelist",
                "notifications",
                "notices.view_subscription",
            ),
        ),
    ),
    (
        "Fleet",
        (
            ("Sites", "chargers_site_changelist", "location_on", "chargers.view_site"),
            (
                "Chargestations",
                "chargers_chargestation_changelist",
                "ev_station",
                "chargers.view_chargestation",
            ),
            ("Connectors", "chargers_connector_changelist", "power", "chargers.view_connector"),
            ("Sessions", "chargers_session_changelist", "electric_car", "chargers.view_session"),
        ),
    ),
    (
        "Record",
        (
            ("Commands", "chargers_command_changelist", "send", "chargers.view_command"),
            ("Attempts", "chargers_attempt_changelist", "sync_alt", "chargers.view_attempt"),
            (
                "Webhook deliveries",
                "chargers_webhookdelivery_changelist",
                "inbox",
                "chargers.view_webhookdelivery",
            ),
            (
                "Meter readings",
                "chargers_meterreading_changelist",
                "speed",
                "chargers.view_meterreading",
            ),
            ("Notices sent", "notices_delivery_changelist", "mail", "notices.view_delivery"),
            ("Audit", "chargers_auditentry_changelist", "history", "chargers.view_auditentry"),
            (
                "Heartbeats",
                "chargers_heartbeat_changelist",
                "monitor_heart",
                "chargers.view_heartbeat",
            ),
        ),
    ),
    (
        "Access",
        (
            ("Users", "auth_user_changelist", "person", "auth.view_user"),
            ("Groups", "auth_group_changelist", "group", "auth.view_group"),
            ("API clients", "gateway_apiclient_changelist", "key", "gateway.view_apiclient"),
            ("Log-ins", "login_login_changelist", "login", "login.view_login"),
        ),
    ),
)

# Of use to whoever looks something up; opens by itself on its own pages.
FOLDED = "Record"


def assets(*names: str) -> list[Callable[[HttpRequest], str]]:
    """For UNFOLD: the addresses of files under static/control/."""
    return [partial(_asset, name) for name in names]


def _asset(name: str, request: HttpRequest) -> str:
    return static(f"control/{name}")


def as_of(request: HttpRequest) -> tuple[str, str]:
    """For UNFOLD's label beside each page's title: when its figures were read."""
    now = timezone.now()
    told = format_html(
        '<time id="as-of" class="ctl-as-of" datetime="{}" title="{}">{}</time>',
        now.isoformat(),
        time_text(now, UTC),
        clock_text(now),
    )
    return (format_html("as of {}", told), "")


def favicon(request: HttpRequest) -> str:
    """A bolt, drawn on the spot: without one each page asks for /favicon.ico in vain."""
    return (
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'>"
        "<path fill='%239810fa' d='M36 2 12 36h16l-6 26 30-38H34z'/></svg>"
    )


def account(request: HttpRequest) -> list[dict[str, Any]]:
    """For UNFOLD: what each person finds under their own name."""
    if request.session.get(passing.PASSED) == passing.SSO:
        return []
    return [{"title": "Second factor", "link": reverse("login:enrol")}]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """For UNFOLD: the sections with something in them for this person."""
    sections = [
        {"title": title, "collapsible": title == FOLDED, "items": _items(request, entries)}
        for title, entries in SECTIONS
    ]
    return [section for section in sections if section["items"]]


def _items(request: HttpRequest, entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    return [
        {"title": title, "icon": icon, "link": reverse(f"admin:{url_name}")}
        for title, url_name, icon, permission in entries
        if request.user.has_perm(permission)
    ]
