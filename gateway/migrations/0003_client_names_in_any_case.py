"""Where two clients are told apart by capitals alone this stops: delete one of them, and create it
again under another name."""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0002_roles"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="apiclient", name="api_client_name_once"),
        migrations.AddConstraint(
            model_name="apiclient",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"),
                name="api_client_name_once_in_any_case",
            ),
        ),
    ]
