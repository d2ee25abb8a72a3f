from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_import_old_orders")]

    operations = [
        migrations.AddIndex(
            "order", models.Index(fields=["status", "placed_at"], name="order_status_placed")
        ),
    ]
