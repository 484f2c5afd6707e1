"""An order in one sentence, as it is confirmed or proposed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chargers.wording import limit_text, number_of, time_text
from dr_events.admin.consequences import Amendment
from dr_events.admin.words import order_text, relief_text, scope_text
from dr_events.amounts import Amount, Kind
from dr_events.declarations import Declaration
from dr_events.preview import Preview


def headline(
    seen: Preview,
    amount: Amount,
    targets: Sequence[tuple[str, str]],
    ends_at: datetime | None,
) -> str:
    """314 sessions in feeder F12 will be held to 4,200 W each until 2026-07-01 18:45:00 CEST;
    12 of them pause; expected relief 1,101.3 kW."""
    held = seen.held
    until = f"until {time_text(ends_at)}" if ends_at else "until somebody ends it"
    if amount.is_pause:
        what = f"{number_of(held, 'session')} in {scope_text(targets)} will pause charging"
    elif amount.kind is Kind.PER_SESSION:
        to = f"{limit_text(amount.limit)} each"
        what = f"{number_of(held, 'session')} in {scope_text(targets)} will be held to {to}"
    else:
        what = (
            f"{number_of(held, 'session')} in {scope_text(targets)} will be held: "
            f"{order_text(amount)}"
        )
    change = " ".join(("expected", *relief_text(seen)))
    return "; ".join([f"{what} {until}", *_pausing_texts(seen), f"{change}."])


def _pausing_texts(seen: Preview) -> list[str]:
    """What was not ordered, and comes of too small a limit."""
    if not seen.pausing:
        return []
    if seen.pausing == seen.held:
        return ["it pauses" if seen.held == 1 else "all of them pause"]
    return [number_of(seen.pausing, "of them pauses", "of them pause")]


def declaration_headline(seen: Preview, declared: Declaration, *, now: datetime) -> str:
    """The same of what is to be declared."""
    _, ends_at = declared.schedule(declared.starts_at or now)
    return headline(seen, declared.amount, declared.targets, ends_at)


def amendment_headline(found: Amendment) -> str:
    """The same of what an event would be; nothing while it is between two steps."""
    if found.amount is None:
        return ""
    return headline(found.seen, found.amount, found.targets, found.event.ends_at)
