"""The code of recipes, pasted: the server takes it, and it makes what the migration would have made."""
# ruff: noqa: E501

import re
from pathlib import Path
from typing import Any

import pytest

from dbops.lint import Finding, findings
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import migrate
from tests.integration.agent.planned import Real, on_postgres, plan
from tests.targets.builder import Project, make_project

HEAD = """
from decimal import Decimal
from django.contrib.postgres.indexes import GinIndex
"""
TABLES = """
migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True)), ("code", models.CharField(max_length=9, unique=True))]),
migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField(null=True)),
  ("m", models.IntegerField(null=True)), ("label", models.CharField(max_length=20, null=True)), ("data", models.JSONField(null=True)),
  ("o", models.ForeignKey("shop.Other", models.CASCADE, db_constraint=False, to_field="code", null=True))]),
"""
# In SQL: what they make is compared with what the migration makes.
SAME = {
    "check of a field": 'migrations.AlterField("Item", "n", models.PositiveIntegerField(null=True))',
    "foreign key to another column than the key": 'migrations.AlterField("Item", "o", models.ForeignKey("shop.Other", models.CASCADE, to_field="code", null=True))',
    "unique": 'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n", "m"], name="once"))',
    "unique, deferred": 'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n"], name="once", deferrable=models.Deferrable.DEFERRED))',
    "unique, nulls alike": 'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n"], name="once", nulls_distinct=False))',
    "unique, with a condition": 'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n"], condition=models.Q(m__gte=-3), name="once"))',
    "unique field": 'migrations.AlterField("Item", "n", models.IntegerField(null=True, unique=True))',
    "index of a field": 'migrations.AlterField("Item", "label", models.CharField(max_length=20, null=True, db_index=True))',
    "unique in SQL": """migrations.RunSQL("ALTER TABLE shop_item ADD CONSTRAINT once UNIQUE (n) INCLUDE (m) NOT DEFERRABLE")""",
    "key in SQL": """migrations.RunSQL("ALTER TABLE shop_other DROP CONSTRAINT shop_other_pkey; ALTER TABLE shop_other ADD CONSTRAINT k PRIMARY KEY (id)")""",
    "foreign key in SQL": """migrations.RunSQL("ALTER TABLE shop_item ADD CONSTRAINT f FOREIGN KEY (o_id) REFERENCES shop_other (code) ON DELETE SET NULL")""",
    "check in SQL": """migrations.RunSQL("ALTER TABLE shop_item ADD CONSTRAINT c CHECK (n <> 3 AND m <= 1e-5 AND label ~~ 'a%' AND data @> '{}' OR n>=-1)")""",
}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, database: Database) -> Project:
    project = make_project(tmp_path / "shop", {"default": database.settings})
    project.settings("", apps=("shop", "django.contrib.postgres"))
    project.migration("0001_initial", TABLES)
    migrate(project.address())
    return project


def found(project: Project, operations: str) -> list[Finding]:
    project.migration("0002_more", operations, head=HEAD)
    return findings(plan(project), "postgresql", 150004)["shop.0002_more"]


def with_sql(project: Project, operations: str) -> list[str]:
    """Of each, its statements."""
    codes = [one.recipe.code for one in found(project, operations) if one.recipe.language == "sql"]
    return [re.sub(r"--[^\n]*", "", code) for code in codes]


def carried_out(database: Database, codes: list[str]) -> Real:
    with database.connect() as connection:
        for code in codes:
            for statement in filter(str.strip, code.split(";")):
                connection.execute(statement.encode())
    return on_postgres(database)


# A few of each kind; `make slow` has all.
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow) if number % 3 else case for number, case in enumerate(SAME)],
)
def test_what_is_pasted_makes_what_the_migration_makes(shop: Project, database: Database, case: str) -> None:
    codes = with_sql(shop, SAME[case])
    assert codes
    if case.startswith("key"):
        codes.insert(0, "ALTER TABLE shop_other DROP CONSTRAINT shop_other_pkey")
    pasted = carried_out(database, codes)
    again = [f"ALTER TABLE {table} DROP CONSTRAINT {name}" for table, name in added(pasted)]
    with database.connect() as connection:
        for statement in again:
            connection.execute(statement.encode())
        for name in set(indexes(pasted)) & {"once", "shop_item_label_8a4fa6c1", *likes(pasted)}:
            connection.execute(f'DROP INDEX IF EXISTS "{name}"'.encode())
    if case.startswith("key"):
        carried_out(database, ["ALTER TABLE shop_other ADD CONSTRAINT shop_other_pkey PRIMARY KEY (id)"])
    assert migrate(shop.address()).answer["recorded_after"] == [["shop", "0002_more"]]
    assert pasted == on_postgres(database)


def added(real: Real) -> list[tuple[str, str]]:
    standing = ("_pkey", "_code_key")
    return [
        (table, name)
        for table, names in real.constraints.items()
        for name in names
        if not name.endswith(standing)
    ]


def indexes(real: Real) -> list[str]:
    return [name for names in real.indexes.values() for name in names]


def likes(real: Real) -> list[str]:
    return [name for name in indexes(real) if name.startswith("shop_item_label")]


OTHER_INDEXES = [
    'GinIndex(fields=["data"], name="i")',
    'models.Index(fields=["n"], include=["m"], name="i")',
    'models.Index(fields=["label"], opclasses=["varchar_pattern_ops"], name="i")',
    'models.Index(fields=["n"], condition=models.Q(m=1), name="i")',
]


@pytest.mark.parametrize("index", OTHER_INDEXES)
def test_an_index_that_has_more_than_fields_is_not_written_out_as_one_that_has_not(
    shop: Project, index: str
) -> None:
    (finding,) = (one for one in found(shop, f'migrations.AddIndex("Item", {index})') if one.recipe.code)
    assert "AddIndexConcurrently('item', ...),  # the index as AddIndex has it" in finding.recipe.code


def test_one_that_has_only_fields_is_written_out(shop: Project) -> None:
    operation = 'migrations.AddIndex("Item", models.Index(fields=["-n", "m"], name="i"))'
    (finding,) = (one for one in found(shop, operation) if one.recipe.code)
    assert "models.Index(fields=['-n', 'm'], name='i'))," in finding.recipe.code


FIELDS: list[Any] = [
    ('models.CharField(max_length=5, default="x")', "models.CharField(max_length=5, db_default='x'))"),
    (
        'models.DecimalField(max_digits=5, decimal_places=2, default=Decimal("1.5"))',
        "models.DecimalField(max_digits=5, decimal_places=2, db_default=Decimal('1.5')))",
    ),
    (
        'models.ForeignKey("shop.Other", models.CASCADE, default=1)',
        "...)  # the field as it is, with db_default=1",
    ),
]


@pytest.mark.parametrize(("field", "code"), FIELDS)
def test_a_field_is_written_out_with_all_that_it_needs_or_not_at_all(
    shop: Project, field: str, code: str
) -> None:
    told = [one.recipe.code for one in found(shop, f'migrations.AddField("Item", "x", {field})')]
    assert f"migrations.AddField('item', 'x', {code}" in told


def test_the_column_of_an_order_is_not_null_for_old_code_too(shop: Project, database: Database) -> None:
    told = found(shop, 'migrations.AlterOrderWithRespectTo("Item", "o")')
    (finding,) = (one for one in told if one.rule == "dropped-default")
    assert finding.subject == "shop_item._order"
    migrate(shop.address())
    carried_out(database, [finding.recipe.code, "INSERT INTO shop_item (n) VALUES (1)"])
