"""The evidence as two pages for a person: what was ordered, what happened, the load curve, the
table by site, exceptions, method, seal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    Flowable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    TableStyle,
)
from reportlab.platypus import (
    Table as Grid,
)

from chargers import chain
from chargers.wording import GAP
from dr_events.evidence import keys, seal
from dr_events.evidence.baselines import METER_BEFORE, METHODS
from dr_events.evidence.computation import Terms
from dr_events.evidence.files import time_in
from dr_events.evidence.instants import seconds_of
from dr_events.evidence.outcomes import EXCEPTIONS, Outcome
from dr_events.evidence.pdf_chart import load_chart
from dr_events.evidence.tables import (
    BASELINES,
    LOAD,
    PARTICIPATIONS,
    PERFORMANCE,
    SITES,
    SUMMARY,
    Stream,
)

MOST_SITES, MOST_EXCEPTIONS, MOST_AMENDMENTS = 14, 14, 3
TO_VERIFY = (
    "These pages are for reading. The package of the same event holds every raw row, is signed, "
    "and is verified by python -m dr_events.verify."
)
MARGIN = 16 * mm
# A frame has six points of padding on either side.
WIDTH = A4[0] - 2 * MARGIN - 12
RULE = HexColor("#cbd5e1")
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=8.5, leading=11)
SMALL = ParagraphStyle("small", BODY, fontSize=7, leading=9)
HEADING = ParagraphStyle(
    "heading", BODY, fontName="Helvetica-Bold", fontSize=10.5, spaceBefore=8, spaceAfter=3
)
TITLE = ParagraphStyle("title", BODY, fontName="Helvetica-Bold", fontSize=16, leading=20)


@dataclass(slots=True)
class _Told:
    """What of the stream is told in the two pages."""

    figures: dict[str, Any] = field(default_factory=dict)
    sites: list[Any] = field(default_factory=list)
    load: list[Any] = field(default_factory=list)
    exceptions: list[tuple[Any, datetime | None]] = field(default_factory=list)
    exception_count: int = 0
    # Of the participation whose figures come next.
    non_responsive_at: datetime | None = None
    methods: dict[str, list[Any]] = field(default_factory=dict)
    holidays: set[str] = field(default_factory=set)

    def take(self, stream: Stream) -> None:
        row: Any
        for table, row in stream:
            if table is SUMMARY:
                self.figures[row[0]] = row
            elif table is LOAD:
                self.load.append(row)
            elif table is SITES:
                self.sites.append(row)
            elif table is PARTICIPATIONS:
                self.non_responsive_at = row.non_responsive_at
            elif table is PERFORMANCE:
                self._take_exception(row)
            elif table is BASELINES:
                self._take_baseline(row)

    def _take_exception(self, row: Any) -> None:
        """Also who complied, or left, after it had ignored its limit."""
        if row.outcome in EXCEPTIONS or self.non_responsive_at:
            self.exception_count += 1
            if len(self.exceptions) < MOST_EXCEPTIONS:
                self.exceptions.append((row, self.non_responsive_at))

    def _take_baseline(self, row: Any) -> None:
        """How many were found, and their sum."""
        found = self.methods.setdefault(row.method, [0, 0, 0.0])
        found[0] += 1
        days = (day.partition(":") for day in row.days_excluded.split())
        self.holidays.update(day for day, _, why in days if why == "holiday")
        if row.delivered_kwh is not None:
            found[1] += 1
            found[2] += row.delivered_kwh

    def text(self, name: str, digits: int = 0) -> str:
        row = self.figures.get(name)
        return GAP if row is None or row.value is None else f"{row.value:,.{digits}f}"


def write(target: Path, stream: Stream, *, event: dict[str, Any], terms: Terms, by: str) -> None:
    """Write the two pages of an event to a file."""
    told = _Told()
    told.take(stream)
    page = SimpleDocTemplate(
        str(target),
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=14 * mm,
        bottomMargin=14 * mm,
        title=f"Evidence of {event['name']}",
        author=seal.SOFTWARE["name"],
    )
    page.build([*_first_page(told, event, terms), PageBreak(), *_second_page(told, terms, by)])


def _first_page(told: _Told, event: dict[str, Any], terms: Terms) -> Iterable[Flowable]:
    drill = " (drill)" if event["test"] else ""
    yield Paragraph(_safe(f"{event['name']}{drill}"), TITLE)
    yield Paragraph(_safe(f"Demand-response event {event['external_id'] or event['id']}"), BODY)
    yield Paragraph("What was ordered", HEADING)
    yield _facts(_orders(event))
    yield Paragraph("What happened", HEADING)
    yield _facts(_happenings(told, event))
    yield Paragraph("Load of all sessions in the event", HEADING)
    yield load_chart(told.load, step_s=terms.step_s, period=_period(terms), width=WIDTH)
    yield Paragraph(
        f"Mean of each {terms.interval_minutes} minutes; the event is shaded. Missing readings "
        f"are gaps and add nothing: {told.text('intervals_missing')} of "
        f"{told.text('intervals')} intervals in the event have too little metered to count. "
        f"{_whose_baseline(told, terms)}",
        SMALL,
    )


def _whose_baseline(told: _Told, terms: Terms) -> str:
    """Else the curves would be held against each other, though they are of different cars."""
    if METER_BEFORE.id not in terms.methods:
        return ""
    count, found, _ = told.methods.get(METER_BEFORE.id, (0, 0, 0.0))
    if found == count:
        return ""
    return (
        f"Metered counts all {count:,} sessions; baseline and order, the {found:,} that have one."
    )


def _second_page(told: _Told, terms: Terms, by: str) -> Iterable[Flowable]:
    yield Paragraph("By site", HEADING)
    yield _by_site(told.sites)
    yield Paragraph("Exceptions", HEADING)
    yield _exceptions(told)
    yield Paragraph("Method", HEADING)
    yield _methods(told, terms)
    if told.holidays:
        left_out = ", ".join(sorted(told.holidays))
        yield Paragraph(f"Left out of earlier working days as holidays: {left_out}.", SMALL)
    yield Paragraph("Seal", HEADING)
    yield _facts(_seal(terms, by))


def _orders(event: dict[str, Any]) -> list[tuple[str, str]]:
    scope = ", ".join(f"{one['type']} {one['value'] or ''}".strip() for one in event["targets"])
    said, steps = _limit(event["limit"]), len(event["intervals"])
    return [
        ("Scope", scope),
        ("Limit", f"{said}, first of {steps} steps" if steps else said),
        ("Period", f"{_time(event['starts_at'])} to {_time(event['ends_at']) or 'until ended'}"),
        ("Reason", event["reason"] or GAP),
        ("Declared", f"{_time(event['declared_at'])} by {event['declared_by']}"),
        *_amended(event["amendments"]),
    ]


def _limit(limit: dict[str, Any]) -> str:
    unit = "A per phase" if limit["unit"] == "current" else "W"
    unit = "%" if limit["kind"] == "percent" else unit
    return f"{limit['value']:,} {unit} ({limit['kind'].replace('_', ' ')})"


def _amended(amendments: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The latest; above stands what was ordered in the end."""
    rows = [
        ("Amended", f"{_time(one['at'])} by {one['by']}: {_changes(one['before'], one['after'])}")
        for one in amendments[-MOST_AMENDMENTS:]
    ]
    if more := len(amendments) - len(rows):
        rows.insert(0, ("Amended", f"{more:,} times before these, as the other formats say"))
    return rows


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    return "; ".join(_change(name, before[name], value) for name, value in after.items())


