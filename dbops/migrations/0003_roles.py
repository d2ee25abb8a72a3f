from django.db import migrations

ROLES = ("viewers", "operators")


def create_groups(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for name in ROLES:
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("dbops", "0002_audit_is_append_only"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    # Going back keeps the groups: people may have been put into them.
    operations = [migrations.RunPython(create_groups, migrations.RunPython.noop)]
