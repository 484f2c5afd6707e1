"""How an event stands: what its page says beside its declaration. The figures of a running event
are fetched anew every few seconds, the rest with the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html

from chargers.admin.parts import label, link, list_url, moment
from chargers.models import AuditEntry, Heartbeat
from chargers.numerals import numeral
from chargers.wording import GAP, clock_text, kilowatts_text, number_of, time_text, words
from dr_events import figures, order_warnings, reports, timeline
from dr_events.admin.words import (
    order_text,
    random_start_text,
    remaining_text,
    scope_text,
    short_order_text,
    slope_text,
    steps_text,
    target_text,
)
from dr_events.figures import Counts
from dr_events.models import Event, OptOut, Participation
from dr_events.pulse import OUTAGE_S, SWEPT

MOST_TRAIL_SHOWN = 50
MOST_OPT_OUTS_SHOWN = 50
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
    Status.ACTIVE: ("extend", "amend", "end", "cancel"),
}
# The gateway's own pulse: without a sweep nothing moves, whatever the page says.
PULSE_S = OUTAGE_S
OPT_OUT_COLOURS = {"opt_out": "warning", "exemption": "info"}
STATES = ("confirmed", "pending", "unreachable", "failed", "exempt", "ended")
BAR_WIDTH = 1000


def standing_of(event: Event, *, now: datetime) -> dict[str, Any]:
    """All that an event's page says about how it stands."""
    targets = list(event.targets.values_list("type", "value"))
    return {
        "status_colour": STATUS_COLOURS[event.status],
        "order": steps_text(event.steps) or order_text(event.amount),
        "scope": scope_text(targets),
        "manner": manner_of(event),
        "opt_outs": opt_outs_of(event),
        "warnings": [found["detail"] for found in order_warnings.of_event(event, now=now)],
        "trail": trail_of(event),
        **figures_of(event, now=now),
    }


def figures_of(event: Event, *, now: datetime) -> dict[str, Any]:
    """What changes while an event runs: times, counts, draw."""
    counts = figures.counts_of([event.pk])[event.pk]
    power = figures.power_of(event.pk, now=now)
    return {
        "event": event,
        "is_live": event.status in Event.UNFINISHED,
        "as_of": moment(now),
        "clock": clock_text(now),
        "utc": time_text(now, UTC),
        "stalled_s": _stalled_s(now) if event.status in Event.UNFINISHED else None,
        "times": times_of(event, now=now),
        "steps": steps_of(event, now=now),
        "reference": reference_text(event),
        "counts": counts,
        "states": [_state_row(event, state, getattr(counts, state)) for state in STATES],
        "bar": bar_of(counts),
        "all_url": participations_url(event),
        "reasons": [_reason_row(event, row) for row in figures.reasons_of(event.pk)],
        "power": {name: kilowatts_text(power[name]) for name in ("before_w", "now_w")},
        "unmetered": power["unmetered"],
        "took": _seconds_texts(figures.seconds_to_accepted(event.pk)),
        "complied": _seconds_texts(figures.seconds_to_complied(event.pk)),
    }


def _seconds_texts(took_s: dict[str, float | None]) -> dict[str, str]:
    return {name: GAP if s is None else f"{numeral(s, ',.1f')} s" for name, s in took_s.items()}


def _stalled_s(now: datetime) -> float | None:
    """For how long nothing has been steered, where that is too long; None where all is well."""
    swept_at = Heartbeat.objects.filter(name=SWEPT).values_list("at", flat=True).first()
    if swept_at is None:
        return None
    age_s = (now - swept_at).total_seconds()
    return age_s if age_s >= PULSE_S else None


def bar_of(counts: Counts) -> list[dict[str, Any]]:
    """Where each state's part of the bar begins, and its width, out of BAR_WIDTH."""
    parts, begins = [], 0.0
    for state in STATES:
        width = BAR_WIDTH * getattr(counts, state) / max(1, counts.targeted)
        parts.append({"name": state, "x": f"{begins:.1f}", "width": f"{width:.1f}"})
        begins += width
    return parts


def times_of(event: Event, *, now: datetime) -> list[tuple[str, str, str]]:
    """Name, time, and how long until then where that is ahead."""
    named = {
        "starts": event.starts_at,
        **_planned_end(event),
        "activated": event.activated_at,
        "ended": event.ended_at,
        "restored": event.restored_at,
    }
    shown = [
        (name, moment(time), remaining_text(time, now=now) if not event.is_over else "")
        for name, time in named.items()
        if time
    ]
    if event.ends_at or event.ended_at:
        return shown
    return [*shown, ("ends", "when somebody ends it", "")]


