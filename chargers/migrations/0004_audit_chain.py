"""Every audit entry gets a link in a hash chain when its transaction commits.

The trigger is deferred: it runs last, when nothing more will be locked, and takes its turn with an
advisory lock that is held until the commit is on disk. So links are in the order of commits, no
link is ever made on another that is rolled back, and no two transactions can wait for each other.
"""

import django.db.models.deletion
from django.db import migrations, models

from chargers.canonical import ENTRY_FIELDS, GENESIS, digest_of, link

OPEN = "ALTER TABLE chargers_auditentry DISABLE TRIGGER append_only"
CLOSE = "ALTER TABLE chargers_auditentry ENABLE TRIGGER append_only"

LINKED = """
CREATE FUNCTION chargers_auditentry_link() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last_position bigint;
    last_hash bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_chain'));
    SELECT position, hash INTO last_position, last_hash
      FROM chargers_auditlink ORDER BY position DESC LIMIT 1;
    INSERT INTO chargers_auditlink (position, entry_id, digest, hash)
    VALUES (COALESCE(last_position, 0) + 1, NEW.id, NEW.digest,
            sha256(COALESCE(last_hash, decode(repeat('00', 32), 'hex')) || NEW.digest));
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER linked AFTER INSERT ON chargers_auditentry
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chargers_auditentry_link();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON chargers_auditlink
    FOR EACH STATEMENT EXECUTE FUNCTION chargers_auditentry_is_append_only();
"""

UNLINKED = """
DROP TRIGGER append_only ON chargers_auditlink;
DROP TRIGGER linked ON chargers_auditentry;
DROP FUNCTION chargers_auditentry_link();
"""


def link_what_there_is(apps, schema_editor):
    """Entries from before the chain get theirs in the order of their ids."""
    entries, links = apps.get_model("chargers.AuditEntry"), apps.get_model("chargers.AuditLink")
    before, made = GENESIS, []
    for position, entry in enumerate(entries.objects.order_by("id").iterator(1000), start=1):
        digest = digest_of({name: getattr(entry, name) for name in ENTRY_FIELDS})
        before = link(before, digest)
        entries.objects.filter(pk=entry.pk).update(digest=digest)
        made.append(links(position=position, entry_id=entry.pk, digest=digest, hash=before))
        if len(made) == 1000:
            links.objects.bulk_create(made)
            made.clear()
    links.objects.bulk_create(made)


class Migration(migrations.Migration):
    dependencies = [("chargers", "0003_place_load")]

    operations = [
        migrations.AddField(
            model_name="auditentry",
            name="digest",
            field=models.BinaryField(
                null=True, help_text="SHA-256 of all of this as canonical JSON."
            ),
        ),
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                (
                    "position",
                    models.BigIntegerField(
                        primary_key=True, serialize=False, help_text="From 1, without gaps."
                    ),
                ),
                ("digest", models.BinaryField()),
                (
                    "hash",
                    models.BinaryField(help_text="SHA-256 of the hash before it and the digest."),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="link",
                        to="chargers.auditentry",
                    ),
                ),
            ],
            options={"ordering": ("-position",)},
        ),
        migrations.AddConstraint(
            model_name="auditlink",
            constraint=models.CheckConstraint(
                condition=models.Q(("position__gt", 0)), name="link_from_one"
            ),
        ),
        migrations.RunSQL(OPEN, CLOSE),
        migrations.RunPython(link_what_there_is, migrations.RunPython.noop),
        migrations.RunSQL(CLOSE, OPEN),
        migrations.AlterField(
            model_name="auditentry",
            name="digest",
            field=models.BinaryField(help_text="SHA-256 of all of this as canonical JSON."),
        ),
        migrations.RunSQL(LINKED, UNLINKED),
    ]
