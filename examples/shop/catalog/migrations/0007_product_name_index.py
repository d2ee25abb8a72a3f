from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # CREATE INDEX CONCURRENTLY keeps the table writable, and cannot run inside a transaction.
    atomic = False

    dependencies = [("catalog", "0006_product_slug_required")]

    operations = [
        AddIndexConcurrently("product", models.Index(fields=["name"], name="product_name")),
    ]
