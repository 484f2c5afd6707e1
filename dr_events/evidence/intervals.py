"""From meter readings to intervals. Pure.

Between two readings that are at most MAX_GAP_S apart the power runs in a straight line from one
to the other (trapezoid rule), so the energy of the intervals adds up to that of the curve however
it is cut. A longer silence is a gap: it has no power, no energy, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from dr_events.evidence.instants import floor_to

# eDRV reports about every 30 s: five reports lost in a row are a gap.
MAX_GAP_S = 150.0
# An interval of which less was metered counts as missing.
MINIMUM_COMPLETENESS_PERCENT = 90.0


class ReadingType(StrEnum):
    """As OpenADR 3.1 has it: the meter's power, or watts worked out from amperes."""

    DIRECT = "direct"
    ESTIMATED = "estimated"


class Quality(StrEnum):
    OK = "ok"
    MISSING = "missing"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Reading:
    """One energy report. `watts_per_ampere` turns amperes into watts (V × phases) where it told
    no power."""

    at_s: float
    power_w: float | None
    current_a: float | None = None
    watts_per_ampere: float = 0.0

    @property
    def value_w(self) -> float | None:
        if self.power_w is None and self.current_a is not None:
            return self.current_a * self.watts_per_ampere
        return self.power_w

    @property
    def is_estimated(self) -> bool:
        return self.power_w is None

    @property
    def is_bad(self) -> bool:
        """No meter of a charging car can say so: a negative draw, or no number."""
        value_w = self.value_w
        return value_w is not None and not (math.isfinite(value_w) and value_w >= 0)


@dataclass(frozen=True, slots=True)
class Piece:
    """A straight stretch of the power curve."""

    from_s: float
    to_s: float
    from_w: float
    to_w: float
    is_estimated: bool

    def energy_ws(self, start_s: float, end_s: float) -> float:
        """Watt-seconds between two instants inside it."""
        return (self._power_w(start_s) + self._power_w(end_s)) / 2 * (end_s - start_s)

    def _power_w(self, at_s: float) -> float:
        share = (at_s - self.from_s) / (self.to_s - self.from_s)
        return self.from_w + (self.to_w - self.from_w) * share


@dataclass(frozen=True, slots=True)
class Curve:
    """What was metered of one session: pieces in the order of time, and when readings were bad."""

    pieces: tuple[Piece, ...]
    bad_at_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """What was metered from `start_s` to `end_s` (exclusive). `energy_wh` is that of the covered
    seconds alone; `power_w` their mean; both None where nothing is covered."""

    start_s: float
    end_s: float
    covered_s: float
    energy_wh: float | None
    power_w: float | None
    reading_type: ReadingType | None
    quality: Quality

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def completeness_percent(self) -> float:
        return min(100.0, 100 * self.covered_s / self.length_s)

    @property
    def is_ok(self) -> bool:
        return self.quality is Quality.OK


def curve_of(readings: Iterable[Reading]) -> Curve:
    """The power curve through readings in the order of their times. A reading that told neither
    power nor current, or a bad one, is as if it had not come."""
    pieces: list[Piece] = []
    bad_at_s: list[float] = []
    before: Reading | None = None
    before_w = 0.0
    for reading in readings:
        value_w = reading.value_w
        if value_w is None:
            continue
        if reading.is_bad:
            bad_at_s.append(reading.at_s)
            continue
        if before and 0 < reading.at_s - before.at_s <= MAX_GAP_S:
            estimated = before.is_estimated or reading.is_estimated
            pieces.append(Piece(before.at_s, reading.at_s, before_w, value_w, estimated))
        before, before_w = reading, value_w
    return Curve(tuple(pieces), tuple(bad_at_s))


def cuts_between(
    start_s: float, end_s: float, *, step_s: float, also: Sequence[float] = ()
) -> list[float]:
    """The edges of intervals from `start_s` to `end_s`: the grid's, and `also` some others."""
    edges = {start_s, end_s, *(at_s for at_s in also if start_s < at_s < end_s)}
    at_s = floor_to(start_s, step_s) + step_s
    while at_s < end_s:
        edges.add(at_s)
        at_s += step_s
    return sorted(edges) if end_s > start_s else []


def intervals_of(curve: Curve, edges: Sequence[float]) -> Iterator[Interval]:
    """The curve cut at these edges, which are in order."""
    index = 0
    for start_s, end_s in pairwise(edges):
        while index < len(curve.pieces) and curve.pieces[index].to_s <= start_s:
            index += 1
        yield _interval(curve, index, start_s, end_s)


def _interval(curve: Curve, index: int, start_s: float, end_s: float) -> Interval:
    covered_s = energy_ws = 0.0
    estimated = False
    for piece in _pieces_from(curve.pieces, index, end_s):
        from_s, to_s = max(piece.from_s, start_s), min(piece.to_s, end_s)
        if to_s > from_s:
            covered_s += to_s - from_s
            energy_ws += piece.energy_ws(from_s, to_s)
            estimated = estimated or piece.is_estimated
    if not covered_s:
        quality = _quality(curve, start_s, end_s, 0.0)
        return Interval(start_s, end_s, 0.0, None, None, None, quality)
    return Interval(
        start_s,
        end_s,
        covered_s,
        energy_ws / 3600,
        energy_ws / covered_s,
        ReadingType.ESTIMATED if estimated else ReadingType.DIRECT,
        _quality(curve, start_s, end_s, covered_s),
    )


def _pieces_from(pieces: Sequence[Piece], index: int, end_s: float) -> Iterator[Piece]:
    while index < len(pieces) and pieces[index].from_s < end_s:
        yield pieces[index]
        index += 1


def _quality(curve: Curve, start_s: float, end_s: float, covered_s: float) -> Quality:
    if any(start_s <= at_s < end_s for at_s in curve.bad_at_s):
        return Quality.BAD
    enough = 100 * covered_s >= MINIMUM_COMPLETENESS_PERCENT * (end_s - start_s)
    return Quality.OK if enough else Quality.MISSING


def energy_wh(curve: Curve, start_s: float, end_s: float) -> float | None:
    """The metered energy between two instants; None where nothing was metered."""
    found = next(intervals_of(curve, [start_s, end_s])) if end_s > start_s else None
    return found.energy_wh if found else None
