from django.db import migrations

CARRIERS = {"post": "Austrian Post", "bike": "Bicycle courier"}


def add_carriers(apps, schema_editor):
    Carrier = apps.get_model("shipping", "Carrier")
    for code, name in CARRIERS.items():
        Carrier.objects.get_or_create(code=code, defaults={"name": name})


def remove_carriers(apps, schema_editor):
    apps.get_model("shipping", "Carrier").objects.filter(code__in=CARRIERS, shipments=None).delete()


class Migration(migrations.Migration):
    dependencies = [("shipping", "0001_initial")]

    operations = [migrations.RunPython(add_carriers, remove_carriers)]
