"""Answers and the errors they stand for: what to do next is in the error."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from chargers.edrv import calls, errors
from chargers.edrv.calls import Endpoint
from chargers.electricity import Limit, Unit

HTML = b"<html><body><h1>502 Bad Gateway</h1>nginx</body></html>"
ENVELOPE = b'{"ok":false,"message":"jwt expired","result":null}'


@pytest.mark.parametrize(
    ("status", "body", "error", "retryable", "ambiguous", "provider_down"),
    [
        (400, ENVELOPE, errors.Refused, False, False, False),
        (422, ENVELOPE, errors.Refused, False, False, False),
        (401, ENVELOPE, errors.Unauthorized, True, False, True),
        (403, ENVELOPE, errors.Unauthorized, True, False, True),
        (404, ENVELOPE, errors.NotFound, False, False, False),
        (408, ENVELOPE, errors.ProviderUnreachable, True, True, True),
        (409, ENVELOPE, errors.Conflict, True, False, False),
        (429, ENVELOPE, errors.RateLimited, True, False, True),
        (500, ENVELOPE, errors.ProviderFailed, True, True, True),
        (502, HTML, errors.ProviderFailed, True, True, True),
        (302, b"", errors.ProviderFailed, True, True, True),
        # A load balancer without a backend says nothing about a session or a unit.
        (404, HTML, errors.ProviderFailed, True, True, True),
        (400, b"", errors.ProviderFailed, True, True, True),
        # Nor does an API gateway that has no route just now: Kong, AWS, Azure.
        (
            404,
            b'{"message":"no Route matched with those values"}',
            errors.ProviderFailed,
            True,
            True,
            True,
        ),
        (404, b'{"message":"Not Found"}', errors.ProviderFailed, True, True, True),
        (
            404,
            b'{"statusCode":404,"message":"Resource not found"}',
            errors.ProviderFailed,
            True,
            True,
            True,
        ),
        (404, b"[]", errors.ProviderFailed, True, True, True),
        (401, HTML, errors.Unauthorized, True, False, True),
        (429, b"", errors.RateLimited, True, False, True),
        # A captive portal or a proxy's maintenance page may well say 200.
        (200, HTML, errors.ProviderFailed, True, True, True),
        (200, b"", errors.ProviderFailed, True, True, True),
        (200, b"[]", errors.ProviderFailed, True, True, True),
        (200, b'{"ok":true,"message":"","result":{}}', errors.ProviderFailed, True, True, True),
        (200, b'{"ok":true,"message":"","result":null}', errors.ProviderFailed, True, True, True),
        (200, ENVELOPE, errors.Refused, False, False, False),
        (200, b'{"ok":"false","message":"no"}', errors.Refused, False, False, False),
    ],
)
def test_an_answer_that_is_no_action_says_what_to_do_next(
    status, body, error, retryable, ambiguous, provider_down
):
    with pytest.raises(error) as raised:
        calls.read_action_answer(status, {}, body)

    assert raised.value.retryable is retryable
    assert raised.value.ambiguous is ambiguous
    assert raised.value.provider_down is provider_down


@pytest.mark.parametrize("status", [403, 404, 405, 410, 501])
@pytest.mark.parametrize("body", [ENVELOPE, b"<html>Cannot GET /v1.1/actions/a1</html>", b""])
def test_a_look_at_an_action_that_no_server_knows_is_no_sign_of_trouble(status, body):
    with pytest.raises(errors.NotFound) as raised:
        calls.read_action_look(status, {}, body)

    assert not raised.value.retryable
    assert not raised.value.provider_down


def test_an_error_shows_what_edrv_said():
    with pytest.raises(errors.Unauthorized, match="unauthorized: HTTP 401: jwt expired"):
        calls.read_answer(401, {}, ENVELOPE)
    with pytest.raises(errors.ProviderFailed, match="502 Bad Gateway"):
        calls.read_answer(502, {}, HTML)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("99999999999999", 300.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("soon", None),
        (None, None),
        ("nan", None),
    ],
)
def test_retry_after_is_read_in_seconds(header, seconds):
    assert calls.read_retry_after(header) == seconds


def test_retry_after_is_read_as_a_date():
    until = datetime.now(UTC) + timedelta(seconds=90)

    assert calls.read_retry_after(format_datetime(until, usegmt=True)) == pytest.approx(90, abs=2)


def test_a_rate_limit_carries_its_retry_after():
    with pytest.raises(errors.RateLimited) as raised:
        calls.read_answer(429, {"Retry-After": "12"}, ENVELOPE)

    assert raised.value.retry_after_s == 12


def test_the_message_of_a_success_means_nothing():
    body = b'{"ok":true,"message":"Chargestation Set Default Power Requested","result":[1]}'

    assert calls.read_answer(201, {}, body) == [1]


def test_an_id_stays_one_segment_of_the_path():
    assert calls.get_session("../admin?x=1#y").path == "/sessions/..%2Fadmin%3Fx%3D1%23y"


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("POST", "", b'{"unit":"current","limit":16.5}'),
        ("PATCH", "", b'{"unit":"current","limit":16.5}'),
        ("GET", "?unit=current&limit=16.5", None),
    ],
)
def test_a_limit_is_said_where_the_verb_has_room_for_it(method, query, body):
    endpoint = Endpoint("https://api.edrv.io/v1.1", "key", command_method=method)

    call = calls.set_power_limit(endpoint, "s?1", Limit(Unit.CURRENT, 16.5))

    assert call == calls.Call(method, f"/sessions/s%3F1/set_power_limit{query}", body)


def test_the_api_key_is_not_shown():
    assert "sesame" not in repr(Endpoint("https://api.edrv.io/v1.1", "sesame"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"ok":true,"message":"","result":{"_id":"a1","status":"requested"}}',
        b'{"ok":true,"result":{"action":{"_id":"a1","status":"requested"}}}',
        b'{"ok":true,"result":"a1"}',
        b'{"_id":"a1","status":"requested"}',
    ],
)
def test_an_action_is_found_however_it_is_wrapped(body):
    action = calls.read_action_answer(200, {}, body)

    assert (action.id, action.status) == ("a1", "requested")


@pytest.mark.parametrize(
    ("body", "has_next"),
    [
        (b'{"ok":true,"result":[{"_id":"s1"}],"hasNext":true}', True),
        (b'{"ok":true,"result":{"docs":[{"_id":"s1"}],"hasNextPage":false}}', False),
        (b'{"ok":true,"result":[{"_id":"s1"}]}', None),
        (b'[{"_id":"s1"}]', None),
    ],
)
def test_a_page_is_found_however_it_is_wrapped(body, has_next):
    page = calls.read_page(200, {}, body)

    assert (page.items, page.has_next) == ([{"_id": "s1"}], has_next)


def test_an_answer_may_hold_what_only_javascript_takes_for_json():
    """Half of a surrogate pair in one name must not keep a whole fleet from being read."""
    page = calls.read_page(200, {}, b'{"ok":true,"result":[{"_id":"s1","name":"caf\\ud83d"}]}')

    assert page.items == [{"_id": "s1", "name": "caf?"}]
