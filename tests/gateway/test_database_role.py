"""What the processes' database role cannot do, tried as that role against PostgreSQL itself."""

import io

import pytest
import tablib
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from chargers import audit
from chargers.audit import Actor
from chargers.models import AuditEntry, MeterReading, Site, WebhookDelivery
from chargers.resources import SiteResource
from dr_events import exports, intake
from dr_events.models import Event
from gateway import database_role, metrics
from gateway.database_role import APP_ROLE
from tests.dr_events import story
from tests.fleet import NOW, later, make_session

pytestmark = pytest.mark.django_db

AUDIT = "chargers_auditentry"
FORBIDDEN = {
    "rewrite the audit record": f"UPDATE {AUDIT} SET actor = 'somebody'",
    "thin it out": f"DELETE FROM {AUDIT}",
    "empty it": f"TRUNCATE {AUDIT}",
    "drop what guards it": f"DROP TRIGGER append_only ON {AUDIT}",
    "switch that off": f"ALTER TABLE {AUDIT} DISABLE TRIGGER ALL",
    "switch all of them off": "SET session_replication_role = replica",
    "drop the table": f"DROP TABLE {AUDIT}",
    "put another in its place": f"ALTER TABLE {AUDIT} RENAME TO old",
    "take a command off the record": "DELETE FROM chargers_command",
    "take an attempt off the record": "DELETE FROM chargers_attempt",
    "say that another limit was sent": "UPDATE chargers_attempt SET value = 0",
    "take a webhook off the record": "DELETE FROM chargers_webhookdelivery",
    "forge a webhook that came": "UPDATE chargers_webhookdelivery SET body = ''",
    "change what was metered": "UPDATE chargers_meterreading SET power_w = 0",
    "take an event off the record": "DELETE FROM dr_events_event",
    "take a participation off the record": "DELETE FROM dr_events_participation",
    "make tables": "CREATE TABLE mine (id int)",
    "make roles": "CREATE ROLE mine SUPERUSER",
    "become the owner": f"GRANT postgres TO {APP_ROLE}",
    "read the server's files": "SELECT pg_read_file('/etc/passwd')",
    "run programs on the server": "COPY chargers_site FROM PROGRAM 'id'",
    "say that a migration was run": "DELETE FROM django_migrations",
}


@pytest.fixture
def as_the_role():
    """From here on everything is done as the role; one of each record is there."""
    database_role.create()
    database_role.grant()
    session = make_session()
    MeterReading.objects.create(session=session, metered_at=NOW, power_w=1.0)
    WebhookDelivery.objects.create(external_id="1", type="t", body=b"{}", received_at=NOW)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {APP_ROLE}")
    return session


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_role_can_t(as_the_role, statement):
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_nothing_comes_of_giving_itself_more(as_the_role):
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT UPDATE ON {AUDIT} TO {APP_ROLE}")

    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        AuditEntry.objects.update(actor="somebody")


def test_new_sites_can_be_imported_as_the_role(as_the_role):
    dataset = tablib.Dataset(["loc_9", "F12"], headers=["external_id", "feeder"])

    result = SiteResource(actor=Actor("user:anyone")).import_data(dataset)

    assert result.problems() == []
    assert Site.objects.filter(external_id="loc_9", feeder="F12").exists()


def test_all_of_an_event_can_be_done_as_the_role(as_the_role):
    event = story.declare()
    story.steer(1)
    story.accept(2)
    story.meter(as_the_role, 4000, 30)
    intake.amend(event.id, {"priority": 1}, actor=audit.GATEWAY, now=later(31))
    story.steer(32)
    intake.end(event.id, actor=audit.GATEWAY, now=later(33))
    story.steer(34)
    story.accept(35)
    story.steer(36)
    exported = b"".join(exports.take(event, "csv", actor=audit.GATEWAY, now=later(37)).made)

    assert story.status(event) == Event.Status.COMPLETED
    assert as_the_role.external_id in exported.decode()
    assert AuditEntry.objects.filter(action="report.exported").exists()
    assert list(metrics.GatewayCollector().collect())


def test_a_delivery_moves_on_and_stays_as_it_came(as_the_role):
    assert WebhookDelivery.objects.update(state="applied", note="read", applied_at=NOW) == 1


def test_whatever_table_comes_with_a_migration_is_granted_by_it():
    database_role.create()
    database_role.grant()

    with connection.cursor() as cursor:
        ours = set(connection.introspection.django_table_names(only_existing=True))
        cursor.execute(
            "SELECT table_name FROM information_schema.role_table_grants"
            " WHERE grantee = %s AND privilege_type = 'INSERT'",
            [APP_ROLE],
        )
        assert {name for (name,) in cursor.fetchall()} == ours


def test_without_the_role_a_migration_grants_nothing():
    database_role.grant()

    assert not database_role.exists()


def test_the_command_makes_the_role_with_a_password_that_no_log_sees(monkeypatch, capsys):
    for password in ("first-password", "second-password"):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        with connection.execute_wrapper(_must_not_contain(password)):
            call_command("create_app_role")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolpassword, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls"
            " FROM pg_authid WHERE rolname = %s",
            [APP_ROLE],
        )
        kept, *powers = cursor.fetchone()
    assert kept.startswith("SCRAM-SHA-256$")
    assert not any(powers)
    assert "password" not in capsys.readouterr().out


def _must_not_contain(password):
    def check(execute, statement, params, many, context):
        assert password not in f"{statement} {params}"
        return execute(statement, params, many, context)

    return check
