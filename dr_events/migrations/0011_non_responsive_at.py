from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("dr_events", "0010_proposal_key"),
    ]

    operations = [
        migrations.AddField(
            model_name="participation",
            name="non_responsive_at",
            field=models.DateTimeField(
                help_text="When it was first found non-responsive; stays, whatever came of it.",
                null=True,
            ),
        ),
    ]
