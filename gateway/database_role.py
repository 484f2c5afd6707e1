"""The database role that the gateway's processes run as: it owns nothing, so it can neither drop
the trigger that guards the audit record nor change what is evidence.

The owner migrates. At the end of every `migrate` the role, where there is one, is given what the
processes need, table by table. Login roles of other names can be members of it.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, connections, transaction
from psycopg import sql

APP_ROLE = "gateway_app"
MIGRATIONS = "django_migrations"

EVERYTHING = ("SELECT", "INSERT", "UPDATE", "DELETE")
# What was written stays.
ONLY_ADDED_TO = ("chargers_auditentry", "chargers_auditlink", "login_login")
# A reading is never another, but may be too old to be kept.
NEVER_CHANGED = ("chargers_meterreading",)
NEVER_DELETED = (
    "chargers_attempt",
    "chargers_command",
    "chargers_session",
    "chargers_webhookdelivery",
    "dr_events_event",
    "dr_events_optout",
    "dr_events_participation",
)
# Of rows that move on, what was sent or received stays as it was.
FIXED_COLUMNS = {
    "chargers_attempt": ("command_id", "session_id", "number", "verb", "unit", "value"),
    "chargers_webhookdelivery": ("external_id", "type", "body", "signature", "received_at"),
}


def create(password: str = "") -> None:
    """Make the role, or give it this password if it is there. Without one it can be entered only
    where PostgreSQL trusts whoever reaches its socket."""
    verb = sql.SQL("ALTER" if exists() else "CREATE")
    statement = sql.SQL("{} ROLE {} LOGIN").format(verb, sql.Identifier(APP_ROLE))
    if password:
        statement += sql.SQL(" PASSWORD {}").format(sql.Literal(_encrypted(password)))
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _encrypted(password: str) -> str:
    """As SCRAM keeps it: the password itself stands in no statement, and so in no log."""
    connection.ensure_connection()
    pgconn = connection.connection.pgconn
    return str(pgconn.encrypt_password(password.encode(), APP_ROLE.encode()).decode())


def exists(using: str = "default") -> bool:
    """Whether there is such a role."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [APP_ROLE])
        return cursor.fetchone() is not None


def grant(using: str = "default", **_: Any) -> None:
    """Give the role what it needs, and nothing it had beyond that. Harmless to repeat."""
    if not exists(using):
        return
    introspection = connections[using].introspection
    ours = {*introspection.django_table_names(), MIGRATIONS}
    with transaction.atomic(using), connections[using].cursor() as cursor:
        for table in ours.intersection(introspection.table_names(cursor)):
            _grant_on(cursor, table, privileges_of(table))


def privileges_of(table: str) -> list[str]:
    """What the role may do with the rows of a table."""
    refused = {
        MIGRATIONS: ("INSERT", "UPDATE", "DELETE"),
        **dict.fromkeys(ONLY_ADDED_TO, ("UPDATE", "DELETE")),
        **dict.fromkeys(NEVER_CHANGED, ("UPDATE",)),
        **dict.fromkeys(NEVER_DELETED, ("DELETE",)),
    }.get(table, ())
    return [privilege for privilege in EVERYTHING if privilege not in refused]


def _grant_on(cursor: Any, table: str, privileges: list[str]) -> None:
    names = {"table": sql.Identifier(table), "role": sql.Identifier(APP_ROLE)}
    listed = [_with_columns(cursor, table, privilege) for privilege in privileges]
    cursor.execute(sql.SQL("REVOKE ALL ON {table} FROM {role}").format(**names))
    cursor.execute(
        sql.SQL("GRANT {listed} ON {table} TO {role}").format(
            listed=sql.SQL(", ").join(listed), **names
        )
    )


def _with_columns(cursor: Any, table: str, privilege: str) -> sql.Composable:
    fixed = FIXED_COLUMNS.get(table, ())
    if privilege != "UPDATE" or not fixed:
        return sql.SQL(privilege)
    described = connection.introspection.get_table_description(cursor, table)
    free = [sql.Identifier(column.name) for column in described if column.name not in fixed]
    return sql.SQL("UPDATE ({})").format(sql.SQL(", ").join(free))
