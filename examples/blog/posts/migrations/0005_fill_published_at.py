from django.db import migrations
from django.db.models import F


def publish_what_is_written(apps, schema_editor):
    Post = apps.get_model("posts", "Post")
    count = Post.objects.filter(published_at=None).update(published_at=F("written_at"))
    print(f"\n    {count} posts published on the day they were written")


class Migration(migrations.Migration):
    dependencies = [("posts", "0004_post_published_at")]

    operations = [migrations.RunPython(publish_what_is_written, migrations.RunPython.noop, elidable=True)]
