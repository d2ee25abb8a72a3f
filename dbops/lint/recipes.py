"""Safe ways, as words and as code to paste. Names are the target's own: quoted here, escaped by pages."""

import re

from .act import Act
from .change import Change, Facts
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
        code = (
            "from django.contrib.postgres.operations import AddIndexConcurrently\n\n"
            f"class Migration(migrations.Migration):\n{NOT_ATOMIC}    operations = [\n"
            f"        AddIndexConcurrently({literal(model_of(change))}, {index_code(index, act)}\n"
            "    ]"
        )
        return Recipe(words, code)
    columns = act.expression or f"({', '.join(quoted(column) for column in act.columns if column) or '...'})"
    unique = "UNIQUE " if act.has("unique") else ""
    code = f"CREATE {unique}INDEX CONCURRENTLY {quoted(act.name or '...')} ON {quoted(act.table)} {columns};"
    if change and change.after is not None and change.column:
        words += (
            " Let the field come without its index first (db_index=False); then put the index into "
            "Meta.indexes, made "
            "by AddIndexConcurrently."
        )
    return Recipe(words, code, "sql")


def index_code(index: Facts, act: Act) -> str:
    """Written out where its fields are all that there is to say of it (no other kind, class, INCLUDE ...)."""
    fields = [str(name) for name in index.get("fields") or ()]
    downwards = [" DESC" if name.startswith("-") else "" for name in fields]
    columns = [quoted(column) for column in act.columns]
    plain = f"({', '.join(map(str.__add__, columns, downwards))})"
    if len(columns) != len(fields) or act.expression != plain:
        return "...),  # the index as AddIndex has it"
    listed = ", ".join(map(literal, fields))
    return f"models.Index(fields=[{listed}], name={literal(index['name'])})),"


def unique(change: Change | None, act: Act) -> Recipe:
    table, name = quoted(act.table), act.name or "name"
    columns = ", ".join(quoted(column) for column in act.columns or (act.name,) if column) or "..."
    index = quoted(f"{act.table}_{name}_uniq" if act.kind == "add column" else name)
    is_key = act.type == "primary key" or act.has("primary key")
    included, later = parts_behind(act.expression) if act.kind == "add constraint" else ("", "")
    nulls = " NULLS NOT DISTINCT" if act.has("nulls not distinct") else ""
    code = (
        f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({columns}){included}{nulls};\n"
        f"ALTER TABLE {table} ADD CONSTRAINT {index} {'PRIMARY KEY' if is_key else 'UNIQUE'} "
        f"USING INDEX {index}{later};"
    )
    return Recipe(
        "Look for duplicates first. Build the unique index concurrently in a migration that is not "
        "atomic, then take it as "
        "the constraint; let Django's state follow by SeparateDatabaseAndState.",
        code,
        "sql",
    )


def parts_behind(text: str) -> tuple[str, str]:
    """(INCLUDE ..., DEFERRABLE ...) of what follows the columns."""
    place = text.upper().find("DEFERRABLE")
    if text[:place].upper().endswith("NOT "):
        place -= 4
    included, later = (text[:place], text[place:]) if place >= 0 else (text, "")
    return f" {included}".rstrip(), f" {later}".rstrip()


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
    columns = ", ".join(map(quoted, act.columns or (act.name,)))
    name = quoted(act.name or "constraint")
    code = (
        f"ALTER TABLE {quoted(act.table)} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) "
        f"REFERENCES {quoted(act.other)}{referenced(change, act)} NOT VALID;\n"
        f"-- in the next migration\nALTER TABLE {quoted(act.table)} VALIDATE CONSTRAINT {name};"
    )
    return Recipe(
        "Let Django make the field with db_constraint=False, add the constraint as NOT VALID, and "
        "validate it in a later "
        "migration.",
        code,
        "sql",
    )


def referenced(change: Change | None, act: Act) -> str:
    """What follows the name of the other table: its columns, what happens on DELETE, when it is checked."""
    if act.kind == "add constraint":
        return f" {act.expression}".rstrip()
    field = (change.after if change else None) or {}
    column = str((field.get("references") or {}).get("column") or "")
    return f"{f' ({quoted(column)})' if column else ''} DEFERRABLE INITIALLY DEFERRED"


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


# They need nothing but what is said here.
SIMPLE = {
    *(f"{size}IntegerField" for size in ("", "Small", "Big", "Positive", "PositiveSmall", "PositiveBig")),
    *("BooleanField", "DateField", "DateTimeField", "TimeField", "DurationField", "FloatField", "TextField"),
    *("UUIDField", "JSONField", "BinaryField", "GenericIPAddressField"),
}
WITH_LENGTH = {"CharField", "SlugField", "EmailField", "URLField"}
DIGITS = re.compile(r"numeric\((\d+), ?(-?\d+)\)")


def field_code(change: Change, option: str) -> str:
    """The field with this option, and a closing parenthesis of the operation around it; where it needs more
    than is known of it, the place where it goes."""
    field = change.after or {}
    kind, length = str(field.get("type") or ""), field.get("max_length")
    digits = DIGITS.fullmatch(str(field.get("db_type") or ""))
    if kind in SIMPLE:
        return f"models.{kind}({option}))"
    if kind in WITH_LENGTH and length:
        return f"models.{kind}(max_length={length}, {option}))"
    if kind == "DecimalField" and digits:
        return f"models.{kind}(max_digits={digits[1]}, decimal_places={digits[2]}, {option}))"
    return f"...)  # the field as it is, with {option}"


def db_default(change: Change) -> Recipe:
    model, name = model_of(change), field_of(change)
    default = str((change.after or {}).get("default") or "...")
    value = "..." if (change.after or {}).get("default_is_callable") else default
    return Recipe(
        "Give it db_default (Django 5.0 and newer): the database fills it in for whoever does not know "
        "the column. Before "
        "that: add it as null=True, fill the rows, and make it NOT NULL with a later release.",
        f"migrations.AddField({literal(model)}, {literal(name)}, {field_code(change, f'db_default={value}')}",
    )


def nullable_first(change: Change) -> Recipe:
    model, name = model_of(change), field_of(change)
    return Recipe(
        "Add it as null=True, fill the rows in batches with a value of each one's own, and make it unique "
        "or NOT NULL in a "
        "later migration.",
        f"migrations.AddField({literal(model)}, {literal(name)}, {field_code(change, 'null=True')}",
    )


def keep_column(change: Change, old: str) -> Recipe:
    return Recipe(
        "Rename it in Python only: keep the column by db_column, and nothing is asked of the database.",
        field_code(change, f"db_column={literal(old)}").removesuffix(")"),
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
