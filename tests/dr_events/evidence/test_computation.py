"""Whatever the raw rows are: counts add up, energy integrates, gaps stay gaps."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_events.evidence.computation import Terms, computed
from dr_events.evidence.performance import Part
from dr_events.evidence.tables import (
    COMMANDS,
    INTERVALS,
    LOAD,
    PARTICIPATIONS,
    PERFORMANCE,
    READINGS,
    SITES,
    SUMMARY,
)
from tests.fleet import NOW, later

TERMS = Terms(5, (), (), later(2 * 3600), NOW, later(1200))
STATES = [
    ("confirmed", ""), ("confirmed", "non_responsive"), ("failed", "rejected_by_station"),
    ("unreachable", "no_answer"), ("exempt", "opted_out"), ("ended", "session_ended"),
    ("pending", ""),
]  # fmt: skip

readings = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.one_of(st.none(), st.floats(0, 22_000), st.just(-1.0)),
        st.one_of(st.none(), st.floats(0, 32)),
    ),
    max_size=60,
)
limits = st.lists(
    st.tuples(st.integers(0, 1300), st.one_of(st.none(), st.floats(0, 22_000))), max_size=4
)


@st.composite
def parts(draw):
    found = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        state, reason = draw(st.sampled_from(STATES))
        joined_s = draw(st.integers(0, 900))
        at_s, told = joined_s - 900, []
        for step_s, power_w, current_a in draw(readings):
            at_s += step_s
            told.append(READINGS.row(number, later(at_s), power_w, current_a, None))
        commands = [
            COMMANDS.row(
                number, index, index, "clear" if value is None else "set",
                "" if value is None else "power", value, "", "accepted", "", later(at),
                None, None, None,
            )
            for index, (at, value) in enumerate(sorted(draw(limits), key=lambda one: one[0]))
        ]  # fmt: skip
        row = PARTICIPATIONS.row(**{
            **dict.fromkeys(PARTICIPATIONS.names), "participation": number,
            "session": f"s{number}", "site": f"site {number % 2}", "site_timezone": "Europe/Berlin",
            "voltage_v": 230.0, "phases": 3, "state": state, "reason": reason,
            "joined_at": later(joined_s), "joined_late": joined_s > 0, "released_at": later(1200),
            "complied_at": draw(st.sampled_from([None, later(1000)])),
            "session_started_at": later(-3600),
        })  # fmt: skip
        found.append(Part(row, commands, [], told))
    return found


def tables_of(found):
    rows = {}
    for table, row in computed(TERMS, found, lambda *_: []):
        rows.setdefault(table, []).append(row)
    return rows


def total(rows, name):
    return sum(getattr(row, name) or 0.0 for row in rows)


@pytest.mark.parametrize(
    ("planned_s", "ended_s", "as_of_s", "over_s"),
    [
        (3600, 3600.7, 9000, 3600),  # by itself: the sweep comes a moment later
        (3600, 3660.0, 9000, 3600),
        (3600, 3660.1, 9000, 3660.1),  # the gateway was down: the limits stood until then
        (3600, 1800.0, 9000, 1800),  # by a person, before its time
        (None, 1800.0, 9000, 1800),
        (3600, None, 1800, 1800),  # still on
        (3600, None, 3600.3, 3600),  # and about to be swept
        (10, 70.0, 9000, 10),
    ],
)
def test_an_event_is_over_when_it_was_to_end_or_when_it_was_ended(
    planned_s, ended_s, as_of_s, over_s
):
    planned, ended = (None if at_s is None else later(at_s) for at_s in (planned_s, ended_s))
    terms = replace(TERMS, as_of=later(as_of_s), ended_at=ended, ends_at=planned)

    occasion = terms.occasion("UTC")

    assert (occasion.start_s, occasion.end_s) == (NOW.timestamp(), later(over_s).timestamp())


def test_an_event_that_began_after_its_own_end_is_no_occasion():
    terms = replace(TERMS, started_at=later(20), ends_at=later(10), ended_at=later(21))

    assert terms.occasion("UTC") is None


@settings(max_examples=150, deadline=None)
@given(parts())
def test_everything_adds_up_from_the_rows(found):
    rows = tables_of(found)
    performance, sites = rows.get(PERFORMANCE, []), rows.get(SITES, [])
    summary = {row.figure: row.value for row in rows[SUMMARY]}

    outcomes = [row.outcome for row in performance]
    assert summary["participations"] == len(found) == sum(row.participations for row in sites)
    assert all(summary[name] == outcomes.count(name) for name in set(outcomes))
    for name in ("ordered_kwh", "metered_kwh", "delivered_kwh", "deficiency_kwh", "rebound_kwh"):
        assert total(performance, name) == pytest.approx(summary[name] or 0.0, abs=1e-5)
        assert total(sites, name) == pytest.approx(summary[name] or 0.0, abs=1e-5)
    for name in ("ordered_kwh", "delivered_kwh", "deficiency_kwh", "baseline_kwh"):
        assert total(rows.get(LOAD, []), name) == pytest.approx(total(performance, name), abs=1e-4)


@settings(max_examples=150, deadline=None)
@given(parts())
def test_energy_of_the_event_is_that_of_its_intervals_and_no_gap_is_a_zero(found):
    rows = tables_of(found)

    for row in rows.get(PERFORMANCE, []):
        mine = [one for one in rows[INTERVALS] if one.participation == row.participation]
        event = [one for one in mine if one.phase == "event"]
        assert total(event, "energy_wh") / 1000 == pytest.approx(row.metered_kwh or 0.0, abs=1e-4)
        assert (row.metered_kwh is None) == all(one.energy_wh is None for one in event)
        assert row.intervals == len(event)
        for one in mine:
            assert (one.energy_wh is None) == (one.completeness_percent == 0)
            assert (one.metered_w is None) == (one.quality != "ok")
            assert one.ends_at - one.starts_at <= timedelta(minutes=5)
        assert all(a.ends_at == b.starts_at for a, b in pairwise(mine))
