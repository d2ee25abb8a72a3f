from django.db import migrations
from django.db.models import F, Sum

from shop.batches import batches


def fill_totals(apps, schema_editor):
    Order = apps.get_model("orders", "Order")
    rows = list(
        Order.objects.filter(total_cents__isnull=True)
        .annotate(lines_total=Sum(F("lines__quantity") * F("lines__unit_price_cents"), default=0))
        .order_by("pk")
    )
    for batch in batches(rows, 50, "order totals"):
        for order in batch:
            order.total_cents = order.lines_total
        Order.objects.bulk_update(batch, ["total_cents"])


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_order_total_cents")]

    operations = [migrations.RunPython(fill_totals, migrations.RunPython.noop, elidable=True)]
