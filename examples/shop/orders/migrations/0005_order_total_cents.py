from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_order_status_placed_index")]

    operations = [
        migrations.AddField("order", "total_cents", models.PositiveIntegerField(null=True)),
    ]
