"""Orders and their effects in plain words, for people who have to decide now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from chargers.electricity import BelowMinimum, Limit
from chargers.wording import GAP, kilowatts_text, limit_text, time_text, words
from dr_events.admin.consequences import Release
from dr_events.amounts import Amount, Kind
from dr_events.figures import Counts
from dr_events.models import EventTarget
from dr_events.preview import Line, Preview
from dr_events.timeline import Step

MOST_TARGETS_NAMED = 6
WHY_NOT = {
    "exempt_session": "the session is exempt",
    "exempt_chargestation": "the chargestation is exempt",
    "exempt_site": "the site is exempt",
    "station_offline": "the chargestation is offline; limited as soon as it is back",
    "opted_out": "it has opted out of this event",
    "exempted": "an operator has exempted it from this event",
    "outranked": "another event of higher priority, or with a lower limit, decides",
}


def number_of(count: int, one: str, many: str = "") -> str:
    """1 session, 12 sessions."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def duration_text(duration: timedelta) -> str:
    """45 min, 2 h, 1 h 30 min."""
    minutes = max(1, round(duration.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"] if minutes else parts)


def remaining_text(time: datetime, *, now: datetime) -> str:
    """in 45 min; nothing once the time has come."""
    return f"in {duration_text(time - now)}" if time > now else ""


def target_text(type_: str, value: str) -> str:
    """feeder F12."""
    return f"{EventTarget.Type(type_).label.lower()} {value}".strip()


def scope_text(targets: Sequence[tuple[str, str]]) -> str:
    """feeder F12, site loc_7 and 3 more."""
    named = [target_text(*target) for target in targets[:MOST_TARGETS_NAMED]]
    more = len(targets) - len(named)
    return f"{', '.join(named)} and {more} more" if more else ", ".join(named)


def period_text(starts_at: datetime | None, ends_at: datetime | None, *, now: datetime) -> str:
    """now until 2026-07-01 18:00:00 CEST (45 min). No start is now; no end is until ended."""
    start = "now" if starts_at is None else time_text(starts_at)
    if ends_at is None:
        return f"{start}, until somebody ends it"
    return f"{start} until {time_text(ends_at)} ({duration_text(ends_at - (starts_at or now))})"


def priority_text(priority: int | None) -> str:
    """5, or what stands out: 0, and none."""
    if priority is None:
        return "none (gives way to any other)"
    return f"{priority} (the highest)" if priority == 0 else str(priority)


def order_text(amount: Amount) -> str:
    """What an order asks of its sessions. A zero is said as what it does."""
    if amount.is_pause:
        return "charging pauses (limit 0)"
    watts = f"{amount.value:,.0f} W"
    match amount.kind:
        case Kind.PERCENT:
            return f"at most {amount.value:g} % of what each session drew"
        case Kind.PER_SITE:
            return f"at most {watts} for each site together"
        case Kind.PER_EVENT:
            return f"at most {watts} for all sessions together"
        case Kind.RELIEF:
            return f"{watts} less than at the start, for all sessions together"
        case _:
            return f"at most {limit_text(amount.limit)} for each session"


def short_order_text(amount: Amount) -> str:
    """4,200 W each; 80,000 W a site."""
    if amount.is_pause:
        return "pause (0)"
    watts = f"{amount.value:,.0f} W"
    match amount.kind:
        case Kind.PERCENT:
            return f"{amount.value:g} % each"
        case Kind.PER_SITE:
            return f"{watts} a site"
        case Kind.PER_EVENT:
            return f"{watts} in all"
        case Kind.RELIEF:
            return f"{watts} less in all"
        case _:
            return limit_text(amount.limit)


def steps_text(steps: Sequence[Step]) -> str:
    """from 0 min at most 80,000 W for each site together; from 15 min …"""
    return "; ".join(
        f"from {step.starts_after.total_seconds() / 60:g} min {order_text(step.amount)}"
        for step in steps
    )


def restore_text(rate_w_per_min: float | None) -> str:
    """How power comes back."""
    if rate_w_per_min is None:
        return "at once"
    return f"as a slope of at most {rate_w_per_min / 1000:,.1f} kW a minute"


def progress_text(counts: Counts) -> str:
    """Confirmed, of the cars that stayed: 138 of 148, 12 ended."""
    if not counts.targeted:
        return GAP
    stayed = counts.targeted - counts.ended
    ended = f", {counts.ended:,} ended" if counts.ended else ""
    return f"{counts.confirmed:,} of {stayed:,}{ended}"


def below_minimum_text(choice: str) -> str:
    """What becomes of a limit below 6 A."""
    return "pause" if choice == BelowMinimum.PAUSE else "6 A"


def effects(seen: Preview, amount: Amount) -> list[str]:
    """What an order would do, a sentence each."""
    if not seen.lines:
        return ["Nothing is limited right now. Cars that plug in while it runs will be."]
    held = [line for line in seen.lines if not line.cannot]
    cars = number_of(len(seen.lines), "car is", "cars are")
    left_w = seen.metered_w - seen.expected_relief_w
    relief = kilowatts_text(seen.expected_relief_w)
    return [
        f"{cars} charging in this scope, drawing {kilowatts_text(seen.metered_w)} together.",
        _held_text(len(held), amount),
        *_bent_texts(held, amount),
        *_paused_texts(seen),
        f"Expected draw afterwards: {kilowatts_text(left_w)}, which is {relief} less.",
        *(_cannot_text(reason, count) for reason, count in seen.cannot().items()),
        *_already_limited_texts(seen),
        *_unmetered_texts(seen),
    ]


def _held_text(held: int, amount: Amount) -> str:
    sessions = number_of(held, "session")
    if amount.is_pause:
        return f"Charging pauses for {sessions}: the limit is 0."
    if amount.kind is Kind.PER_SESSION:
        return f"{sessions} will be held to {limit_text(amount.limit)} each."
    return f"{sessions} will be held: {order_text(amount)}."


def _bent_texts(held: Sequence[Line], amount: Amount) -> list[str]:
    """Where a session gets another limit than was ordered: AC knows nothing between 0 and 6 A."""
    if amount.kind is not Kind.PER_SESSION:
        return []
    bent = Counter(line.plan.limit for line in held if line.plan.limit != amount.limit)
    return [
        f"For {count:,} of these sessions that is less than 6 A, the least AC can be held to: "
        f"{_bent_to(other)}."
        for other, count in bent.items()
    ]


def _paused_texts(seen: Preview) -> list[str]:
    if not seen.below_floor:
        return []
    sessions = number_of(seen.below_floor, "session has", "sessions have")
    return [f"There are not 6 A for everyone: {sessions} to pause, in turns with the others."]


def _bent_to(limit: Limit | None) -> str:
    if limit is not None and limit.is_pause:
        return "their charging pauses"
    return f"they are held to {limit_text(limit)}"


def _cannot_text(reason: str, count: int) -> str:
    why = WHY_NOT.get(reason, words(reason))
    return f"{number_of(count, 'session is', 'sessions are')} not limited by this event: {why}."


def _already_limited_texts(seen: Preview) -> list[str]:
    limited = sum(bool(line.limited_now_by) for line in seen.lines)
    if not limited:
        return []
    them = number_of(limited, "of these sessions is", "of these sessions are")
    return [f"{them} limited already. Where that limit rises, so may the draw."]


def _unmetered_texts(seen: Preview) -> list[str]:
    unmetered = sum(line.facts.power_w is None for line in seen.lines)
    if not unmetered:
        return []
    them = number_of(unmetered, "session is", "sessions are")
    return [f"{them} not metered: what they draw is unknown and left out of these sums."]


def release_effects(released: Release) -> list[str]:
    """What letting go of sessions would do, a sentence each."""
    if not released.sessions:
        return ["No session is held by it: nothing needs to be restored."]
    restored = number_of(released.restored, "session gets its", "sessions get their")
    return [
        f"{number_of(released.sessions, 'session takes', 'sessions take')} part in it now.",
        f"{restored} full power back: each limit is lifted, and its absence proven.",
        *(
            f"{number_of(count, 'session stays', 'sessions stay')} limited, by {event}."
            for event, count in released.held_by.items()
        ),
        *_untouched_texts(released),
    ]


def _untouched_texts(released: Release) -> list[str]:
    untouched = released.sessions - released.restored - sum(released.held_by.values())
    if not untouched:
        return []
    return [f"{number_of(untouched, 'session was', 'sessions were')} never limited by it."]
