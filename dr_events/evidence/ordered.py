"""What was ordered of a session over time, from its commands. Pure.

A command is one change of the wanted limit, over all running events (ADR 7). Its limit is wanted
from when it was made until the next one is; a clear means that nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """From `from_s` on, at most `limit_w`; None for no limit."""

    from_s: float
    limit_w: float | None


@dataclass(frozen=True, slots=True)
class Ordered:
    """Over an interval: the mean limit while there was one (W), for how many seconds, and the
    mean reduction below a baseline over the whole of the interval (W)."""

    limit_w: float | None
    limited_s: float
    reduction_w: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """One limit (W), from `from_s` to `to_s`."""

    from_s: float
    to_s: float
    limit_w: float

    @property
    def lasts_s(self) -> float:
        return self.to_s - self.from_s


def ordered_in(
    wanted: Sequence[Wanted], start_s: float, end_s: float, *, baseline_w: float | None
) -> Ordered:
    """What was ordered from `start_s` to `end_s`. `wanted` is in the order of time."""
    limited_s = limit_ws = reduction_ws = 0.0
    for one in stretches_in(wanted, start_s, end_s):
        limited_s += one.lasts_s
        limit_ws += one.limit_w * one.lasts_s
        if baseline_w is not None:
            reduction_ws += max(0.0, baseline_w - one.limit_w) * one.lasts_s
    return Ordered(
        limit_ws / limited_s if limited_s else None,
        limited_s,
        None if baseline_w is None else reduction_ws / (end_s - start_s),
    )


def stretches_in(wanted: Sequence[Wanted], start_s: float, end_s: float) -> Iterator[Stretch]:
    """Where from `start_s` to `end_s` which limit was wanted; in between, none was."""
    for index, one in enumerate(wanted):
        until_s = wanted[index + 1].from_s if index + 1 < len(wanted) else end_s
        from_s, to_s = max(one.from_s, start_s), min(until_s, end_s)
        if one.limit_w is not None and to_s > from_s:
            yield Stretch(from_s, to_s, one.limit_w)
