# `online_changed_at` was moved by every sync, so when a station changed is not known; of when the last
# word on it is, is.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chargers", "0006_site_file"),
    ]

    operations = [
        migrations.AddField(
            model_name="chargestation",
            name="online_told_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Of when the last word on that is; older ones are too late.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="chargestation",
            name="online_changed_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Since when it is online or offline, where that is known.",
                null=True,
            ),
        ),
        migrations.RunSQL(
            "UPDATE chargers_chargestation"
            "   SET online_told_at = online_changed_at, online_changed_at = NULL",
            "UPDATE chargers_chargestation SET online_changed_at = online_told_at",
        ),
    ]
