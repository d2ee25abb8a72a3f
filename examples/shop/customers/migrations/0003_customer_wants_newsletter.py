from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("customers", "0002_address")]

    operations = [
        migrations.AddField("customer", "wants_newsletter", models.BooleanField(default=False)),
    ]
