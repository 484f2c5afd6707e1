"""A circuit in SQL is the one that the models have."""

import itertools

import pytest

from chargers import circuits, sql
from chargers.models import Connector
from tests.fleet import make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

_CIRCUIT = f"""
    SELECT {circuits.VOLTAGE_V} AS voltage_v, {circuits.PHASES} AS phases
      FROM chargers_session AS session {circuits.JOINS}
     WHERE session.id = %s
"""


@pytest.mark.parametrize("power_type", Connector.PowerType.values)
def test_volts_and_phases_are_the_same_in_sql(power_type):
    site = make_site(voltage_v=240)
    for phases, max_power_w, voltage_v in itertools.product(
        (None, 1, 2, 3), (None, 0.0, 9_999.0, 10_000.0), (None, 277.0)
    ):
        connector = make_connector(
            make_station(site), power_type=power_type, phases=phases, max_power_w=max_power_w,
            voltage_v=voltage_v,
        )  # fmt: skip

        (found,) = sql.rows(_CIRCUIT, [make_session(connector).pk])

        circuit = connector.circuit()
        assert (found["voltage_v"], found["phases"]) == (circuit.voltage_v, circuit.phases)
