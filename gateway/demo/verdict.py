"""Was every promise kept? The gateway's report against the simulator's own book."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.demo.story import Story

SETTLED = ("confirmed", "failed", "unreachable", "exempt", "ended")


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, whether it was kept, and what shows it."""

    promise: str
    kept: bool
    shown_by: str


def findings(story: Story, report: dict[str, Any]) -> Iterator[Finding]:
    """Everything that can be told from outside."""
    yield _no_session_forgotten(report)
    yield _late_cars_limited(story, report)
    yield _both_books_agree(story)
    yield _no_limit_left(story, report)
    yield _no_webhook_lost(story)
    yield _counts_add_up(report)


def _no_session_forgotten(report: dict[str, Any]) -> Finding:
    rows = report["participations"]
    unnamed = [r for r in rows if r["state"] not in SETTLED]
    unnamed += [r for r in rows if r["state"] in ("failed", "unreachable") and not r["reason"]]
    return Finding(
        "P1 no session forgotten",
        bool(rows) and not unnamed,
        f"{len(rows)} sessions, {len(unnamed)} without a named outcome",
    )


def _late_cars_limited(story: Story, report: dict[str, Any]) -> Finding:
    late = [row for row in report["participations"] if row["session"] in story.late_sessions]
    joined = [row for row in late if row["joined_late"] and row["first_sent_at"]]
    return Finding(
        "P1 cars that plugged in meanwhile were limited",
        len(joined) == len(story.late_sessions) > 0,
        f"{len(joined)} of {len(story.late_sessions)} plugged in by the demo",
    )


def _both_books_agree(story: Story) -> Finding:
    """At the last moment before the end, what we call confirmed is what the stations held."""
    book = story.world.control("GET", "ledger/limits?all=true")["sessions"]
    rows = [part for part in story.last.participations if part["state"] == "confirmed"]
    disagreeing = [row for row in rows if not _was_held(book.get(row["session"]), row["confirmed"])]
    return Finding(
        "P2, P5 the simulator's book agrees",
        bool(rows) and not disagreeing,
        f"{len(rows)} confirmed limits, {len(disagreeing)} that no station held",
    )


def _was_held(session: dict[str, Any] | None, confirmed: dict[str, Any] | None) -> bool:
    if session is None or confirmed is None:
        return False
    return any(
        change["unit"] == confirmed["unit"] and change["limit"] == confirmed["value"]
        for change in session["history"]
    )


def _no_limit_left(story: Story, report: dict[str, Any]) -> Finding:
    sessions = story.world.control("GET", "ledger/limits")["sessions"]
    left = [key for key, row in sessions.items() if _is_held_down(row)]
    is_over = report["event"]["status"] == "completed"
    return Finding(
        "P2 no limit left behind",
        is_over and not left,
        f"event {report['event']['status']}, {len(left)} stations still hold a limit",
    )


def _is_held_down(row: dict[str, Any]) -> bool:
    """eDRV's own simulators know no clear: there the connector's maximum is no limit."""
    limit = row["limit"]
    if limit is None:
        return False
    return not (limit["unit"] == "current" and limit["limit"] >= row["max_current_a"])


def _no_webhook_lost(story: Story) -> Finding:
    webhooks = story.world.control("GET", "ledger")["webhooks"]
    return Finding(
        "P3 no webhook lost",
        webhooks["failed"] == 0 and webhooks["acked"] > 0,
        f"{webhooks['acked']:,} accepted, {webhooks['failed']} given up",
    )


def _counts_add_up(report: dict[str, Any]) -> Finding:
    counts = report["counts"]
    total = sum(counts[state] for state in SETTLED)
    return Finding(
        "P8 the report's counts add up",
        counts["targeted"] == total == len(report["participations"]),
        f"targeted {counts['targeted']} = " + " + ".join(f"{counts[s]} {s}" for s in SETTLED),
    )
