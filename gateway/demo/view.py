"""The demo on a terminal: live while it runs, a table when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.demo.story import DURATION_S, FEEDER, LIMIT_W, Moment, Story
from gateway.demo.verdict import Finding
from gateway.demo.world import LogIn

BAR_WIDTH = 60
STATES = {
    "confirmed": "green",
    "pending": "white",
    "failed": "red",
    "unreachable": "yellow",
    "exempt": "blue",
    "ended": "bright_black",
}
# A log without a screen gets a line now and then.
LINE_EVERY_S = 5.0


def follow(console: Console, moments: Iterable[Moment]) -> None:
    """Show each moment as it comes."""
    if not console.is_terminal:
        _follow_in_lines(console, moments)
        return
    with Live(console=console, refresh_per_second=4) as live:
        for moment in moments:
            live.update(_screen(moment))


def _follow_in_lines(console: Console, moments: Iterable[Moment]) -> None:
    shown_s, status = -LINE_EVERY_S, ""
    for moment in moments:
        if moment.elapsed_s - shown_s >= LINE_EVERY_S or moment.event["status"] != status:
            shown_s, status = moment.elapsed_s, moment.event["status"]
            counts = ", ".join(f"{count} {name}" for name, count in moment.counts.items() if count)
            console.print(
                f"{moment.elapsed_s:5.1f} s  {status:<10} {_kw(moment.now_w)} kW  {counts}"
            )


def _screen(moment: Moment) -> RenderableType:
    return Panel(
        Group(_headline(moment), Text(), _bar(moment), Text(), _figures(moment), _reasons(moment)),
        title=f"{moment.event['name']}: at most {LIMIT_W / 1000:.1f} kW a session",
        subtitle="Ctrl-C stops everything",
        width=BAR_WIDTH + 18,
    )


def _headline(moment: Moment) -> Text:
    text = Text()
    text.append(moment.event["status"].upper(), style="bold")
    text.append(f"  {moment.elapsed_s:.0f} s of {DURATION_S} s   feeder {FEEDER}: ")
    text.append(f"{_kw(moment.before_w)} kW", style="dim")
    text.append(" → ")
    text.append(f"{_kw(moment.now_w)} kW", style="bold cyan")
    return text


def _bar(moment: Moment) -> Text:
    """Every session of the event, in the colour of its state."""
    targeted = max(moment.counts["targeted"], 1)
    bar = Text()
    for state, colour in STATES.items():
        width = round(BAR_WIDTH * moment.counts[state] / targeted)
        bar.append("█" * width, style=colour)
    return bar


def _figures(moment: Moment) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    counts = moment.counts
    cells = [(counts[state], state, colour) for state, colour in STATES.items()]
    cells += [
        (counts["targeted"], "targeted", "bold"),
        (counts["complied"], "complied (metered)", "cyan"),
        (len(moment.joined_late), "joined late", "magenta"),
        (counts["restored"], "restored", "green"),
    ]
    for row in range(0, len(cells), 5):
        table.add_row(*(f"[{c}]{number:>4} {name}[/]" for number, name, c in cells[row : row + 5]))
    return table


def _reasons(moment: Moment) -> RenderableType:
    lines = [
        f"  {count:>4} × {state}: {_words(reason)}"
        for (state, reason), count in moment.reasons().most_common(6)
    ]
    return Text("\n".join(["", *lines]) if lines else "", style="dim")


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _kw(watts: float) -> str:
    return f"{watts / 1000:,.1f}"


def closing_table(story: Story, report: dict[str, Any]) -> Table:
    """The event in figures."""
    counts, took = report["counts"], report["seconds_to_accepted"]
    rows = report["participations"]
    table = Table(title=f"Event {report['event']['external_id']}: {report['event']['status']}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    figures = [
        ("sessions targeted", counts["targeted"]),
        ("accepted by their station", sum(row["accepted_at"] is not None for row in rows)),
        ("complied, by metering", counts["complied"]),
        *((f"{r['state']}: {_words(r['reason'])}", r["sessions"]) for r in report["reasons"]),
        ("joined late", sum(row["joined_late"] for row in rows)),
        ("restored", counts["restored"]),
        ("time to accepted, p50", _seconds(took["p50"])),
        ("time to accepted, p95", _seconds(took["p95"])),
        (f"feeder {FEEDER} before", f"{_kw(story.before_w)} kW"),
        (f"feeder {FEEDER}, lowest during the event", f"{_kw(story.lowest_w())} kW"),
    ]
    for name, value in figures:
        table.add_row(name, str(value))
    return table


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def verdict_table(findings: list[Finding]) -> Table:
    """Each promise, and whether it was kept."""
    table = Table(title="Promises", show_header=False)
    for finding in findings:
        mark = "[green]kept[/]" if finding.kept else "[bold red]BROKEN[/]"
        table.add_row(mark, finding.promise, finding.shown_by)
    return table


def ways_on(log_in: LogIn, url: str, reports: list[Path]) -> str:
    """Where to look next: reports, admin, API."""
    lines = [
        "",
        *(f"report   {path}" for path in reports),
        f"admin    {log_in.url}",
        f"log in   {' or '.join(log_in.users)} / {log_in.password}",
        f"API      {url}/api/v1/docs/",
    ]
    return "\n".join(lines)
