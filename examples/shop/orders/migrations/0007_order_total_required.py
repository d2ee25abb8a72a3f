from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_fill_order_totals")]

    operations = [
        migrations.AlterField("order", "total_cents", models.PositiveIntegerField()),
    ]
