"""The examples of eDRV's page on Real Time Session Power Management, byte for byte.

The page shows JavaScript-like objects (`unit: 'power'`); what goes out is the same as JSON.
"""

from datetime import UTC, datetime

import orjson
import pytest

from chargers.edrv import calls, payloads
from chargers.edrv.calls import Endpoint
from chargers.edrv.payloads import ActionStatus
from chargers.electricity import Limit, Unit

ENDPOINT = Endpoint("https://api.edrv.io/v1.1", "key")

SET_RESPONSE = b"""{
    "ok": true,
    "message": "",
    "result": {
        "_id": "630cc5a7b8d8867b16ca6f55",
        "type": "session.set_power_limit",
        "status": "requested",
        "chargestation": "630cbe24c459e97b158e8c23",
        "data": {
            "unit": "current",
            "limit": 40
        },
        "connector": "630cbe25b8d8867b16c9d0b2",
        "createdAt": "2022-08-29T13:56:55.140Z",
        "updatedAt": "2022-08-29T13:56:55.140Z"
    }
}"""

CLEAR_RESPONSE = b"""{
    "ok": true,
    "message": "",
    "result": {
        "_id": "630cc4efb8d8867b16ca693b",
        "type": "session.clear_power_limit",
        "status": "requested",
        "chargestation": "601d3fbd50189514b894676e",
        "data": {},
        "connector": "601d3fbd50189514b8946770",
        "createdAt": "2022-08-29T13:53:51.784Z",
        "updatedAt": "2022-08-29T13:53:51.784Z"
    }
}"""


@pytest.mark.parametrize(
    ("limit", "body"),
    [
        (Limit(Unit.POWER, 75000), b'{"unit":"power","limit":75000}'),
        (Limit(Unit.CURRENT, 40), b'{"unit":"current","limit":40}'),
    ],
)
def test_a_limit_is_set_with_the_page_s_body(limit, body):
    call = calls.set_power_limit(ENDPOINT, "5f0e", limit)

    assert (call.method, call.path) == ("POST", "/sessions/5f0e/set_power_limit")
    assert call.body == body


def test_a_limit_is_cleared_without_a_body():
    call = calls.clear_power_limit(ENDPOINT, "5f0e")

    assert (call.method, call.path) == ("POST", "/sessions/5f0e/clear_power_limit")
    assert call.body is None


def test_the_verb_is_a_setting():
    endpoint = Endpoint("https://api.edrv.io/v1.1", "key", command_method="PUT")

    assert calls.set_power_limit(endpoint, "5f0e", Limit(Unit.POWER, 1)).method == "PUT"
    assert calls.clear_power_limit(endpoint, "5f0e").method == "PUT"


@pytest.mark.parametrize(
    ("body", "action"),
    [
        (
            SET_RESPONSE,
            payloads.Action(
                id="630cc5a7b8d8867b16ca6f55",
                type="session.set_power_limit",
                status=ActionStatus.REQUESTED,
                updated_at=datetime(2022, 8, 29, 13, 56, 55, 140_000, UTC),
                response_data=None,
            ),
        ),
        (
            CLEAR_RESPONSE,
            payloads.Action(
                id="630cc4efb8d8867b16ca693b",
                type="session.clear_power_limit",
                status=ActionStatus.REQUESTED,
                updated_at=datetime(2022, 8, 29, 13, 53, 51, 784_000, UTC),
                response_data=None,
            ),
        ),
    ],
)
def test_the_page_s_responses_are_read(body, action):
    assert calls.read_action_answer(200, {}, body) == action


@pytest.mark.parametrize("command", ["set_power_limit", "clear_power_limit"])
@pytest.mark.parametrize(
    ("suffix", "status"),
    [
        ("requested", ActionStatus.REQUESTED),
        ("completed", ActionStatus.COMPLETED),
        ("failed", ActionStatus.FAILED),
    ],
)
def test_the_page_s_webhooks_are_read(command, suffix, status):
    action = {**orjson.loads(SET_RESPONSE)["result"], "status": suffix}
    type_ = f"session.{command}.{suffix}"
    delivery = payloads.read_delivery({"_id": "1", "type": type_, "data": action})

    assert payloads.read_action(delivery.data, webhook_type=delivery.type).status is status


def test_power_and_current_of_an_energy_report_are_read():
    session = payloads.read_session(
        {
            "_id": "630cbe24c459e97b158e8c23",
            "energy_report": {
                "power": {"value": 7.2, "unit": "kW"},
                "current": {"value": 31.3, "unit": "A"},
            },
        }
    )

    assert session.report is not None
    assert (session.report.power_w, session.report.current_a) == (7200, 31.3)
