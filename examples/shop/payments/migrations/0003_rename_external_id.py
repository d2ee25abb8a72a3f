from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_refund")]

    operations = [migrations.RenameField("payment", "external_id", "provider_reference")]
