"""How an event stands: what its page says beside its declaration. The figures of a running event
are fetched anew every few seconds, the rest with the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from chargers.admin.parts import link, list_url, moment
from chargers.models import AuditEntry
from chargers.wording import GAP, kilowatts_text, time_text, words
from dr_events import figures, preview, reports
from dr_events.admin.words import order_text, remaining_text, scope_text, steps_text
from dr_events.models import Event, Participation

MOST_TRAIL_SHOWN = 50
Status = Event.Status
STATUS_COLOURS: dict[str, str] = {
    Status.SCHEDULED: "info",
    Status.ACTIVE: "warning",
    Status.RESTORING: "primary",
    Status.COMPLETED: "success",
    Status.CANCELLED: "",
}
OPERATIONS: dict[str, tuple[str, ...]] = {
    Status.SCHEDULED: ("amend", "cancel"),
    Status.ACTIVE: ("amend", "end", "cancel"),
}
# Each with the colour that it is told in where there is any.
STATES = {
    "pending": "",
    "confirmed": "",
    "failed": "text-red-600 dark:text-red-500",
    "unreachable": "text-orange-700 dark:text-orange-400",
    "exempt": "",
    "ended": "",
}


def standing_of(event: Event, *, now: datetime) -> dict[str, Any]:
    """All that an event's page says about how it stands."""
    targets = list(event.targets.values_list("type", "value"))
    return {
        "status_colour": STATUS_COLOURS[event.status],
        "order": steps_text(event.steps) or order_text(event.amount),
        "scope": scope_text(targets),
        "warnings": _warnings(event),
        "trail": trail_of(event),
        **figures_of(event, now=now),
    }


def figures_of(event: Event, *, now: datetime) -> dict[str, Any]:
    """What changes while an event runs: times, counts, draw."""
    counts = figures.counts_of([event.pk])[event.pk]
    power = figures.power_of(event.pk)
    took_s = figures.seconds_to_accepted(event.pk)
    return {
        "event": event,
        "is_live": event.status in Event.UNFINISHED,
        "as_of": time_text(now),
        "times": times_of(event, now=now),
        "counts": counts,
        "states": [_state_row(event, state, getattr(counts, state)) for state in STATES],
        "all_url": participations_url(event),
        "reasons": [_reason_row(event, row) for row in figures.reasons_of(event.pk)],
        "power": {name: kilowatts_text(watts) for name, watts in power.items()},
        "took": {name: GAP if s is None else f"{s:.1f} s" for name, s in took_s.items()},
    }


def times_of(event: Event, *, now: datetime) -> list[tuple[str, str, str]]:
    """Name, time, and how long until then where that is ahead."""
    named = {
        "starts": event.starts_at,
        "ends": event.ends_at,
        "activated": event.activated_at,
        "ended": event.ended_at,
        "restored": event.restored_at,
    }
    shown = [
        (name, moment(time), remaining_text(time, now=now) if not event.is_over else "")
        for name, time in named.items()
        if time
    ]
    return shown if event.ends_at else [*shown, ("ends", "when somebody ends it", "")]


def participations_url(event: Event, state: str = "", **filters: str) -> str:
    """The list of an event's participations, of one state where that is given."""
    narrowed = {"state__exact": state, **filters} if state else filters
    return list_url(Participation, event__id__exact=event.pk, **narrowed)


def _state_row(event: Event, state: str, count: int) -> dict[str, Any]:
    return {
        "name": state,
        "count": count,
        "colour": STATES[state],
        "url": participations_url(event, state),
    }


def _reason_row(event: Event, row: dict[str, Any]) -> dict[str, Any]:
    address = participations_url(event, row["state"], reason__exact=row["reason"])
    return {**row, "words": words(row["reason"]), "url": address}


def _warnings(event: Event) -> list[str]:
    return [] if event.is_over else [found["detail"] for found in preview.warnings_of(event)]


def trail_of(event: Event) -> list[dict[str, Any]]:
    """The event's part of the audit trail. The time bound spares reading what is older."""
    entries = AuditEntry.objects.filter(
        at__gte=event.declared_at, subject="event", subject_ids__contains=[str(event.pk)]
    )
    return [
        {"at": moment(entry.at), "what": link(entry, entry.action), "actor": entry.actor,
         "origin": entry.origin}
        for entry in entries[:MOST_TRAIL_SHOWN]
    ]  # fmt: skip


def operations_of(event: Event) -> list[dict[str, str]]:
    """What can be done with an event in its present state."""
    return [
        {"name": name, "url": reverse(f"admin:dr_events_event_{name}", args=[event.pk])}
        for name in OPERATIONS.get(event.status, ())
    ]


def reports_of(event: Event) -> list[dict[str, str]]:
    """The formats a report can be had in, and where."""
    return [
        {"name": name, "url": reverse("admin:dr_events_event_report", args=[event.pk, name])}
        for name in reports.FORMATS
    ]
