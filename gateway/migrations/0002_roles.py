"""The groups of the three roles. Their permissions are assigned after every migration, by
`gateway.roles`. Going back leaves them: there may be people in them."""

from django.db import migrations

ROLES = ("operator", "auditor", "administrator")


def create_roles(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in ROLES:
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("chargers", "0001_initial"),
        ("dr_events", "0001_initial"),
    ]

    operations = [migrations.RunPython(create_roles, migrations.RunPython.noop)]
