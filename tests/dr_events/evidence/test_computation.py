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


# --- single figures, by hand -------------------------------------------------------------------


def told(commands, told_readings, *, joined_s=0, released_s=1200, **changes):
    """A participation: its limits in W by the second (None: a clear), its readings (second, W)."""
    row = PARTICIPATIONS.row(**{
        **dict.fromkeys(PARTICIPATIONS.names), "participation": 1, "session": "s", "site": "site",
        "site_timezone": "UTC", "voltage_v": 230.0, "phases": 3, "state": "confirmed", "reason": "",
        "joined_at": later(joined_s), "joined_late": False, "released_at": later(released_s),
        "session_started_at": later(-7200), **changes,
    })  # fmt: skip
    ordered = [
        COMMANDS.row(
            1, index, index, "clear" if value is None else "set",
            "" if value is None else "power", value, "", "accepted", "", later(at_s), None, None,
            None,
        )
        for index, (at_s, value) in enumerate(commands)
    ]  # fmt: skip
    metered = [READINGS.row(1, later(at_s), power_w, None, None) for at_s, power_w in told_readings]
    return Part(row, ordered, [], metered)


def drawing(*stretches, every_s=30):
    """Readings of a constant draw in each stretch: (from, to, W), the last second included."""
    return [
        (at_s, power_w)
        for from_s, to_s, power_w in stretches
        for at_s in (*range(from_s, to_s, every_s), to_s)
    ]


def figures(part, **terms):
    rows = {}
    for table, row in computed(replace(TERMS, **terms), [part], lambda *_: []):
        rows.setdefault(table, []).append(row)
    return rows


# A limit of 4 kW for the first half of a five-minute interval, obeyed to the watt, and none in the
# second.
HALF_AN_INTERVAL = told(
    [(0, 4000.0), (150, None)],
    drawing((-1800, -1, 11_000.0), (0, 150, 4000.0), (151, 1500, 11_000.0)),
)


def test_what_is_drawn_after_a_limit_is_not_over_it():
    (row,) = figures(HALF_AN_INTERVAL)[PERFORMANCE]

    assert row.over_limit_kwh == 0


def test_what_is_drawn_over_one_limit_is_not_made_good_under_another():
    part = told([(0, 4000.0), (100, 8000.0)], drawing((-1800, -1, 11_000.0), (0, 1200, 6000.0)))

    (row,) = figures(part)[PERFORMANCE]

    # 2 kW above the first limit, for 100 s; then 2 kW under the second.
    assert row.over_limit_kwh == pytest.approx(2 * 100 / 3600, abs=1e-6)


def test_a_package_of_the_first_edition_is_computed_as_it_was_then():
    (row,) = figures(HALF_AN_INTERVAL, edition=1)[PERFORMANCE]

    # The mean over the interval is 7,488 W: half of it at 4 kW, a line up of a second, 11 kW.
    mean_w = (150 * 4000 + 7500 + 149 * 11_000) / 300
    assert row.over_limit_kwh == pytest.approx((mean_w - 4000) * 150 / 3.6e6, abs=1e-6)


# In the event from 18:02 to 18:22, so the first and the last of its intervals are cut.
MID_INTERVAL = told(
    [(120, 4000.0)], drawing((-1800, 5000, 4000.0)), joined_s=120, released_s=1320
)  # fmt: skip


def test_a_session_that_comes_or_goes_inside_an_interval_is_one_session_in_it():
    load = figures(MID_INTERVAL)[LOAD]

    assert {row.sessions for row in load} == {1}
    assert {row.missing for row in load} == {0}


def test_a_session_is_missing_once_from_an_interval_of_which_too_little_was_metered():
    part = told([], drawing((-1800, 0, 4000.0)), joined_s=120, released_s=1320)

    load = {row.starts_at: (row.sessions, row.missing) for row in figures(part)[LOAD]}

    assert load[later(-300)] == (1, 0)
    assert load[NOW] == (1, 1)


def test_the_first_edition_counted_it_in_each_part_of_the_interval():
    load = {row.starts_at: row.sessions for row in figures(MID_INTERVAL, edition=1)[LOAD]}

    assert (load[NOW], load[later(300)], load[later(1200)]) == (2, 1, 2)


def registered(*told_wh):
    """The register at 0, 300, 600… seconds, Wh."""
    part = told([(0, 4000.0)], [])
    readings = [
        READINGS.row(1, later(300 * index), 4000.0, None, wh) for index, wh in enumerate(told_wh)
    ]
    return replace(part, readings=readings)


@pytest.mark.parametrize(
    ("told_wh", "edition", "counted_kwh"),
    [
        ((1000.0, 1500.0, None, 2500.0), 2, 1.5),
        ((1000.0, 1000.0), 2, 0.0),
        ((1000.0,), 2, None),
        ((1000.0, 900.0), 2, None),
        # Another meter since 18:10: what it has counted is not the difference.
        ((1000.0, 5000.0, 100.0, 1100.0), 2, None),
        ((1000.0, 5000.0, 100.0, 1100.0), 1, 0.1),
    ],
)
def test_a_register_that_ever_ran_backwards_tells_nothing(told_wh, edition, counted_kwh):
    (row,) = figures(registered(*told_wh), edition=edition)[PERFORMANCE]

    assert row.register_kwh == counted_kwh
