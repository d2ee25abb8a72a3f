from datetime import UTC, datetime, timedelta

from django.db import migrations

from shop.batches import batches

CUSTOMERS = ["Ada Brandt", "Benedikt Novak", "Chiara Rossi", "Dilan Yilmaz", "Eva Kovacs", "Felix Huber"]
ORDERS = 600
FIRST_DAY = datetime(2024, 1, 2, 9, tzinfo=UTC)


def import_old_orders(apps, schema_editor):
    Order = apps.get_model("orders", "Order")
    OrderLine = apps.get_model("orders", "OrderLine")
    Customer = apps.get_model("customers", "Customer")
    products = list(apps.get_model("catalog", "Product").objects.filter(sku__startswith="SUP-"))
    customers = [
        Customer.objects.get_or_create(
            email=name.lower().replace(" ", ".") + "@example.com", defaults={"full_name": name}
        )[0]
        for name in CUSTOMERS
    ]
    for batch in batches(range(ORDERS), 100, "orders"):
        orders = Order.objects.bulk_create(
            Order(
                reference=f"OLD-{number:06}",
                customer=customers[number % len(customers)],
                status="shipped",
                placed_at=FIRST_DAY + timedelta(hours=7 * number),
            )
            for number in batch
        )
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order, product=product, quantity=1 + number % 3, unit_price_cents=product.price_cents
            )
            for number, order in zip(batch, orders, strict=True)
            for product in (products[number % len(products)], products[7 * number % len(products)])
        )


def remove_old_orders(apps, schema_editor):
    apps.get_model("orders", "Order").objects.filter(reference__startswith="OLD-").delete()


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_order_deliver_to"), ("catalog", "0003_import_supplier_catalogue")]

    operations = [migrations.RunPython(import_old_orders, remove_old_orders)]
