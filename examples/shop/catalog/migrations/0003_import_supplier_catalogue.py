from itertools import product

from django.db import migrations

from shop.batches import batches

CATEGORIES = ["Kettles", "Mugs", "Teapots", "Filters", "Grinders"]
MATERIALS = ["steel", "copper", "glass", "stoneware", "enamel", "oak"]
SIZES = ["small", "medium", "large", "family", "travel"]
COLOURS = ["black", "white"]


def import_supplier_catalogue(apps, schema_editor):
    Category = apps.get_model("catalog", "Category")
    Product = apps.get_model("catalog", "Product")
    kept = {name: Category.objects.get_or_create(name=name)[0] for name in CATEGORIES}
    offers = list(product(CATEGORIES, MATERIALS, SIZES, COLOURS))
    numbered = list(enumerate(offers, start=1))
    for batch in batches(numbered, 50, "products"):
        Product.objects.bulk_create(
            Product(
                sku=f"SUP-{number:05}",
                name=f"{category[:-1]}, {size}, {colour} {material}",
                category=kept[category],
                price_cents=990 + 25 * number,
            )
            for number, (category, material, size, colour) in batch
        )


def remove_supplier_catalogue(apps, schema_editor):
    apps.get_model("catalog", "Product").objects.filter(sku__startswith="SUP-").delete()


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_product_is_active")]

    operations = [migrations.RunPython(import_supplier_catalogue, remove_supplier_catalogue)]
