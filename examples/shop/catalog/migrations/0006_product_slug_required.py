from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0005_fill_product_slugs")]

    operations = [
        migrations.AlterField("product", "slug", models.SlugField(max_length=120, unique=True)),
    ]
