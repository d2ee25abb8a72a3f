from django.db import migrations
from django.utils.text import slugify

from shop.batches import batches


def fill_slugs(apps, schema_editor):
    Product = apps.get_model("catalog", "Product")
    rows = list(Product.objects.filter(slug__isnull=True).order_by("pk").only("pk", "sku", "name"))
    for batch in batches(rows, 50, "slugs"):
        for product in batch:
            product.slug = f"{slugify(product.name)[:80]}-{slugify(product.sku)}"
        Product.objects.bulk_update(batch, ["slug"])


class Migration(migrations.Migration):
    dependencies = [("catalog", "0004_product_slug")]

    operations = [migrations.RunPython(fill_slugs, migrations.RunPython.noop, elidable=True)]
