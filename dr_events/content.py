"""What was ordered of an event, as it stands in its rows: the content that can be declared and
amended, apart from how it goes."""

from __future__ import annotations

from typing import Any

from dr_events.declarations import Restore
from dr_events.models import Event


def restore_of(event: Event) -> Restore | None:
    """The slope on which an event gives power back, as it was declared."""
    if event.restore_w_per_min is None:
        return None
    return Restore(event.restore_w_per_min, event.restore_random_share)


def content_of(event: Event) -> dict[str, Any]:
    """What can be declared and amended, as the audit record shows it."""
    return {
        "external_id": event.external_id,
        "name": event.name,
        "reason": event.reason,
        "test": event.test,
        "priority": event.priority,
        "starts_at": event.starts_at.isoformat(),
        "ends_at": event.ends_at and event.ends_at.isoformat(),
        "limit": event.amount.as_json(),
        "intervals": [
            {
                "starts_after_s": step.starts_after.total_seconds(),
                "ends_after_s": step.ends_after and step.ends_after.total_seconds(),
                "limit": step.amount.as_json(),
            }
            for step in event.steps
        ],
        "below_minimum": event.below_minimum,
        "randomize_start_s": event.randomize_start.total_seconds(),
        "restore": restore.as_json() if (restore := restore_of(event)) else None,
        "targets": [
            {"type": type_, "value": value}
            for type_, value in sorted(event.targets.values_list("type", "value"))
        ],
    }
