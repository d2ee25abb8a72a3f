"""Safe ways, as words and as code to paste. Names are the target's own: quoted here, escaped by pages."""

from .act import Act
from .change import Change
from .finding import Recipe


def model_of(change: Change | None) -> str:
    label = str((change.facts if change else {}).get("model") or "")
    return label.rpartition(".")[2].lower() or "model"


def field_of(change: Change | None, act: Act | None = None) -> str:
    named = str((change.facts if change else {}).get("name") or "")
    return named or (act.name if act else "") or "field"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    return repr(value)


NOT_ATOMIC = "    atomic = False\n"


def concurrent_index(change: Change | None, act: Act) -> Recipe:
    words = (
        "Build it concurrently, in a migration of its own that is not atomic. Where the build was "
        "interrupted an invalid "
        "index stays: look for it (pg_index.indisvalid) and drop it before you try again."
    )
    if change and change.kind == "AddIndex" and (change.facts.get("index") or {}).get("name"):
        index = change.facts["index"]
        fields = ", ".join(literal(str(name)) for name in index.get("fields") or ())
        body = "..." if index.get("expressions") or index.get("condition") else f"fields=[{fields}]"
        code = (
            "from django.contrib.postgres.operations import AddIndexConcurrently\n\n"
            f"class Migration(migrations.Migration):\n{NOT_ATOMIC}    operations = [\n"
            f"        AddIndexConcurrently({literal(model_of(change))}, models.Index({body}, "
            f"name={literal(index['name'])})),\n"
            "    ]"
        )
        return Recipe(words, code)
    columns = ", ".join(quoted(column) for column in act.columns if column) or "..."
    code = (
        f"CREATE {'UNIQUE ' if act.has('unique') else ''}INDEX CONCURRENTLY {quoted(act.name)} ON "
        f"{quoted(act.table)} ({columns});"
    )
    if change and change.after is not None and change.column:
        words += (
            " Let the field come without its index first (db_index=False); then put the index into "
            "Meta.indexes, made "
            "by AddIndexConcurrently."
        )
    return Recipe(words, code, "sql")


def unique(change: Change | None, act: Act) -> Recipe:
    table, name = quoted(act.table), act.name or "name"
    columns = ", ".join(quoted(column) for column in act.columns or (act.name,) if column) or "..."
    index = quoted(f"{act.table}_{name}_uniq" if act.kind == "add column" else name)
    code = (
        f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({columns});\n"
        f"ALTER TABLE {table} ADD CONSTRAINT {index} UNIQUE USING INDEX {index};"
    )
    return Recipe(
        "Look for duplicates first. Build the unique index concurrently in a migration that is not "
        "atomic, then take it as "
        "the constraint; let Django's state follow by SeparateDatabaseAndState.",
        code,
        "sql",
    )


def check(change: Change | None, act: Act) -> Recipe:
    """In two migrations: in one transaction the first lock would last through the scan."""
    name = act.name or f"{act.table}_check"
    if change and change.kind == "AddConstraint":
        code = (
            "from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint\n\n"
            "# in one migration\n"
            f"AddConstraintNotValid({literal(model_of(change))}, models.CheckConstraint(..., "
            f"name={literal(name)}))\n"
            "# in the next one\n"
            f"ValidateConstraint({literal(model_of(change))}, name={literal(name)})"
        )
        return Recipe(
            "Add it as NOT VALID, and validate it in a later migration: that scans without blocking.", code
        )
    expression = act.expression or f"{quoted(act.name)} >= 0"
    code = (
        f"ALTER TABLE {quoted(act.table)} ADD CONSTRAINT {quoted(name)} CHECK ({expression}) NOT VALID;\n"
        f"-- in the next migration\nALTER TABLE {quoted(act.table)} VALIDATE CONSTRAINT {quoted(name)};"
    )
    return Recipe(
        "Add the check as NOT VALID, and validate it in a later migration: that scans without blocking.",
        code,
        "sql",
    )


def positive(change: Change | None, act: Act) -> Recipe:
    model, name = model_of(change), field_of(change, act)
    code = (
        f"migrations.AddField({literal(model)}, {literal(name)}, models.IntegerField(null=True))\n"
        f"AddConstraintNotValid({literal(model)}, "
        f"models.CheckConstraint(condition=models.Q({name}__gte=0), name='{name}_positive'))\n"
        f"# in the next migration\nValidateConstraint({literal(model)}, name='{name}_positive')"
    )
    return Recipe(
        "Add a plain integer field, then the check as NOT VALID (django.contrib.postgres.operations), and "
        "validate it in a "
        "later migration.",
        code,
    )


