from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("posts", "0002_comment")]

    operations = [
        migrations.CreateModel(
            name="Tag",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.SlugField(max_length=40, unique=True)),
            ],
            options={"ordering": ["name"]},
        ),
        migrations.AddField(
            "post", "tags", models.ManyToManyField(blank=True, related_name="posts", to="posts.tag")
        ),
    ]
