"""Orders and their effects in plain words, for people who have to decide now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from datetime import datetime, timedelta

from chargers.electricity import BelowMinimum, Limit, plain_number
from chargers.numerals import numeral
from chargers.wording import GAP, kilowatts_text, limit_text, number_of, time_text, words
from dr_events.admin.consequences import Leaving, Release, Returning
from dr_events.amounts import Amount, Kind
from dr_events.figures import Counts
from dr_events.models import Event, EventTarget, OptOut
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
    "site_capacity": "the capacity of its site holds it lower already",
    "outranked": "another event of higher priority, or with a lower limit, decides",
}


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


def unknown_text(targets: Sequence[tuple[str, str]], unknown: Container[tuple[str, str]]) -> str:
    """Aims at nobody: feeder f12 is not known in the fleet. Nothing where all are known."""
    missed = [target for target in targets if target in unknown]
    if not missed:
        return ""
    said = f"{scope_text(missed)} {'is' if len(missed) == 1 else 'are'} not known in the fleet."
    if len(missed) == len(targets):
        return f"Aims at nobody: {said}"
    return said[:1].upper() + said[1:]


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


OF_KIND = {
    Kind.PER_SESSION: "for each session",
    Kind.PERCENT: "of what each session drew when it came in",
    Kind.PER_SITE: "for each site together",
    Kind.PER_EVENT: "for all sessions together",
    Kind.RELIEF: "than at the start, for all sessions together",
}
SHORT_OF_KIND = {
    Kind.PERCENT: " each",
    Kind.PER_SITE: " a site",
    Kind.PER_EVENT: " in all",
    Kind.RELIEF: " less in all",
}


def amount_text(amount: Amount) -> str:
    """4,200 W, 16 A, 40 %."""
    if amount.kind is Kind.PERCENT:
        return f"{numeral(amount.value, 'g')} %"
    return limit_text(amount.limit) if amount.value else "0 W"


def order_text(amount: Amount) -> str:
    """What an order asks of its sessions. A zero is said as what it does."""
    if amount.is_pause:
        return "charging pauses (limit 0)"
    return f"{_at_most(amount)} {OF_KIND[amount.kind]}"


def _at_most(amount: Amount) -> str:
    """at most 4,200 W; 80,000 W less; a pause."""
    if amount.is_pause:
        return "a pause"
    if amount.kind is Kind.RELIEF:
        return f"{amount_text(amount)} less"
    return f"at most {amount_text(amount)}"


def short_order_text(amount: Amount, steps: Sequence[Step] = ()) -> str:
    """4,200 W; 80,000 W a site; 80,000 W a site, then 2 more steps."""
    short = f"{amount_text(amount)}{SHORT_OF_KIND.get(amount.kind, '')}"
    short = "pause (0)" if amount.is_pause else short
    more = len(steps) - 1
    return f"{short}, then {number_of(more, 'more step')}" if more > 0 else short


def steps_text(steps: Sequence[Step]) -> str:
    """at most 80,000 W for 15 min, then a pause to the end, for each site together; nothing for
    no steps."""
    if not steps:
        return ""
    parts: list[str] = []
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        parts.append(f"{_at_most(step.amount)} {_for_how_long(step)}")
        if following and step.ends_after and step.ends_after < following.starts_after:
            parts.append(f"no limit for {duration_text(following.starts_after - step.ends_after)}")
    if all(step.amount.is_pause for step in steps):
        return ", then ".join(parts)
    return f"{', then '.join(parts)}, {OF_KIND[steps[0].amount.kind]}"


def _for_how_long(step: Step) -> str:
    if step.ends_after is None:
        return "to the end"
    return f"for {duration_text(step.ends_after - step.starts_after)}"


def restore_text(rate_w_per_min: float | None, random_share: float = 0.0) -> str:
    """How power comes back."""
    if rate_w_per_min is None:
        return "at once"
    by_chance = f", by chance up to {random_share:.0%} slower" if random_share else ""
    rate_kw = numeral(plain_number(round(rate_w_per_min / 1000, 3)))
    return f"as a slope of at most {rate_kw} kW a minute{by_chance}"


def slope_text(event: Event) -> str:
    """as a slope of at most 50 kW a minute; nothing for an event whose power comes back at once."""
    if event.restore_w_per_min is None:
        return ""
    return restore_text(event.restore_w_per_min, event.restore_random_share)


def random_start_text(window: timedelta) -> str:
    """by chance within 5 min before the start; nothing where all start at once."""
    if not window:
        return ""
    side = "before" if window < timedelta(0) else "after"
    return f"each session by chance within {duration_text(abs(window))} {side} the start"


def progress_text(counts: Counts) -> str:
    """Confirmed, of the cars that stayed: 138 of 148, 12 ended."""
    if not counts.targeted:
        return GAP
    stayed = counts.targeted - counts.ended
    ended = f", {numeral(counts.ended)} ended" if counts.ended else ""
    return f"{numeral(counts.confirmed)} of {numeral(stayed)}{ended}"


def below_minimum_text(choice: str) -> str:
    """What becomes of a limit below 6 A."""
    return "pause" if choice == BelowMinimum.PAUSE else "6 A"


def effects(seen: Preview, amount: Amount | None) -> list[str]:
    """What an order would do, a sentence each; without an amount it orders nothing right now."""
    if amount is None:
        return ["It is between two of its steps: right now nothing is limited."]
    if not seen.lines:
        return ["Nothing is limited right now. Cars that plug in while it runs will be."]
    held = [line for line in seen.lines if not line.cannot]
    cars = number_of(len(seen.lines), "car is", "cars are")
    return [
        f"{cars} charging in this scope, drawing {kilowatts_text(seen.metered_w)} together.",
        _held_text(len(held), amount),
        *_cap_texts(seen, amount),
        *_bent_texts(held, amount),
        *_paused_texts(seen),
        f"Expected draw afterwards: {_change_text(seen)}.",
        *(_cannot_text(reason, count) for reason, count in seen.cannot().items()),
        *_already_limited_texts(seen),
        *_unmetered_texts(seen),
    ]


def _change_text(seen: Preview) -> str:
    """15.2 kW, which is 6.8 kW less; where limits rise, at most so much more."""
    change_w = seen.expected_w - seen.metered_w
    change = f"{kilowatts_text(abs(change_w))} {'more' if change_w > 0 else 'less'}"
    at_most = "at most " if seen.expected_rise_w else ""
    return f"{at_most}{kilowatts_text(seen.expected_w)}, which is {change}"


def relief_text(seen: Preview) -> tuple[str, str]:
    """What it brings in sum: a relief or, where limits rise, a rise, and how much."""
    change_w = seen.expected_w - seen.metered_w
    return ("rise" if change_w > 0 else "relief", kilowatts_text(abs(change_w)))


def _held_text(held: int, amount: Amount) -> str:
    sessions = number_of(held, "session")
    if amount.is_pause:
        return f"Charging pauses for {sessions}: the limit is 0."
    if amount.kind is Kind.PER_SESSION:
        return f"{sessions} will be held to {limit_text(amount.limit)} each."
    if amount.kind is Kind.PERCENT:
        return f"{sessions} will be held to {amount_text(amount)} of what each draws now."
    return f"{sessions} will be held: {order_text(amount)}."


def _bent_texts(held: Sequence[Line], amount: Amount) -> list[str]:
    """Where a session gets another limit than was ordered: AC knows nothing between 0 and 6 A."""
    if amount.kind is not Kind.PER_SESSION:
        return []
    bent = Counter(line.plan.limit for line in held if line.plan.limit != amount.limit)
    return [
        f"For {numeral(count)} of these sessions that is less than 6 A, the least AC can be held "
        f"to: {_bent_to(other)}."
        for other, count in bent.items()
    ]


def _paused_texts(seen: Preview) -> list[str]:
    waiting = sum(line.waits_for_turn for line in seen.lines)
    if not waiting:
        return []
    sessions = number_of(waiting, "session pauses", "sessions pause")
    return [f"There are not 6 A for everyone: {sessions}, taking turns with the others."]


def _cap_texts(seen: Preview, amount: Amount) -> list[str]:
    """What one cap leaves: those that cannot be held use up what the others could have."""
    if len(seen.caps) != 1:
        return []
    told = seen.caps[0].as_json()
    cap, free = kilowatts_text(told["cap_w"]), kilowatts_text(told["cannot_hold_w"])
    said = [f"That leaves {cap} for all of them."] if amount.kind is Kind.RELIEF else []
    if told["cannot_hold_w"]:
        said.append(f"Of the {cap}, {free} is drawn by sessions that cannot be held.")
    return said


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
    if not seen.unmetered:
        return []
    them = number_of(seen.unmetered, "session is", "sessions are")
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


def leaving_effects(leaving: Leaving) -> list[str]:
    """What an opt-out or exemption would do, a sentence each."""
    opted = leaving.opt_out
    what = target_text(opted.type, opted.value)
    return [
        f"{leaving.event} leaves {what} alone, for as long as it runs.",
        *_left_alone_texts(leaving),
        *_budget_texts(leaving),
    ]


def _left_alone_texts(leaving: Leaving) -> list[str]:
    if not leaving.sessions:
        return ["No car is charging there in its scope right now; who plugs in is left alone."]
    cars = number_of(leaving.sessions, "car is", "cars are")
    charging = f"{cars} charging there now, drawing {kilowatts_text(leaving.power_w)} together."
    if leaving.event.status == leaving.event.Status.SCHEDULED:
        return [charging, "The event has not begun: nothing changes before it does."]
    if not leaving.released.sessions:
        return [charging]
    shared = ["What they draw still counts under its cap."] if leaving.event.kind.is_shared else []
    return [charging, *release_effects(leaving.released), *shared]


def _budget_texts(leaving: Leaving) -> list[str]:
    if leaving.opt_out.kind == leaving.opt_out.Kind.EXEMPTION:
        return ["An exemption takes nothing from the opt-outs of the year."]
    if leaving.event.test:
        return ["It is a drill: this takes nothing from the opt-outs of the year."]
    used, allowed = leaving.budget.used, leaving.budget.allowed
    of_all = "" if allowed is None else f" of {numeral(allowed)}"
    return [f"It is opt-out {numeral(used)}{of_all} of this year for {leaving.opt_out.budget_of}."]


def returning_effects(returning: Returning, opted: OptOut) -> list[str]:
    """What withdrawing an opt-out would do, a sentence each."""
    what = target_text(opted.type, opted.value)
    said = [f"{opted.event} aims at {what} again."]
    if opted.event.status == opted.event.Status.SCHEDULED:
        said.append("The event has not begun: nothing changes before it does.")
    elif returning.sessions:
        cars = number_of(returning.sessions, "car is", "cars are")
        them = number_of(returning.limited, "is", "are")
        said.append(f"{cars} charging there now; {them} limited by it at once.")
    else:
        said.append("No car is charging there in its scope right now.")
    if opted.kind == opted.Kind.OPT_OUT and not opted.event.test:
        said.append("It stays on record, and counts among the opt-outs of the year.")
    else:
        said.append("It stays on record.")
    return said
