from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_import_supplier_catalogue")]

    operations = [
        migrations.AddField("product", "slug", models.SlugField(max_length=120, null=True)),
    ]
