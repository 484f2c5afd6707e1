"""manage.py create_api_client"""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from chargers.models import AuditEntry
from gateway.models import ApiClient
from tests.clients import Api
from tests.dr_events.story import declaration

pytestmark = pytest.mark.django_db


def create(capsys, *words):
    call_command("create_api_client", *words)
    return json.loads(capsys.readouterr().out)


def test_it_prints_as_json_what_opens_the_api(client, capsys):
    said = create(capsys, "scada", "--scope", "events:read", "fleet:read")

    assert set(said) == {"name", "client_id", "client_secret", "scope"}
    assert (said["name"], said["scope"]) == ("scada", "events:read fleet:read")
    assert len(said["client_secret"]) > 60
    assert Api(client, said).get("sessions/").status_code == 200


def test_who_has_let_a_client_in_is_on_record_but_not_its_secret(capsys):
    said = create(capsys, "scada", "--scope", "events:read")

    entry = AuditEntry.objects.get()
    assert entry.actor.startswith("shell:")
    assert (entry.action, entry.subject) == ("apiclient.added", "apiclient")
    assert entry.after == {"names": ["scada"], "scopes": "events:read"}
    assert said["client_secret"] not in str(entry.__dict__)


@pytest.mark.parametrize(
    "words",
    [
        ("events:read", "fleet:read"),
        ("events:read,fleet:read",),
        ("events:read, fleet:read", "events:read"),
        ("events:read", "--scope", "fleet:read"),
    ],
)
def test_scopes_are_taken_however_they_are_listed(capsys, words):
    assert create(capsys, "scada", "--scope", *words)["scope"] == "events:read fleet:read"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("scada", "--scope", "everything", "events:read"), "--scope: unknown: everything"),
        (("scada", "--scope", "events:write2,x"), "--scope: unknown: events:write2, x"),
        (("scada", "--scope", ","), "--scope: names none"),
        (("scada",), "--scope"),
        (("scada", "--scope"), "--scope"),
        (("", "--scope", "events:read"), "name: This field is required"),
        (("  ", "--scope", "events:read"), "name: This field is required"),
        (("x" * 144, "--scope", "events:read"), "name: Ensure this value has at most 143"),
        (("alpha\u200b", "--scope", "events:read"), "name: must have no characters that cannot"),
        (("a\nb", "--scope", "events:read"), "name: must have no characters that cannot"),
        (("a\xadb", "--scope", "events:read"), "name: must have no characters that cannot"),
        (("alpha\u3164", "--scope", "events:read"), "name: must have no characters that cannot"),
        (("user:root1", "--scope", "events:read"), "name: must have no colon"),
        (("a\x00b", "--scope", "events:read"), "name: Null characters are not allowed"),
        (("--scope", "events:read"), "name"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(words, complaint):
    with pytest.raises(CommandError) as refused:
        call_command("create_api_client", *words)

    assert complaint in str(refused.value)
    assert not ApiClient.objects.exists()


def test_a_name_stands_for_one_client(capsys):
    create(capsys, "scada", "--scope", "events:read")

    with pytest.raises(CommandError, match="There is a client named 'scada' already"):
        call_command("create_api_client", "scada", "--scope", "fleet:read")

    assert ApiClient.objects.get().scope_list == ["events:read"]


def test_capitals_make_no_other_name(capsys):
    create(capsys, "scada", "--scope", "events:read")

    with pytest.raises(CommandError, match="name: There is a client named 'scada' already"):
        call_command("create_api_client", "SCADA", "--scope", "fleet:read")
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiClient.objects.create(name="Scada")


@pytest.mark.parametrize("name", ["Stadtwerke Köln (SCADA) #2", "東京電力", "x" * 143])
def test_a_name_may_be_anybody_s(client, capsys, name):
    """The longest is still on record as a whole."""
    api = Api(client, create(capsys, name, "--scope", "events:read", "events:write"))

    assert api.post("events/", declaration()).json()["declared_by"] == f"client:{name}"
    assert AuditEntry.objects.filter(actor=f"client:{name}").exists()
