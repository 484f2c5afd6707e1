"""What was recorded stays as it was: PostgreSQL itself refuses to change or delete an entry."""

from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION chargers_auditentry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit record is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON chargers_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION chargers_auditentry_is_append_only();
"""

REVERSE = """
DROP TRIGGER append_only ON chargers_auditentry;
DROP FUNCTION chargers_auditentry_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("chargers", "0001_initial")]

    operations = [migrations.RunSQL(APPEND_ONLY, REVERSE)]
