"""Everything eDRV's pages contradict each other about is read."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.edrv import payloads
from chargers.edrv.payloads import ActionStatus

ACTION = {"_id": "a1", "type": "session.set_power_limit", "status": "requested"}
FIELDS = [
    "_id", "id", "type", "status", "data", "createdAt", "updatedAt", "metrics", "energy_report",
    "connector", "connectors", "chargestation", "location", "power", "power_type", "timezone",
    "address", "bootInfo", "online", "response_data",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("quantity", "default_unit", "value"),
    [
        ({"value": "16.0", "unit": "A"}, "a", 16.0),
        ({"value": 16, "unit": "A"}, "a", 16.0),
        ({"value": 7.4, "unit": "kW"}, "kw", 7400.0),
        ({"value": "7400", "unit": "W"}, "kw", 7400.0),
        ({"value": 12.5, "unit": "kWh"}, "wh", 12500.0),
        ({"value": 12500, "unit": "Wh"}, "wh", 12500.0),
        ({"value": 80, "unit": "Percent"}, "%", 80.0),
        ({"value": 3, "unit": ""}, "kw", 3000.0),
        (22, "kw", 22000.0),
        ({"value": 3, "unit": "furlong"}, "kw", None),
        ({"value": "n/a", "unit": "kW"}, "kw", None),
        ({"value": "NaN", "unit": "kW"}, "kw", None),
        ({"value": 1e308, "unit": "kW"}, "kw", None),
        ({"value": True, "unit": "kW"}, "kw", None),
        ({"unit": "kW"}, "kw", None),
        (None, "kw", None),
    ],
)
def test_a_quantity_is_read_with_its_unit_or_is_a_gap(quantity, default_unit, value):
    assert payloads.read_quantity(quantity, default_unit=default_unit) == value


@pytest.mark.parametrize(
    ("status", "metrics", "read"),
    [
        ("created", {}, "created"),
        ("Started", {}, "started"),
        ("STARTED", {}, "started"),
        ("Ended", {}, "ended"),
        ("Cancelled", {}, "cancelled"),
        ("SomethingNew", {"chargingStart": "2026-01-01T00:00:00.000Z"}, "started"),
        ("SomethingNew", {"chargingStop": "2026-01-01T00:00:00.000Z"}, "ended"),
        ("SomethingNew", {}, None),
        (None, {}, None),
    ],
)
def test_a_session_s_status_is_read_whatever_its_case(status, metrics, read):
    session = payloads.read_session({"_id": "s", "status": status, "metrics": metrics})

    assert session.status == read


def test_session_ended_says_so_even_where_the_object_lags_behind():
    session = payloads.read_session({"_id": "s", "status": "Started"}, webhook_type="session.ended")

    assert session.status == "ended"


@pytest.mark.parametrize(
    ("status", "webhook_type", "read"),
    [
        ("requested", "", ActionStatus.REQUESTED),
        ("completed", "", ActionStatus.COMPLETED),
        ("Completed", "session.set_power_limit.accepted", ActionStatus.COMPLETED),
        ("completed", "session.set_power_limit.accepted", ActionStatus.COMPLETED),
        ("failed", "session.set_power_limit.rejected", ActionStatus.FAILED),
        # data.status decides; the suffix is what is left where it says nothing known.
        ("completed", "session.set_power_limit.requested", ActionStatus.COMPLETED),
        ("APIRequested", "session.set_power_limit.rejected", ActionStatus.FAILED),
        ("APIRequested", "session.set_power_limit.accepted", ActionStatus.COMPLETED),
        ("APIRequested", "", ActionStatus.REQUESTED),
        (None, "session.clear_power_limit.failed", ActionStatus.FAILED),
    ],
)
def test_both_families_of_webhook_names_are_read(status, webhook_type, read):
    action = payloads.read_action({**ACTION, "status": status}, webhook_type=webhook_type)

    assert action.status is read


@pytest.mark.parametrize(
    ("spelling", "read"),
    [
        ("AC_1_PHASE", "ac_1_phase"),
        ("AC_SINGLE_PHASE", "ac_1_phase"),
        ("AC Single Phase", "ac_1_phase"),
        ("AC_3_PHASE", "ac_3_phase"),
        ("AC Three Phase", "ac_3_phase"),
        ("DC", "dc"),
        ("dc_fast", "dc"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_every_spelling_of_the_power_type_is_read(spelling, read):
    assert payloads.read_power_type(spelling) == read


def test_a_reference_is_an_id_or_a_whole_object():
    by_id = payloads.read_session({"_id": "s", "connector": "c", "chargestation": "st"})
    whole = payloads.read_session(
        {"_id": "s", "connector": {"_id": "c"}, "chargestation": {"_id": "st", "online": True}}
    )

    assert by_id == whole
    assert (whole.connector_id, whole.chargestation_id) == ("c", "st")


def test_a_chargestation_brings_its_connectors():
    station = payloads.read_chargestation(
        {
            "_id": "st",
            "location": {"_id": "loc"},
            "protocol": "ocpp1.6",
            "online": "true",
            "bootInfo": {"chargePointVendor": "ACME", "chargePointModel": "Two"},
            "connectors": [{"_id": "c1", "power_type": "DC", "power": "150"}, "nonsense", {}],
        }
    )

    assert (station.location_id, station.name, station.online) == ("loc", "ACME Two", True)
    assert [c.id for c in station.connectors] == ["c1"]
    assert station.connectors[0].chargestation_id == "st"
    assert station.connectors[0].max_power_w == 150_000


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2022-08-29T13:56:55.140Z", datetime(2022, 8, 29, 13, 56, 55, 140_000, UTC)),
        ("2022-08-29T15:56:55+02:00", datetime(2022, 8, 29, 13, 56, 55, 0, UTC)),
        ("2022-08-29T13:56:55", datetime(2022, 8, 29, 13, 56, 55, 0, UTC)),
        ("2022-08-29T13:56:55.Z140", None),  # as in eDRV's sample of raw reports
        ("yesterday", None),
        (1661781415, datetime(2022, 8, 29, 13, 56, 55, tzinfo=UTC)),
        (1661781415140, datetime(2022, 8, 29, 13, 56, 55, 140000, tzinfo=UTC)),
        (float("nan"), None),
        (True, None),
        (None, None),
    ],
)
def test_times_are_read_as_utc_and_malformed_ones_are_gaps(text, time):
    assert payloads.read_time(text) == time


@pytest.mark.parametrize(
    "read",
    [
        payloads.read_delivery,
        payloads.read_action,
        payloads.read_session,
        payloads.read_chargestation,
        payloads.read_connector,
        payloads.read_location,
    ],
)
@given(payload=json_values | st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_whatever_comes_is_read_or_said_to_be_unreadable(read, payload):
    try:
        found = read(payload)
    except payloads.Unreadable as error:
        found = str(error)

    assert found


@given(st.dictionaries(st.sampled_from(["value", "unit"]), json_values))
def test_a_quantity_is_finite_or_a_gap(quantity):
    value = payloads.read_quantity(quantity, default_unit="kw")

    assert value is None or math.isfinite(value)
