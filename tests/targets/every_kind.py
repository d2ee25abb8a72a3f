"""Migrations of every kind of operation, one after another, as Django 3.2 to 6.x takes them.

CHECK stands for the name of a check's condition, which Django 5.1 changed.
"""

EVERY_KIND = [
    (
        "0001_initial",
        """
 migrations.CreateModel("Owner", [("id", models.BigAutoField(primary_key=True)), ("code", models.CharField(max_length=20, unique=True)), ("slug", models.SlugField())]),
 migrations.CreateModel("Tag", [("name", models.CharField(max_length=30, primary_key=True))]),
 migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), ("n", models.PositiveIntegerField(db_index=True)),
   ("label", models.CharField(max_length=50, db_index=True, default="x")), ("text", models.TextField(unique=True, null=True)),
   ("owner", models.ForeignKey("shop.Owner", models.CASCADE)), ("tags", models.ManyToManyField("shop.Tag")),
   ("one", models.OneToOneField("shop.Owner", models.SET_NULL, null=True, related_name="+")),
   ("loose", models.ForeignKey("shop.Owner", models.DO_NOTHING, db_constraint=False, null=True, related_name="+"))],
   options={"unique_together": {("n", "label")}}),
""",
    ),
    (
        "0002_fields",
        """
 migrations.AddField("Item", "price", models.DecimalField(max_digits=8, decimal_places=2, default=0)),
 migrations.AddField("Item", "count", models.PositiveSmallIntegerField(default=3)),
 migrations.AddField("Item", "ref", models.CharField(max_length=9, unique=True, null=True)),
 migrations.AddField("Item", "second", models.ForeignKey("shop.Owner", models.CASCADE, null=True, related_name="+")),
 migrations.AddField("Item", "also", models.ManyToManyField("shop.Tag", related_name="+")),
 migrations.AddField("Item", "at", models.DateTimeField(null=True, db_index=True)),
""",
    ),
    (
        "0003_alter",
        """
 migrations.AlterField("Item", "at", models.DateField(null=True, unique=True)),
 migrations.AlterField("Item", "price", models.DecimalField(max_digits=10, decimal_places=2, null=True, db_index=True)),
 migrations.AlterField("Item", "count", models.IntegerField(default=4)),
 migrations.AlterField("Item", "n", models.IntegerField(unique=True)),
 migrations.AlterField("Item", "label", models.TextField(default="x", db_index=True)),
""",
    ),
    (
        "0004_alter_again",
        """
 migrations.AlterField("Item", "count", models.PositiveIntegerField(default=4)),
 migrations.AlterField("Item", "label", models.CharField(max_length=70, default="x", unique=True)),
 migrations.AlterField("Item", "n", models.IntegerField()),
 migrations.AlterField("Item", "second", models.IntegerField(null=True)),
 migrations.AlterField("Item", "ref", models.CharField(max_length=12, null=True, unique=True)),
""",
    ),
    (
        "0005_indexes",
        """
 migrations.AddIndex("Item", models.Index(fields=["n", "-price"], name="by_n_price")),
 migrations.AddIndex("Item", models.Index(fields=["count"], condition=models.Q(count__gt=3), name="by_count")),
 migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n", "owner"], name="once")),
 migrations.AddConstraint("Item", models.UniqueConstraint(fields=["price"], condition=models.Q(count__gt=3), name="once_if")),
 migrations.AddConstraint("Item", models.CheckConstraint(CHECK=models.Q(n__gte=0), name="n_positive")),
 migrations.AlterUniqueTogether("Item", {("n", "price"), ("count", "label")}),
""",
    ),
    (
        "0006_rename",
        """
 migrations.RemoveConstraint("Item", "once"), migrations.RemoveConstraint("Item", "once_if"), migrations.RemoveIndex("Item", "by_count"),
 migrations.RenameField("Item", "count", "amount"),
 migrations.RenameField("Item", "label", "title"),
 migrations.RenameField("Item", "owner", "keeper"),
 migrations.RenameField("Item", "also", "labels"),
 migrations.AddIndex("Item", models.Index(fields=["amount"], condition=models.Q(amount__gt=3), name="by_count")),
 migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n", "keeper"], name="once")),
 migrations.AddConstraint("Item", models.UniqueConstraint(fields=["price"], condition=models.Q(amount__gt=3), name="once_if")),
""",
    ),
    (
        "0007_rename_model",
        """
 migrations.RenameModel("Item", "Thing"),
 migrations.RenameModel("Owner", "Person"),
""",
    ),
    (
        "0008_after_renaming",
        """
 migrations.AddField("Thing", "more", models.CharField(max_length=3, db_index=True, null=True)),
 migrations.AlterField("Thing", "amount", models.BigIntegerField(default=2)),
 migrations.AlterUniqueTogether("Thing", {("n", "price")}),
 migrations.AlterField("Thing", "title", models.CharField(max_length=70, default="x")),
 migrations.AlterField("Thing", "keeper", models.ForeignKey("shop.Person", models.CASCADE, null=True)),
""",
    ),
    (
        "0009_tables",
        """
 migrations.AlterModelTable("Thing", "things"),
 migrations.AlterModelTable("Tag", "labels"),
 migrations.RemoveConstraint("Thing", "once_if"),
 migrations.RemoveIndex("Thing", "by_count"),
""",
    ),
    (
        "0010_keys",
        """
 migrations.AlterField("Person", "id", models.CharField(max_length=40, primary_key=True)),
""",
    ),
    (
        "0011_order",
        """
 migrations.CreateModel("Line", [("id", models.AutoField(primary_key=True)), ("thing", models.ForeignKey("shop.Thing", models.CASCADE)), ("flag", models.BooleanField(default=False)), ("data", models.JSONField(null=True)), ("self", models.ForeignKey("self", models.CASCADE, null=True))], options={"db_table": "a_rather_long_name_of_a_table_that_is_longer_than_most_are"}),
 migrations.AlterOrderWithRespectTo("Line", "thing"),
 migrations.AddField("Line", "a_rather_long_name_of_a_column_that_is_long", models.PositiveIntegerField(unique=True, default=1)),
 migrations.AddField("Thing", "self", models.ManyToManyField("self")),
""",
    ),
    (
        "0012_gone",
        """
 migrations.RemoveField("Thing", "labels"),
 migrations.RemoveField("Thing", "second"),
 migrations.RemoveField("Thing", "loose"),
 migrations.AlterUniqueTogether("Thing", set()),
 migrations.RemoveIndex("Thing", "by_n_price"), migrations.RemoveField("Thing", "price"),
 migrations.AlterOrderWithRespectTo("Line", None),
 migrations.AlterModelOptions("Line", {"verbose_name": "a line"}),
 migrations.RemoveConstraint("Thing", "n_positive"),
""",
    ),
    (
        "0013_separate",
        """
 migrations.SeparateDatabaseAndState(database_operations=[migrations.AlterField("Thing", "amount", models.IntegerField(null=True, db_index=True))], state_operations=[migrations.AlterField("Thing", "amount", models.IntegerField(null=True, db_index=True))]),
 migrations.SeparateDatabaseAndState(state_operations=[migrations.CreateModel("Ghost", [("id", models.AutoField(primary_key=True))])]),
 migrations.SeparateDatabaseAndState(database_operations=[migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)]),
 migrations.RunSQL("CREATE TABLE by_hand (id integer)", "DROP TABLE by_hand"),
 migrations.RunSQL("ALTER TABLE by_hand ADD COLUMN x integer", "ALTER TABLE by_hand DROP COLUMN x", state_operations=[migrations.CreateModel("ByHand", [("id", models.IntegerField(primary_key=True)), ("x", models.IntegerField(null=True))], options={"db_table": "by_hand"})]),
""",
    ),
    (
        "0014_delete",
        """
 migrations.DeleteModel("Line"),
 migrations.RenameField("Person", "code", "number"),
""",
    ),
]


def every_kind(project, is_old):
    """Written to a project; the names of the migrations."""
    for name, operations in EVERY_KIND:
        project.migration(name, operations.replace("CHECK", "check" if is_old else "condition"))
    return [name for name, _ in EVERY_KIND]