def _change(name: str, before: Any, after: Any) -> str:
    what = name.replace("_", " ")
    if name == "limit":
        return f"{what} {_limit(before)} to {_limit(after)}"
    if name in ("starts_at", "ends_at"):
        return f"{what} {_time(before) or 'open'} to {_time(after) or 'open'}"
    if isinstance(before or after, list | dict):
        return f"{what} changed"
    return f"{what} {_plain_text(before)} to {_plain_text(after)}"


def _plain_text(value: Any) -> str:
    return GAP if value in (None, "") else _cut(str(value))


def _happenings(told: _Told, event: dict[str, Any]) -> list[tuple[str, str]]:
    text = told.text
    outcomes = [f"{text(name)} {name.replace('_', ' ')}" for name in Outcome if _any(told, name)]
    return [
        ("Started, ended", f"{_time(event['activated_at'])}, {_time(event['ended_at'])}"),
        ("All limits gone", _time(event["restored_at"]) or f"not yet ({event['status']})"),
        ("Participations", f"{text('participations')}: {', '.join(outcomes) or 'none'}"),
        ("Reduction", _reduction(told)),
        ("In the hour after", f"{text('rebound_kwh', 2)} kWh above the baseline (-: still below)"),
        ("Time to accepted, complied", _times_taken(told)),
        ("Metered", f"{text('completeness', 1)} % of the sessions' time in the event"),
    ]


def _reduction(told: _Told) -> str:
    ordered, delivered = told.text("ordered_kwh", 2), told.text("delivered_kwh", 2)
    mean, share = told.text("delivered_kw", 1), told.text("performance", 1)
    return f"ordered {ordered} kWh, delivered {delivered} kWh ({mean} kW on average): {share} %"


def _times_taken(told: _Told) -> str:
    p50, p95 = (
        f"{told.text(f'seconds_to_accepted_p{share}', 1)} s and "
        f"{told.text(f'seconds_to_complied_p{share}', 1)} s"
        for share in (50, 95)
    )
    return f"half within {p50}, 95 % within {p95}"


def _any(told: _Told, name: str) -> bool:
    return bool(told.figures.get(name) and told.figures[name].value)


