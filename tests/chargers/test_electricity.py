"""Watts, amperes and what the pilot can signal."""

import pytest

from chargers.electricity import BelowMinimum, Circuit, Limit, Unit
from chargers.models import circuit_of

POWER, CURRENT = Unit.POWER, Unit.CURRENT
ONE_PHASE = Circuit(230, 1, 32)
THREE_PHASES = Circuit(230, 3, 32)
US_SPLIT = Circuit(240, 1, 48)
DC = Circuit(230, 3, 220, is_dc=True)


@pytest.mark.parametrize(
    ("circuit", "limit", "watts"),
    [
        (ONE_PHASE, Limit(POWER, 4200), 4200),
        (ONE_PHASE, Limit(CURRENT, 16), 3680),
        (THREE_PHASES, Limit(CURRENT, 16), 11040),
        (US_SPLIT, Limit(CURRENT, 40), 9600),
    ],
)
def test_watts_are_amperes_times_volts_times_phases(circuit, limit, watts):
    assert circuit.watts(limit) == watts


@pytest.mark.parametrize(
    ("circuit", "limit", "unit", "sent"),
    [
        (THREE_PHASES, Limit(POWER, 4200), CURRENT, 6.0),  # 6.087 A, rounded down
        (ONE_PHASE, Limit(POWER, 4200), CURRENT, 18.2),  # 18.26 A
        (ONE_PHASE, Limit(POWER, 75000), CURRENT, 32.0),  # the connector's maximum
        (THREE_PHASES, Limit(CURRENT, 6), POWER, 4140),
        (THREE_PHASES, Limit(POWER, 4200.7), POWER, 4200),
        (Circuit(230), Limit(CURRENT, 70), CURRENT, 70.0),  # no maximum is known
        (ONE_PHASE, Limit(CURRENT, 6), CURRENT, 6.0),
        (ONE_PHASE, Limit(POWER, 0), CURRENT, 0.0),
    ],
)
def test_a_limit_is_sent_in_either_unit_and_never_allows_more(circuit, limit, unit, sent):
    converted = circuit.in_unit(limit, unit)

    assert converted == Limit(unit, sent)
    assert circuit.watts(converted) <= circuit.watts(limit)


@pytest.mark.parametrize(
    ("circuit", "limit", "below_minimum", "signalled"),
    [
        (THREE_PHASES, Limit(POWER, 4140), BelowMinimum.PAUSE, Limit(POWER, 4140)),
        (THREE_PHASES, Limit(POWER, 4139), BelowMinimum.PAUSE, Limit(POWER, 0)),
        (THREE_PHASES, Limit(POWER, 4139), BelowMinimum.MINIMUM, Limit(POWER, 4140)),
        (ONE_PHASE, Limit(CURRENT, 5.9), BelowMinimum.PAUSE, Limit(CURRENT, 0)),
        (ONE_PHASE, Limit(CURRENT, 5.9), BelowMinimum.MINIMUM, Limit(CURRENT, 6)),
        (ONE_PHASE, Limit(CURRENT, 0), BelowMinimum.MINIMUM, Limit(CURRENT, 0)),
        (DC, Limit(POWER, 100), BelowMinimum.PAUSE, Limit(POWER, 100)),
    ],
)
def test_ac_is_never_asked_for_anything_between_zero_and_six_amperes(
    circuit, limit, below_minimum, signalled
):
    assert circuit.signalled(limit, below_minimum) == signalled


@pytest.mark.parametrize("voltage_v", [208, 229.7, 230, 239.6, 240, 277])
@pytest.mark.parametrize("phases", [1, 2, 3])
def test_the_minimum_survives_its_way_through_both_units(voltage_v, phases):
    circuit = Circuit(voltage_v, phases, 32)

    minimum = circuit.signalled(Limit(POWER, 1), BelowMinimum.MINIMUM)

    assert circuit.in_unit(minimum, CURRENT).value == 6.0
    assert circuit.amperes(circuit.in_unit(minimum, POWER)) >= 6.0


def test_a_limit_shows_itself_as_edrv_writes_it():
    assert Limit(POWER, 75000).as_json() == {"unit": "power", "value": 75000}
    assert Limit(CURRENT, 16.5).as_json() == {"unit": "current", "value": 16.5}
    assert str(Limit(POWER, 0)) == "pause (0)"


@pytest.mark.parametrize("voltage_v", [230.94, 239.6, 237.5])
def test_six_amperes_stay_six_amperes_in_watts(voltage_v):
    circuit = Circuit(voltage_v)

    sent = circuit.in_unit(Limit(CURRENT, 6), POWER)

    assert 6.0 <= circuit.amperes(sent) < 6.002


@pytest.mark.parametrize(
    ("power_type", "max_power_w", "phases", "max_current_a"),
    [
        ("ac_3_phase", 22_000, 3, 32),
        ("ac_3_phase", 11_000, 3, 16),
        ("ac_1_phase", 7_400, 1, 32),
        # Of an unknown kind, small ones have one phase.
        ("unknown", 3_700, 1, 16),
        (None, 11_000, 3, 16),
        (None, None, 3, None),
        ("ac_3_phase", -5, 3, None),
    ],
)
def test_a_circuit_is_made_of_what_edrv_tells(power_type, max_power_w, phases, max_current_a):
    circuit = circuit_of(
        power_type=power_type,
        phases=None,
        voltage_v=230,
        max_current_a=None,
        max_power_w=max_power_w,
    )

    assert (circuit.phases, circuit.max_current_a) == (phases, max_current_a)


def guessed(power_type, max_power_w, voltage_v=230, phases=None, max_current_a=None):
    return circuit_of(
        power_type=power_type,
        phases=phases,
        voltage_v=voltage_v,
        max_current_a=max_current_a,
        max_power_w=max_power_w,
    )


@pytest.mark.parametrize(
    ("circuit", "amperes", "watts"),
    [
        (THREE_PHASES, 32, 22_080),
        (US_SPLIT, 48, 11_520),
        (Circuit(230), 80, 55_200),
        (guessed("ac_3_phase", 22_000), 32, 22_080),
        # Of unknown phases, all of it may be on one: SAE J1772, 80 A at 240 V.
        (guessed("unknown", 19_200, voltage_v=240), 80, 57_600),
        (guessed("unknown", 22_000), 96, 66_240),
        (guessed("unknown", 19_200, voltage_v=240, phases=3), 27, 19_440),
        (guessed("unknown", 19_200, max_current_a=30), 30, 20_700),
        # The volts of DC are the car's.
        (guessed("dc", 400_000), 500, 500_000),
        (guessed("dc", 50_000, max_current_a=125), 125, 125_000),
    ],
)
def test_what_is_to_end_a_limit_holds_nothing_back_whatever_is_not_known(circuit, amperes, watts):
    assert circuit.unlimited(CURRENT) == Limit(CURRENT, amperes)
    assert circuit.unlimited(POWER) == Limit(POWER, watts)


def test_a_guess_of_three_phases_is_planned_with_all_the_same():
    circuit = guessed("unknown", 19_200, voltage_v=240)

    assert (circuit.phases, circuit.everything) == (3, Limit(CURRENT, 27))
    assert circuit.in_unit(Limit(POWER, 7200), CURRENT) == Limit(CURRENT, 10)
