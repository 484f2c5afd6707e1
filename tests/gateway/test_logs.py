"""One JSON object a line, with what an engineer follows and without what nobody may see."""

import logging

import pytest
import structlog

from tests.clients import Api, create_client
from tests.dr_events.story import accept, declare
from tests.fleet import make_session

SECRET = "s3cr3t-Value0123456789"


@pytest.mark.parametrize(
    "entry",
    [
        {"api_key": SECRET},
        {"EDRV_API_KEY": SECRET},
        {"webhook_secret": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"access_token": SECRET},
        {"edrv_signature": f"t=1,v1={SECRET}"},
        {"headers": {"Authorization": f"Basic {SECRET}", "Accept": "*/*"}},
        {"steps": [{"client_secret": SECRET}, ("x", {"password": SECRET})]},
        {"note": f"sent Authorization: Bearer {SECRET} and got 401"},
        {"note": f"sent Authorization: Basic {SECRET}== and got 401"},
        {"url": f"postgres://gateway:{SECRET}@db.example.com/dr"},
        {"url": f"redis://:{SECRET}@valkey:6379/0"},
        {"url": f"/oauth/token/?client_secret={SECRET}&grant_type=x"},
        {"body": f'{{"client_secret": "{SECRET}", "scope": "x"}}'},
        {"error": ValueError(f"SECRET_KEY='{SECRET}' is wrong")},
    ],
)
@pytest.mark.parametrize("console", [False, True])
def test_a_secret_never_gets_in_wherever_it_stands(entry, console, written_to):
    structlog.get_logger("tests").warning("something.happened", **entry)
    logging.getLogger("tests").warning("something %s", "happened", extra=dict(entry))

    told = written_to(console)
    assert len(told.splitlines()) == 2
    assert "***" in told
    assert SECRET not in told


@pytest.mark.parametrize("logger", [structlog.get_logger("tests"), logging.getLogger("tests")])
def test_a_secret_in_an_exception_never_gets_in(logger, log_lines):
    try:
        raise ConnectionError(f"no answer from postgres://gateway:{SECRET}@db/dr")
    except ConnectionError:
        logger.exception("it.failed")

    line = log_lines()[-1]
    assert (line["event"], line["level"]) == ("it.failed", "error")
    assert "ConnectionError: no answer from postgres://gateway:***@db/dr" in line["exception"]
    assert SECRET not in str(line)


def test_what_is_no_secret_stays_as_it_is(log_lines):
    said = {
        "sessions": 12,
        "took_s": 0.5,
        "done": True,
        "error": None,
        "url": "https://api.edrv.io/v1.1/sessions?page=2",
        "kinds": ["set", "clear"],
    }

    structlog.get_logger("tests").info("sync.done", **said)

    line = log_lines()[-1]
    assert {name: line[name] for name in said} == said
    assert (line["event"], line["level"], line["logger"]) == ("sync.done", "info", "tests")
    assert line["timestamp"].endswith("Z")


def test_a_line_stays_a_line_whatever_is_in_it(written_to, log_lines):
    structlog.get_logger("tests").info("odd", text='two\nlines "quoted" \x00', body=b"\xff\n")

    assert written_to(False).count("\n") == 1
    assert log_lines()[0]["text"] == 'two\nlines "quoted" \x00'


@pytest.mark.parametrize(
    "path",
    [f"/api/v1/events/?access_token={SECRET}", f"/oauth/token/?client_secret={SECRET}",
     f"/webhooks/edrv/?secret={SECRET}"],
)  # fmt: skip
def test_a_secret_in_an_address_is_not_logged_with_the_request(client, db, path, log_lines):
    client.get(path)

    refusals = [line for line in log_lines() if line["logger"] == "django.request"]
    assert refusals
    assert SECRET not in str(refusals)


@pytest.mark.django_db
def test_an_order_can_be_followed_from_the_event_to_its_commands(log_lines):
    session = make_session()
    event = declare()
    accept(10)

    told = {line["event"]: line for line in log_lines()}
    command = session.commands.get()
    assert told["event.active"]["event_id"] == str(event.pk)
    assert told["limits.set"]["event_id"] == str(event.pk)
    assert told["limits.set"]["sessions"] == [session.external_id]
    assert told["commands.accepted"]["sessions"] == [session.external_id]
    assert told["commands.accepted"]["commands"] == [command.pk]


@pytest.mark.django_db
def test_nothing_a_client_proves_itself_with_is_logged(client, capsys, log_lines):
    credentials = create_client(capsys, "scada")
    api = Api(client, credentials)
    api.get("events/unknown/")
    api.post("events/", {})

    assert log_lines()
    for secret in (api.token, credentials["client_secret"]):
        assert secret not in str(log_lines())