def _planned_end(event: Event) -> dict[str, datetime | None]:
    """Once it has ended, its planned end says something only where that was to be later."""
    if event.ended_at is None:
        return {"ends": event.ends_at}
    ended_early = event.ends_at is not None and event.ended_at < event.ends_at
    return {"was to end": event.ends_at if ended_early else None}


def end_text(event: Event) -> str:
    """When it ends or, once that is known, ended."""
    if event.ended_at:
        return format_html("ended {}", moment(event.ended_at))
    return moment(event.ends_at)


def manner_of(event: Event) -> list[tuple[str, str]]:
    """How it begins and how power comes back, where that is not all at once."""
    told = {
        "starts": random_start_text(event.randomize_start),
        "power comes back": slope_text(event),
    }
    return [(name, text) for name, text in told.items() if text]


def steps_of(event: Event, *, now: datetime) -> list[dict[str, Any]]:
    """Its steps, and which is in force."""
    steps, elapsed = event.steps, now - event.starts_at
    current = timeline.step_at(steps, elapsed) if event.status == Status.ACTIVE else None
    return [
        {
            "from": moment(event.starts_at + step.starts_after),
            "to": moment(event.starts_at + step.ends_after)
            if step.ends_after
            else moment(event.ends_at),
            "limit": short_order_text(step.amount),
            "is_current": step == current,
        }
        for step in steps
    ]


def reference_text(event: Event) -> str:
    """22.0 kW of 4 sessions, 1 of them not metered; nothing before the start."""
    if event.reference_w is None:
        return ""
    unmetered = event.reference_unmetered or 0
    rest = f", {numeral(unmetered)} of them not metered" if unmetered else ""
    sessions = number_of(event.reference_sessions or 0, "session")
    return f"{kilowatts_text(event.reference_w)} of {sessions}{rest}"


def opt_outs_of(event: Event) -> list[dict[str, Any]]:
    """Who has left it, the latest first; `can_return` while that can be withdrawn."""
    found = event.opt_outs.order_by("-id")[:MOST_OPT_OUTS_SHOWN]
    return [
        {
            "what": link(opted, target_text(opted.type, opted.value)),
            "kind": label(opted.get_kind_display(), OPT_OUT_COLOURS[opted.kind]),
            "reason": opted.reason or GAP,
            "by": opted.declared_by,
            "at": moment(opted.declared_at),
            "withdrawn_at": moment(opted.withdrawn_at) if opted.withdrawn_at else "",
            "withdraw_url": reverse("admin:dr_events_event_withdraw", args=[event.pk, opted.pk])
            if can_return(opted, event)
            else "",
        }
        for opted in found
    ]


def can_return(opted: OptOut, event: Event) -> bool:
    """Whether withdrawing it changes anything."""
    return opted.withdrawn_at is None and not event.is_over


def is_on_a_slope(event: Event) -> bool:
    """Whether its power is coming back step by step."""
    slopes = event.restore_w_per_min is not None and not event.restore_at_once
    return event.status == Status.RESTORING and slopes


def participations_url(event: Event, state: str = "", **filters: str) -> str:
    """The list of an event's participations, of one state where that is given."""
    narrowed = {"state__exact": state, **filters} if state else filters
    return list_url(Participation, event__id__exact=event.pk, **narrowed)


def _state_row(event: Event, state: str, count: int) -> dict[str, Any]:
    return {
        "name": state,
        "count": count,
        "url": participations_url(event, state),
    }


def _reason_row(event: Event, row: dict[str, Any]) -> dict[str, Any]:
    address = participations_url(event, row["state"], reason__exact=row["reason"])
    return {**row, "words": words(row["reason"]), "url": address}


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
    possible = ("restore",) if is_on_a_slope(event) else OPERATIONS.get(event.status, ())
    if event.status == Status.ACTIVE and event.restore_w_per_min is not None:
        possible = (*possible, "restore")
    return [
        {"name": name, "url": reverse(f"admin:dr_events_event_{name}", args=[event.pk])}
        for name in possible
    ]


def reports_of(event: Event) -> list[dict[str, str]]:
    """The formats a report can be had in, and where."""
    return [
        {"name": name, "url": reverse("admin:dr_events_event_report", args=[event.pk, name])}
        for name in reports.FORMATS
    ]
