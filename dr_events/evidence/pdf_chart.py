"""The load curve as a drawing for the PDF: metered, baseline, and what was ordered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor

from dr_events.evidence.instants import seconds_of, time_of

INK, FAINT, SHADE = HexColor("#1f2937"), HexColor("#cbd5e1"), HexColor("#eef2ff")
METERED, BASELINE, ALLOWED = HexColor("#7c3aed"), HexColor("#64748b"), HexColor("#dc2626")
HEIGHT = 260
LEFT, BOTTOM, TOP = 44, 26, 22
FONT, SIZE = "Helvetica", 7


@dataclass(frozen=True, slots=True)
class _Scale:
    """From seconds and kW to points of the drawing."""

    from_s: float
    to_s: float
    top_kw: float
    width: float
    height: float

    def x(self, at_s: float) -> float:
        share = (at_s - self.from_s) / (self.to_s - self.from_s)
        return LEFT + share * (self.width - LEFT - 6)

    def y(self, kw: float) -> float:
        return BOTTOM + kw / self.top_kw * (self.height - BOTTOM - TOP)


def load_chart(
    rows: Sequence[Any], *, step_s: float, period: tuple[float, float] | None, width: float
) -> Drawing:
    """Rows of the table `load`. The period of the event, in seconds, is shaded; baseline and order
    are of its part of an interval. A gap stays one."""
    drawing = Drawing(width, HEIGHT)
    if not rows:
        drawing.add(String(LEFT, 90, "Nothing was metered.", fontName=FONT, fontSize=9))
        return drawing
    begins_s, ends_s = seconds_of(rows[0].starts_at), seconds_of(rows[-1].starts_at) + step_s
    hours = [_hours_within(period, seconds_of(row.starts_at), step_s) for row in rows]
    curves = {
        "metered": [row.metered_kw for row in rows],
        "baseline": [_kw(row.baseline_kwh, lasts) for row, lasts in zip(rows, hours, strict=True)],
        "baseline less ordered": [
            None if row.baseline_kwh is None else _kw(row.baseline_kwh - row.ordered_kwh, lasts)
            for row, lasts in zip(rows, hours, strict=True)
        ],
    }
    most_kw = max((kw for curve in curves.values() for kw in curve if kw is not None), default=0.0)
    scale = _Scale(begins_s, ends_s, _round_up(most_kw), width, HEIGHT)
    _draw_ground(drawing, scale, period)
    colours = (METERED, BASELINE, ALLOWED)
    for number, ((name, curve), colour) in enumerate(zip(curves.items(), colours, strict=True)):
        _draw_curve(drawing, scale, rows, curve, step_s, colour)
        _draw_key(drawing, LEFT + 110 * number, name, colour)
    return drawing


def _hours_within(period: tuple[float, float] | None, from_s: float, step_s: float) -> float:
    """Hours of an interval that are in the event."""
    if period is None:
        return 0.0
    return max(0.0, min(period[1], from_s + step_s) - max(period[0], from_s)) / 3600


def _kw(kwh: float | None, hours: float) -> float | None:
    return None if kwh is None or not hours else kwh / hours


def _round_up(kw: float) -> float:
    """The next of 1, 2, 5, 10, 20, …"""
    if kw <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(kw))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= kw)


def _draw_ground(drawing: Drawing, scale: _Scale, period: tuple[float, float] | None) -> None:
    if period:
        start_x = scale.x(max(period[0], scale.from_s))
        end_x = scale.x(min(max(period[1], scale.from_s), scale.to_s))
        high = scale.height - BOTTOM - TOP
        drawing.add(Rect(start_x, BOTTOM, end_x - start_x, high, fillColor=SHADE, strokeColor=None))
    for share in (0, 0.25, 0.5, 0.75, 1):
        kw = share * scale.top_kw
        y = scale.y(kw)
        drawing.add(Line(LEFT, y, scale.width - 6, y, strokeColor=FAINT, strokeWidth=0.5))
        text = f"{kw:,.0f} kW" if scale.top_kw >= 8 else f"{kw:.1f} kW"
        drawing.add(_text(LEFT - 4, y - 2, text, anchor="end"))
    for at_s in _ticks(scale):
        drawing.add(Line(scale.x(at_s), BOTTOM, scale.x(at_s), BOTTOM - 3, strokeColor=INK))
        drawing.add(_text(scale.x(at_s), BOTTOM - 12, f"{time_of(at_s):%H:%M}", anchor="middle"))
    drawing.add(_text(LEFT - 4, BOTTOM - 12, "UTC", anchor="end"))


def _ticks(scale: _Scale) -> Iterator[float]:
    lasts_s = scale.to_s - scale.from_s
    step_s = next((s for s in (900, 1800, 3600, 7200, 14400) if lasts_s / s <= 12), 86400)
    at_s = math.ceil(scale.from_s / step_s) * step_s
    while at_s <= scale.to_s:
        yield at_s
        at_s += step_s


def _draw_curve(
    drawing: Drawing,
    scale: _Scale,
    rows: Sequence[Any],
    curve: Sequence[float | None],
    step_s: float,
    colour: Color,
) -> None:
    """Steps, one an interval; broken where there is nothing."""
    points: list[float] = []
    for row, kw in zip(rows, curve, strict=True):
        if kw is None:
            _draw_line(drawing, points, colour)
            points = []
            continue
        at_s = seconds_of(row.starts_at)
        points += [scale.x(at_s), scale.y(kw), scale.x(at_s + step_s), scale.y(kw)]
    _draw_line(drawing, points, colour)


def _draw_line(drawing: Drawing, points: list[float], colour: Color) -> None:
    if points:
        drawing.add(PolyLine(points, strokeColor=colour, strokeWidth=1.4))


def _draw_key(drawing: Drawing, x: float, name: str, colour: Color) -> None:
    drawing.add(Line(x, HEIGHT - 9, x + 14, HEIGHT - 9, strokeColor=colour, strokeWidth=2))
    drawing.add(_text(x + 18, HEIGHT - 11.5, name))


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> String:
    return String(x, y, text, fontName=FONT, fontSize=SIZE, fillColor=INK, textAnchor=anchor)