def _by_site(sites: Sequence[Any]) -> Flowable:
    head = ["Site", "Feeder", "Sessions", "Complied", "Exceptions", "Ordered kWh",
            "Delivered kWh", "%", "After kWh"]  # fmt: skip
    shown = sorted(sites, key=lambda row: -(row.ordered_kwh or 0.0))[:MOST_SITES]
    rows = [
        [
            _cut(row.site_name or row.site), _cut(row.feeder), f"{row.participations:,}",
            f"{row.complied:,}", f"{row.exceptions:,}", _number(row.ordered_kwh),
            _number(row.delivered_kwh), _number(row.performance_percent, 1),
            _number(row.rebound_kwh),
        ]
        for row in shown
    ]  # fmt: skip
    if len(sites) > MOST_SITES:
        rest = f"and {len(sites) - MOST_SITES:,} sites with less ordered"
        rows.append([rest, *[""] * (len(head) - 1)])
    return _grid([head, *rows], [36, 20, 16, 17, 19, 18, 20, 11, 0])


def _exceptions(told: _Told) -> Flowable:
    if not told.exceptions:
        return Paragraph(_no_exceptions(told), BODY)
    head = ["Session", "Site", "Outcome", "Reason", "Over the limit kWh"]
    rows = [
        [row.session, row.site, row.outcome.replace("_", " "),
         _why(row.outcome_reason, non_responsive_at), _number(row.over_limit_kwh)]
        for row, non_responsive_at in told.exceptions
    ]  # fmt: skip
    more = told.exception_count - len(told.exceptions)
    if more:
        rows.append([f"and {more:,} more, in the other formats", "", "", "", ""])
    return _grid([head, *rows], [37, 37, 22, 54, 0])


def _why(reason: str, non_responsive_at: datetime | None) -> str:
    if non_responsive_at:
        return f"non-responsive at {_stamp(non_responsive_at.astimezone(UTC))}"
    return _cut(reason.replace("_", " ")) or GAP


def _no_exceptions(told: _Told) -> str:
    if not _any(told, "participations"):
        return "None: no session has taken part."
    if _any(told, Outcome.PENDING):
        pending, all_of_them = told.text(Outcome.PENDING), told.text("participations")
        return f"None so far: {pending} of {all_of_them} participations are still pending."
    return "None: every session complied, was left alone, or left by itself."


def _methods(told: _Told, terms: Terms) -> Flowable:
    head = ["Baseline", "Version", "Grade", "Found for", "Delivered kWh"]
    rows = []
    for id_ in terms.methods:
        count, found, delivered_kwh = told.methods.get(id_, (0, 0, 0.0))
        scope = METHODS[id_].scope
        rows.append(
            [METHODS[id_].title, METHODS[id_].version, terms.grade(id_),
             f"{found:,} of {count:,} {scope}s", _number(delivered_kwh) if found else GAP]
        )  # fmt: skip
    return _grid([head, *rows], [72, 16, 34, 34, 0])


def _seal(terms: Terms, by: str) -> list[tuple[str, str]]:
    head = chain.head()
    key_id, seed = keys.newest()
    return [
        ("Made", f"{_stamp(terms.as_of)} for {by}, software {seal.SOFTWARE['version']}"),
        ("Audit chain", f"{head.position:,} entries, head {head.hash.hex()}"),
        ("Signing key", f"{key_id}, public key {seal.public_key_of(seed)}"),
        ("To verify", TO_VERIFY),
    ]


def _period(terms: Terms) -> tuple[float, float] | None:
    if terms.started_at is None:
        return None
    return seconds_of(terms.started_at), seconds_of(terms.ended_at or terms.as_of)


def _facts(facts: Sequence[tuple[str, str]]) -> Flowable:
    rows = [[Paragraph(_safe(name), SMALL), Paragraph(_safe(text), BODY)] for name, text in facts]
    grid = Grid(rows, colWidths=[34 * mm, WIDTH - 34 * mm], hAlign="LEFT")
    grid.setStyle(TableStyle(_plain(padding=1)))
    return grid


def _grid(rows: Sequence[Sequence[str]], widths_mm: Sequence[float]) -> Flowable:
    """The last column takes what is left."""
    cells = [[Paragraph(_safe(text), SMALL) for text in row] for row in rows]
    fixed = [width * mm for width in widths_mm[:-1]]
    grid = Grid(cells, colWidths=[*fixed, WIDTH - sum(fixed)], repeatRows=1, hAlign="LEFT")
    rules = [("LINEBELOW", (0, 0), (-1, 0), 0.8, RULE), ("LINEBELOW", (0, 1), (-1, -1), 0.3, RULE)]
    grid.setStyle(TableStyle([*rules, *_plain(padding=2)]))
    return grid


def _plain(*, padding: float) -> list[tuple[Any, ...]]:
    whole = ((0, 0), (-1, -1))
    return [
        ("VALIGN", *whole, "TOP"),
        ("TOPPADDING", *whole, padding),
        ("BOTTOMPADDING", *whole, padding),
        ("LEFTPADDING", *whole, 0),
    ]


def _number(value: float | None, digits: int = 2) -> str:
    return GAP if value is None else f"{value:,.{digits}f}"


def _time(text: str | None) -> str:
    at = time_in(text)
    return _stamp(at) if at else ""


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _safe(text: str) -> str:
    return escape(text)
