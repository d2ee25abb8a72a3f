from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shipping", "0002_first_carriers")]

    operations = [
        migrations.AddField(
            "carrier", "tracking_url", models.CharField(blank=True, default="", max_length=200)
        ),
    ]
