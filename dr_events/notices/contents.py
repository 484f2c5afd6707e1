"""What a notice says: as the JSON that webhooks carry, and as the text of an e-mail. Its form is
the one that Standard Webhooks recommends, `type`, `timestamp` and `data`: a public contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from chargers.electricity import plain_number
from chargers.wording import time_text, words
from dr_events import figures
from dr_events.models import Event, Export
from dr_events.notices.models import Kind, Trouble

SAID = {
    Kind.DECLARED: "Declared",
    Kind.STARTED: "Started",
    Kind.ENDED: "Ended",
    Kind.RESTORED: "Restored",
}
COUNTED = (Kind.ENDED, Kind.RESTORED)


def event_subject(kind: Kind, event: Event) -> str:
    """Started: Feeder F12 overload."""
    was_cancelled = kind is Kind.ENDED and event.ending_as == Event.Status.CANCELLED
    return f"{_drill(event)}{'Cancelled' if was_cancelled else SAID[kind]}: {event.name}"[:200]


def _drill(event: Event) -> str:
    return "[drill] " if event.test else ""


def event_content(kind: Kind, event: Event, *, by: str, now: datetime) -> dict[str, Any]:
    """`counts`, where the event is over; `by` is who did it, as in the audit record."""
    counts = figures.counts_of([event.pk])[event.pk].as_json() if kind in COUNTED else None
    return _content(
        f"event.{kind}",
        now,
        event=about_event(event),
        by=by,
        **({"counts": counts} if counts else {}),
    )


def about_event(event: Event) -> dict[str, Any]:
    """As over REST, as far as it fits a notice."""
    return {
        "id": str(event.pk),
        "external_id": event.external_id,
        "name": event.name,
        "reason": event.reason,
        "test": event.test,
        "status": event.status,
        "starts_at": _instant(event.starts_at),
        "ends_at": _instant(event.ends_at),
        "limit": event.amount.as_json(),
        "targets": [
            {"type": type_, "value": value or None}
            for type_, value in event.targets.values_list("type", "value")
        ],
        "url": event_url(event.pk),
    }


def event_url(event_id: UUID) -> str | None:
    return _page("admin:dr_events_event_change", event_id)


def _page(name: str, id_: UUID) -> str | None:
    """A page in the admin, where CSRF_TRUSTED_ORIGINS names the gateway's public address."""
    origin = next((one for one in settings.CSRF_TRUSTED_ORIGINS if "*" not in one), None)
    return f"{origin.rstrip('/')}{reverse(name, args=[id_])}" if origin else None


def export_subject(export: Export) -> str:
    """Ready: package of Feeder F12 overload."""
    word = "Ready" if export.state == Export.State.READY else "Failed"
    return f"{word}: {export.format} of {export.event.name}"[:200]


def export_content(export: Export, *, now: datetime) -> dict[str, Any]:
    """`export.ready` with its size and digest, or `export.failed` with what went wrong."""
    return _content(
        f"export.{export.state}",
        now,
        report=_page("admin:dr_events_export_change", export.pk),
        export=str(export.pk),
        format=export.format,
        size_bytes=export.size_bytes,
        sha256=export.sha256,
        trouble=export.trouble,
        event=about_event(export.event),
    )


def trouble_content(trouble: Trouble, *, now: datetime) -> dict[str, Any]:
    """`trouble.began`, `trouble.grew` or `trouble.over`, by what was told before."""
    step = "over" if not trouble.figure else "grew" if trouble.told_figure else "began"
    return _content(
        f"trouble.{step}",
        now,
        key=trouble.key,
        subject=trouble.subject,
        since=_instant(trouble.since),
        figure=trouble.figure,
        **trouble.detail,
        **({"event": about_event(trouble.event)} if trouble.event else {}),
    )


def test_content(*, by: str, now: datetime) -> dict[str, Any]:
    return _content("test", now, by=by)


def _content(type_: str, now: datetime, **data: Any) -> dict[str, Any]:
    return {"type": type_, "timestamp": _instant(now), "data": data}


def _instant(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None


# --- the same as a text -------------------------------------------------------------------

EXPLAINED = {
    "test": "This is a test: notices of the demand-response gateway reach this address.",
    "trouble.over": "It is over.",
    "export.ready": "The report that you asked for is ready. It is under Exports.",
    "export.failed": "The report that you asked for could not be made. Please ask for it again.",
}


def text_of(subject: str, content: Mapping[str, Any]) -> str:
    """The text of an e-mail: what happened, then what is known of it, a line each."""
    data = content["data"]
    told = [("at", _moment(content["timestamp"]))]
    told += [(words(name), _value(name, value)) for name, value in data.items() if name != "event"]
    event = data.get("event") or {}
    told += [(words(name), _value(name, value)) for name, value in event.items()]
    lines = [f"{name}: {value}" for name, value in told if value]
    explained = EXPLAINED.get(content["type"])
    return "\n\n".join([subject, *([explained] if explained else []), "\n".join(lines)]) + "\n"


def _value(name: str, value: Any) -> str:
    match value:
        case None | "" | False:
            return ""
        case True:
            return "yes"
        case {"kind": kind, "unit": unit, "value": amount}:
            shown = "%" if kind == "percent" else "A" if unit == "current" else "W"
            return f"{plain_number(amount):,} {shown}, {words(kind)}"
        case dict():
            return ", ".join(f"{count:,} {words(state)}" for state, count in value.items() if count)
        case [{"type": _, "value": _}, *_]:
            return ", ".join(f"{words(one['type'])} {one['value'] or ''}".strip() for one in value)
        case list():
            return ", ".join(map(str, value))
        case str() if name in ("since", "starts_at", "ends_at", "until"):
            return _moment(value)
        case _:
            return str(value)


def _moment(said: str) -> str:
    return time_text(parse_datetime(said))
