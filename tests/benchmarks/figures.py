"""A line of the table: what was measured several times, against what, and whether it holds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """How large, and how often."""

    runs: int
    small: int
    fleet: int
    large: int


FULL = Scale(runs=5, small=1_000, fleet=10_000, large=100_000)
QUICK = Scale(runs=5, small=200, fleet=1_000, large=5_000)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: `values` of each run, whose median is held against `at_most` or `at_least`;
    neither for a line that only informs. `ours` and `theirs` are shown beside it."""

    figure: str
    values: Sequence[float]
    unit: str = "×"
    at_most: float | None = None
    at_least: float | None = None
    ours: str = ""
    theirs: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def goal(self) -> str:
        if self.at_most is not None:
            return f"≤ {plain(self.at_most)}{self._suffix}"
        return "" if self.at_least is None else f"≥ {plain(self.at_least)}{self._suffix}"

    @property
    def verdict(self) -> str:
        if self.at_most is None and self.at_least is None:
            return "–"
        over = self.at_most is not None and self.median > self.at_most
        under = self.at_least is not None and self.median < self.at_least
        return "not met" if over or under else "met"

    @property
    def spread(self) -> str:
        low, high = min(self.values), max(self.values)
        return f"{plain(low)} / {plain(self.median)} / {plain(high)}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return self.unit if self.unit in ("×", "%") else f" {self.unit}"

    def row(self) -> str:
        """As a row of a Markdown table."""
        cells = (self.figure, self.ours, self.theirs, self.spread, self.goal, self.verdict)
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| figure | gateway, median | against, median | min / median / max | goal | |\n"
    "|---|---|---|---|---|---|"
)


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    return "\n".join([HEAD, *(line.row() for line in lines)])


def seconds(values: Sequence[float]) -> str:
    """The median of times, with its unit."""
    middle = statistics.median(values)
    return f"{middle:.2f} s" if middle >= 1 else f"{middle * 1000:,.1f} ms"


def rate(values: Sequence[float]) -> str:
    """The median of rates, with its unit."""
    return f"{statistics.median(values):,.0f}/s"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Run by run."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def plain(number: float) -> str:
    """Three digits that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