def foreign_key(change: Change | None, act: Act) -> Recipe:
    column = quoted(act.columns[0] if act.columns else act.name)
    name = quoted(act.name or "constraint")
    code = (
        f"ALTER TABLE {quoted(act.table)} ADD CONSTRAINT {name} FOREIGN KEY ({column}) "
        f"REFERENCES {quoted(act.other)} DEFERRABLE INITIALLY DEFERRED NOT VALID;\n"
        f"-- in the next migration\nALTER TABLE {quoted(act.table)} VALIDATE CONSTRAINT {name};"
    )
    return Recipe(
        "Let Django make the field with db_constraint=False, add the constraint as NOT VALID, and "
        "validate it in a later "
        "migration.",
        code,
        "sql",
    )


def not_null(act: Act, version: int | None) -> Recipe:
    table, column = quoted(act.table), quoted(act.name)
    name = quoted(f"{act.name}_not_null")
    if version is not None and version >= 180000:
        return Recipe(
            "Add it as NOT VALID and validate it in a later migration: that scans without blocking.",
            f"ALTER TABLE {table} ADD CONSTRAINT {name} NOT NULL {column} NOT VALID;\n"
            f"-- in the next migration\nALTER TABLE {table} VALIDATE CONSTRAINT {name};",
            "sql",
        )
    return Recipe(
        "Fill the rows in batches first. Let a check hold it, validate that in a later migration, and set "
        "NOT NULL in one "
        "after that: it finds the check and scans nothing.",
        f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID;\n"
        f"-- in the next migration\nALTER TABLE {table} VALIDATE CONSTRAINT {name};\n"
        f"-- in the one after that\nALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;\n"
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
        "sql",
    )


def new_column(change: Change | None, act: Act) -> Recipe:
    return Recipe(
        "Add a new column of the new type, let the application write both, fill the old rows in batches, "
        "then read the new "
        "one and drop the old one in a later release."
    )


def state_first(change: Change | None, what: str = "field") -> Recipe:
    model, name = model_of(change), field_of(change)
    inner = (
        f"migrations.RemoveField({literal(model)}, {literal(name)})"
        if what == "field"
        else f"migrations.DeleteModel({literal(model)})"
    )
    code = f"migrations.SeparateDatabaseAndState(state_operations=[\n    {inner},\n])"
    before = (
        " Make it null=True or give it a db_default before that, so that rows can be written without it."
        if what == "field"
        else ""
    )
    return Recipe(
        f"Make a backup. Release code that does not use it, with the {what} removed from Django's state "
        f"only; drop it in the "
        f"database with a later release.{before}",
        code,
    )


def db_default(change: Change) -> Recipe:
    model, name = model_of(change), field_of(change)
    kind = str((change.after or {}).get("type") or "Field")
    default = str((change.after or {}).get("default") or "...")
    value = "..." if (change.after or {}).get("default_is_callable") else default
    return Recipe(
        "Give it db_default (Django 5.0 and newer): the database fills it in for whoever does not know "
        "the column. Before "
        "that: add it as null=True, fill the rows, and make it NOT NULL with a later release.",
        f"migrations.AddField({literal(model)}, {literal(name)}, models.{kind}(db_default={value}))",
    )


def nullable_first(change: Change) -> Recipe:
    model, name = model_of(change), field_of(change)
    kind = str((change.after or {}).get("type") or "Field")
    return Recipe(
        "Add it as null=True, fill the rows in batches with a value of each one's own, and make it unique "
        "or NOT NULL in a "
        "later migration.",
        f"migrations.AddField({literal(model)}, {literal(name)}, models.{kind}(null=True))",
    )


def keep_column(change: Change, old: str) -> Recipe:
    return Recipe(
        "Rename it in Python only: keep the column by db_column, and nothing is asked of the database.",
        f"models.{(change.after or {}).get('type') or 'Field'}(db_column={literal(old)})",
    )


def keep_table(change: Change | None, old: str) -> Recipe:
    return Recipe(
        "Rename it in Python only: keep the table by Meta.db_table, and let Django's state follow by "
        "SeparateDatabaseAndState.",
        f"class Meta:\n    db_table = {literal(old)}",
    )


BATCHES = Recipe(
    "Work in batches with a COMMIT after each, in a migration that is not atomic and holds nothing else, "
    "or outside of the "
    "release.",
    "class Migration(migrations.Migration):\n    atomic = False\n    operations = "
    "[migrations.RunPython(in_batches, migrations.RunPython.noop)]",
)
SPLIT = Recipe(
    "Put what scans into a migration of its own, behind this one: the locks that are taken here are "
    "released by the COMMIT "
    "between them."
)
REVERSE = Recipe(
    "Say how it is undone; where nothing needs to be, say that.",
    "migrations.RunPython(forwards, migrations.RunPython.noop)\nmigrations.RunSQL(sql, "
    "reverse_sql=migrations.RunSQL.noop)",
)
OWN_MIGRATION = Recipe(
    "Put it into a migration of its own with atomic = False.",
    "class Migration(migrations.Migration):\n    atomic = False",
)
REPACK = Recipe("Use pg_repack, which rewrites a table while others work on it, or a time when nobody does.")
