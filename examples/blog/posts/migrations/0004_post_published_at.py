from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("posts", "0003_tag")]

    operations = [
        migrations.AddField(
            "post", "published_at", models.DateTimeField(blank=True, db_index=True, null=True)
        ),
        migrations.AlterModelOptions("post", {"ordering": ["-published_at", "-written_at"]}),
    ]
