"""Baselines: what would have been drawn without the event. Pure; each method has its source.

Several stand side by side. None is settlement grade unless the program says so: a baseline is an
estimate, and whom it favours depends on the load (CAISO Baseline Accuracy Assessment, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dr_events.evidence.intervals import MINIMUM_COMPLETENESS_PERCENT, Curve, intervals_of
from dr_events.evidence.ordered import Wanted, ordered_in

BEFORE_S = 600.0


@dataclass(frozen=True, slots=True)
class Method:
    """A named way of finding a baseline. `version` moves when its figures would. Of `earlier`
    versions the rule was the same and defects of its figures were mended since."""

    id: str
    version: str
    scope: str
    title: str
    source: str
    rule: str
    earlier: tuple[str, ...] = ()

    def as_json(self, *, is_settlement_grade: bool) -> dict[str, object]:
        grade = "settlement grade" if is_settlement_grade else "not settlement grade"
        return {
            "id": self.id, "version": self.version, "scope": self.scope, "title": self.title,
            "source": self.source, "rule": self.rule, "grade": grade,
        }  # fmt: skip


METER_BEFORE = Method(
    "meter_before_after",
    "2",
    "session",
    "Meter before / meter after",
    "NAESB WEQ-015, Meter Before / Meter After",
    "The mean power of the ten minutes before the session came into the event, held constant.",
    earlier=("1",),
)
MAXIMUM_BASE_LOAD = Method(
    "maximum_base_load",
    "1",
    "session",
    "Maximum base load",
    "NAESB WEQ-015, Maximum Base Load; PJM's firm service level is one",
    "The limit that was ordered: whatever is metered above it is not delivered.",
)
CAISO_10_IN_10 = Method(
    "caiso_10_in_10",
    "2",
    "site",
    "CAISO 10 in 10, same-day adjustment within 20 %",
    "CAISO Tariff 4.13.4 (ten-in-ten); CAISO Baseline Accuracy Work Group, 2017",
    "The mean of the last 10 days of the same kind within 45 days (4 on weekends and holidays), "
    "times the ratio of the event day to it from 4 hours to 1 hour before the event, from 0.8 to "
    "1.2.",
    earlier=("1",),
)
PJM_HIGH_4_OF_5 = Method(
    "pjm_high_4_of_5",
    "2",
    "site",
    "PJM high 4 of 5, symmetric additive adjustment",
    "PJM Manual 11, section 10.4.2 (customer baseline load); PJM OATT, Attachment K, 3.3A",
    "The mean of the 4 highest of the last 5 days of the same kind within 45 days (2 of 3 on "
    "weekends and holidays), days below a quarter of their mean left out, plus the difference of "
    "the event day to it from 4 hours to 1 hour before the event.",
    earlier=("1",),
)
PJM_SAME_DAY_3_2 = Method(
    "pjm_same_day_3_2",
    "2",
    "site",
    "PJM same day 3 + 2",
    "PJM Manual 11, section 10.4.2 (same day 3 + 2)",
    "The mean of three hours before the event and two after it, the hour on either side of it "
    "skipped.",
    earlier=("1",),
)

METHODS = {
    method.id: method
    for method in (
        METER_BEFORE, MAXIMUM_BASE_LOAD, CAISO_10_IN_10, PJM_HIGH_4_OF_5, PJM_SAME_DAY_3_2,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flat:
    """A baseline that is one power for the whole of the event, W; or why there is none. A
    `caution` stands beside a figure that should be read with care."""

    power_w: float | None
    problem: str = ""
    caution: str = ""


def meter_before(curve: Curve, wanted: Sequence[Wanted], *, joined_s: float) -> Flat:
    """Meter before / meter after (NAESB WEQ-015): demand during the event is compared with demand
    in a period before it; here the mean of the ten minutes before the session came in, which ends
    before its first limit.

    Of the ten minutes 90 % must be metered: nothing is filled. A session that another event held
    in any of them is `limited_before`: its baseline is too low.
    """
    (before,) = intervals_of(curve, [joined_s - BEFORE_S, joined_s])
    if before.completeness_percent < MINIMUM_COMPLETENESS_PERCENT:
        return Flat(None, "not_metered_before")
    held = ordered_in(wanted, joined_s - BEFORE_S, joined_s, baseline_w=None).limited_s > 0
    caution = "limited_before" if held else ""
    return Flat(before.power_w, caution=caution)


def maximum_base_load(wanted: Sequence[Wanted], start_s: float, end_s: float) -> Flat:
    """Maximum base load (NAESB WEQ-015): performance is the ability to stay at or below a level
    of demand; here the mean of the limits that were ordered of the session."""
    if end_s <= start_s:
        return Flat(None, "not_in_the_event")
    limit_w = ordered_in(wanted, start_s, end_s, baseline_w=None).limit_w
    return Flat(limit_w, "" if limit_w is not None else "nothing_ordered")
