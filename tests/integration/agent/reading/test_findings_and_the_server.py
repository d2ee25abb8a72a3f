"""What is said of a migration's dangers and what Postgres is seen to do agree, in both directions."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dbops import lint
from dbops.target import door
from tests.integration.agent import oracle
from tests.integration.agent.conftest import Database
from tests.targets.builder import make_project

BASE = """
    migrations.CreateModel("Parent", [
        ("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField())]),
    migrations.CreateModel("Child", [("id", models.BigAutoField(primary_key=True)),
        ("parent", models.ForeignKey("Parent", models.CASCADE, null=True)),
        ("parent_number", models.BigIntegerField(null=True))]),
    migrations.CreateModel("Item", [
        ("id", models.AutoField(primary_key=True)),
        ("name", models.CharField(max_length=50)),
        ("note", models.TextField()),
        ("number", models.IntegerField(null=True)),
        ("small", models.SmallIntegerField(default=1)),
        ("amount", models.DecimalField(max_digits=10, decimal_places=2)),
        ("ratio", models.FloatField(default=0)),
        ("at", models.DateTimeField(null=True)),
        ("positive", models.PositiveIntegerField(default=1)),
        ("data", models.JSONField(null=True)),
        ("word", models.CharField(max_length=20, null=True)),
        ("unique_word", models.CharField(max_length=20, unique=True)),
        ("owner", models.ForeignKey("Parent", models.CASCADE, null=True)),
        ("flag", models.BooleanField(default=False)),
    ]),
"""
FILL = (
    "INSERT INTO {app}_parent (n) SELECT i FROM generate_series(1, {rows}) i",
    "INSERT INTO {app}_child (parent_id, parent_number) SELECT i, i FROM generate_series(1, {rows}) i",
    "INSERT INTO {app}_item (name, note, number, small, amount, ratio, positive, word, unique_word, "
    "owner_id, flag) "
    "SELECT 'name', 'note', i, 1, 1.25, 0, 1, 'word', i::text, i, false FROM generate_series(1, {rows}) i",
)
HEAD = """
import uuid
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db.models import F, Q
from django.db.models.functions import Lower, Now, Random
"""
ITEM = "migrations.{}('Item', {}),"

# What is done: which rules speak, apart from those of FREE. What Postgres does is not written down here.
CASES: dict[str, tuple[str, set[str]]] = {
    # additions of columns
    "null_column": ("AddField('Item', 'x', models.IntegerField(null=True))", set()),
    "constant_db_default": ("AddField('Item', 'x', models.IntegerField(db_default=3))", set()),
    "now_db_default": ("AddField('Item', 'x', models.DateTimeField(db_default=Now()))", set()),
    "random_db_default": ("AddField('Item', 'x', models.FloatField(db_default=Random()))", {"table-rewrite"}),
    "python_default": ("AddField('Item', 'x', models.IntegerField(default=3))", {"dropped-default"}),
    "blank_text": ("AddField('Item', 'x', models.CharField(max_length=9, blank=True))", {"dropped-default"}),
    "one_off_default": (
        "AddField('Item', 'x', models.IntegerField(default=3), preserve_default=False)",
        {"dropped-default"},
    ),
    "required": ("AddField('Item', 'x', models.IntegerField())", {"required-column"}),
    "uuid_default": (
        "AddField('Item', 'x', models.UUIDField(default=uuid.uuid4))",
        {"dropped-default", "same-value"},
    ),
    "unique_uuid_default": (
        "AddField('Item', 'x', models.UUIDField(default=uuid.uuid4, unique=True))",
        {"dropped-default", "same-value", "blocking-unique"},
    ),
    "unique_one_off": (
        "AddField('Item', 'x', models.IntegerField(default=3, unique=True), preserve_default=False)",
        {"dropped-default", "same-value", "blocking-unique"},
    ),
    "unique_default_of_nothing": (
        "AddField('Item', 'x', models.IntegerField(null=True, default=None, unique=True))",
        {"blocking-unique"},
    ),
    "null_default": ("AddField('Item', 'x', models.IntegerField(null=True, default=3))", set()),
    "positive_column": ("AddField('Item', 'x', models.PositiveIntegerField(null=True))", {"check-scan"}),
    "unique_column": (
        "AddField('Item', 'x', models.IntegerField(null=True, unique=True))",
        {"blocking-unique"},
    ),
    "unique_text": (
        "AddField('Item', 'x', models.CharField(max_length=9, null=True, unique=True))",
        {"blocking-unique", "blocking-index"},
    ),
    "foreign_key_with_default": (
        "AddField('Item', 'x', models.ForeignKey('Parent', models.CASCADE, default=1))",
        {"dropped-default", "foreign-key-scan", "blocking-index"},
    ),
    "collation": ("AlterField('Item', 'name', models.CharField(max_length=50, db_collation='C'))", set()),
    "collation_of_unique": (
        "AlterField('Item', 'unique_word', models.CharField(max_length=20, unique=True, db_collation='C'))",
        {"blocking-index"},
    ),
    "unique_to_text": (
        "AlterField('Item', 'unique_word', models.TextField(unique=True))",
        {"lost-statistics", "blocking-index"},
    ),
    "index_off": (
        "AlterField('Item', 'owner', models.ForeignKey('Parent', models.CASCADE, null=True, db_index=False))",
        {"foreign-key-scan"},
    ),
    "to_one_to_one": (
        "AlterField('Item', 'owner', models.OneToOneField('Parent', models.CASCADE, null=True))",
        {"blocking-unique", "foreign-key-scan"},
    ),
    "json_to_text": ("AlterField('Item', 'data', models.TextField(null=True))", {"table-rewrite"}),
    "slug": ("AddField('Item', 'x', models.SlugField(null=True))", {"blocking-index"}),
    "foreign_key": (
        "AddField('Item', 'x', models.ForeignKey('Parent', models.CASCADE, null=True))",
        {"blocking-index"},
    ),
    "foreign_key_bare": (
        "AddField('Item', 'x', models.ForeignKey('Parent', models.CASCADE, null=True, "
        "db_constraint=False, db_index=False))",
        set(),
    ),
    "one_to_one": (
        "AddField('Item', 'x', models.OneToOneField('Parent', models.CASCADE, null=True))",
        {"blocking-unique"},
    ),
    "many_to_many": ("AddField('Item', 'x', models.ManyToManyField('Parent'))", set()),
    "generated_stored": (
        "AddField('Item', 'x', models.GeneratedField(expression=F('small') + 1, "
        "output_field=models.IntegerField(), db_persist=True))",
        {"table-rewrite"},
    ),
    # changes of types
    "wider": ("AlterField('Item', 'name', models.CharField(max_length=80))", {"lost-statistics"}),
    "narrower": ("AlterField('Item', 'name', models.CharField(max_length=20))", {"table-rewrite"}),
    "char_to_text": ("AlterField('Item', 'name', models.TextField())", {"lost-statistics"}),
    "text_to_char": (
        "AlterField('Item', 'note', models.CharField(max_length=9))",
        {"table-rewrite", "lossy-type"},
    ),
    "int_to_big": ("AlterField('Item', 'number', models.BigIntegerField(null=True))", {"table-rewrite"}),
    "small_to_int": ("AlterField('Item', 'small', models.IntegerField(default=1))", {"table-rewrite"}),
    "int_to_text": (
        "AlterField('Item', 'number', models.CharField(max_length=20, null=True))",
        {"table-rewrite"},
    ),
    "more_digits": (
        "AlterField('Item', 'amount', models.DecimalField(max_digits=12, decimal_places=2))",
        {"lost-statistics"},
    ),
    "more_scale": (
        "AlterField('Item', 'amount', models.DecimalField(max_digits=12, decimal_places=4))",
        {"table-rewrite"},
    ),
    "less_scale": (
        "AlterField('Item', 'amount', models.DecimalField(max_digits=10, decimal_places=0))",
        {"table-rewrite", "lossy-type"},
    ),
    "decimal_to_float": (
        "AlterField('Item', 'amount', models.FloatField())",
        {"table-rewrite", "lossy-type"},
    ),
    "moment_to_date": (
        "AlterField('Item', 'at', models.DateField(null=True))",
        {"table-rewrite", "lossy-type"},
    ),
    "auto_to_big_auto": (
        "AlterField('Item', 'id', models.BigAutoField(primary_key=True))",
        {"table-rewrite"},
    ),
    "wider_unique": (
        "AlterField('Item', 'unique_word', models.CharField(max_length=40, unique=True))",
        {"lost-statistics"},
    ),
    "positive_to_big": (
        "AlterField('Item', 'positive', models.PositiveBigIntegerField(default=1))",
        {"table-rewrite", "check-scan"},
    ),
    "positive_to_int": ("AlterField('Item', 'positive', models.IntegerField(default=1))", set()),
    # nullability, checks, indexes
    "not_null": ("AlterField('Item', 'number', models.IntegerField())", {"set-not-null"}),
    "not_null_with_default": (
        "AlterField('Item', 'number', models.IntegerField(default=0))",
        {"set-not-null"},
    ),
    "null": ("AlterField('Item', 'name', models.CharField(max_length=50, null=True))", set()),
    "to_positive": ("AlterField('Item', 'number', models.PositiveIntegerField(null=True))", {"check-scan"}),
    "index_on": (
        "AlterField('Item', 'number', models.IntegerField(null=True, db_index=True))",
        {"blocking-index"},
    ),
    "unique_on": (
        "AlterField('Item', 'number', models.IntegerField(null=True, unique=True))",
        {"blocking-unique"},
    ),
    "unique_off": ("AlterField('Item', 'unique_word', models.CharField(max_length=20))", set()),
    "add_index": ("AddIndex('Item', models.Index(fields=['number'], name='{app}_x'))", {"blocking-index"}),
    "unique_together": ("AlterUniqueTogether('Item', {('name', 'number')})", {"blocking-unique"}),
    "check": (
        "AddConstraint('Item', models.CheckConstraint(condition=Q(number__gte=0), name='{app}_x'))",
        {"check-scan"},
    ),
    "check_not_valid": (
        "AddConstraintNotValid('Item', models.CheckConstraint(condition=Q(number__gte=0), name='{app}_x'))",
        set(),
    ),
    "unique_constraint": (
        "AddConstraint('Item', models.UniqueConstraint(fields=['number'], name='{app}_x'))",
        {"blocking-unique"},
    ),
    "unique_condition": (
        "AddConstraint('Item', models.UniqueConstraint(fields=['number'], condition=Q(number__gt=3), "
        "name='{app}_x'))",
        {"blocking-index"},
    ),
    "unique_expression": (
        "AddConstraint('Item', models.UniqueConstraint(Lower('unique_word'), name='{app}_x'))",
        {"blocking-index"},
    ),
    "int_to_foreign_key": (
        "AlterField('Child', 'parent_number', models.ForeignKey('Parent', models.CASCADE, null=True, "
        "db_column='parent_number', related_name='+'))",
        {"foreign-key-scan", "blocking-index"},
    ),
    "constraint_off": (
        "AlterField('Child', 'parent', models.ForeignKey('Parent', models.CASCADE, null=True, "
        "db_constraint=False))",
        set(),
    ),
    # loss and names
    "remove_field": ("RemoveField('Item', 'number')", {"drop-column"}),
    "remove_foreign_key": ("RemoveField('Child', 'parent')", {"drop-column"}),
    "delete_model": ("DeleteModel('Child')", {"drop-table"}),
    "rename_field": ("RenameField('Item', 'number', 'count')", {"rename-column"}),
    "rename_model": ("RenameModel('Child', 'Kid')", {"rename-table"}),
    "rename_parent": ("RenameModel('Parent', 'Elder')", {"rename-table", "foreign-key-scan"}),
    "table": ("AlterModelTable('Child', '{app}_kids')", {"rename-table"}),
    "new_column_name": (
        "AlterField('Item', 'number', models.IntegerField(null=True, db_column='count'))",
        {"rename-column"},
    ),
    # nothing to do
    "choices": (
        "AlterField('Item', 'name', models.CharField(max_length=50, choices=[('a', 'A')], help_text='x', "
        "blank=True))",
        set(),
    ),
    "default": ("AlterField('Item', 'number', models.IntegerField(null=True, default=4))", set()),
    "options": ("AlterModelOptions('Item', {'ordering': ['name']})", set()),
    "managers": ("AlterModelManagers('Item', [])", set()),
    "on_delete": (
        "AlterField('Child', 'parent', models.ForeignKey('Parent', models.PROTECT, null=True))",
        set(),
    ),
    "state_only": (
        "SeparateDatabaseAndState(state_operations=[migrations.RemoveField('Item', 'number')])",
        set(),
    ),
    "create_model": (
        "CreateModel('New', [('id', models.BigAutoField(primary_key=True)), ('parent', "
        "models.ForeignKey('Parent', models.CASCADE)), ('slug', models.SlugField(unique=True))])",
        set(),
    ),
    "own_table": (
        "CreateModel('New', [('id', models.BigAutoField(primary_key=True)), ('a', "
        "models.IntegerField(null=True))]),"
        "migrations.AddIndex('New', models.Index(fields=['a'], name='{app}_x')),"
        "migrations.AlterField('New', 'a', models.PositiveBigIntegerField()),"
        "migrations.AddField('New', 'b', models.PositiveIntegerField(default=2, unique=True)),"
        "migrations.RemoveField('New', 'a'), migrations.RenameModel('New', 'Newer'), "
        "migrations.DeleteModel('Newer')",
        set(),
    ),
    # several in one transaction
    "alter_then_index": (
        "AddField('Item', 'x', models.IntegerField(null=True)),"
        "migrations.AddIndex('Item', models.Index(fields=['number'], name='{app}_x'))",
        {"blocking-index", "long-lock"},
    ),
    "validate_at_once": (
        "AddField('Item', 'y', models.IntegerField(null=True)),"
        "AddConstraintNotValid('Item', models.CheckConstraint(condition=Q(number__gte=0), name='{app}_x')),"
        "ValidateConstraint('Item', '{app}_x')",
        {"long-lock"},
    ),
    "added_then_filled": (
        "AddField('Item', 'x', models.IntegerField(null=True)),"
        "migrations.RunSQL('UPDATE {app}_item SET x = 1', migrations.RunSQL.noop)",
        {"mass-update", "long-lock"},
    ),
    # SQL
    "sql_not_null": ("RunSQL('ALTER TABLE {app}_item ALTER number SET NOT NULL', '')", {"set-not-null"}),
    "sql_index": (
        "RunSQL('CREATE INDEX {app}_x ON {app}_item (number)', 'DROP INDEX {app}_x')",
        {"blocking-index"},
    ),
    "sql_type": (
        "RunSQL('ALTER TABLE {app}_item ALTER COLUMN note TYPE varchar(99)', '')",
        {"table-rewrite"},
    ),
    "sql_not_valid": ("RunSQL('ALTER TABLE {app}_item ADD CHECK (number > 0) NOT VALID', '')", set()),
    "sql_check": ("RunSQL('ALTER TABLE {app}_item ADD CHECK (number > 0)', '')", {"check-scan"}),
    "sql_foreign_key": (
        "RunSQL('ALTER TABLE {app}_child ADD CONSTRAINT {app}_x FOREIGN KEY (parent_number) REFERENCES "
        "{app}_parent (id)', '')",
        {"foreign-key-scan"},
    ),
    "sql_comment": (
        "RunSQL('-- DROP TABLE x\\nCOMMENT ON TABLE {app}_item IS $$; DELETE FROM x$$', '')",
        set(),
    ),
    "sql_virtual": (
        "RunSQL('ALTER TABLE {app}_item ADD v integer GENERATED ALWAYS AS (small + 1) VIRTUAL', '')",
        set(),
    ),
    "sql_not_null_not_valid": (
        "RunSQL('ALTER TABLE {app}_item ADD CONSTRAINT {app}_x NOT NULL number NOT VALID', '')",
        set(),
    ),
    "sql_not_null_constraint": (
        "RunSQL('ALTER TABLE {app}_item ADD CONSTRAINT {app}_x NOT NULL number', '')",
        {"set-not-null"},
    ),
    "sql_several": (
        "RunSQL(['ALTER TABLE {app}_item ADD c integer', 'CREATE INDEX ON {app}_item (small)'], '')",
        {"blocking-index"},
    ),
    "sql_using_index": (
        "RunSQL(['CREATE UNIQUE INDEX {app}_u ON {app}_item (number)', "
        "'ALTER TABLE {app}_item ADD CONSTRAINT {app}_u UNIQUE USING INDEX {app}_u'], '')",
        {"blocking-index"},
    ),
    "sql_uuid": (
        "RunSQL('ALTER TABLE {app}_item ADD u uuid DEFAULT gen_random_uuid()', '')",
        {"table-rewrite"},
    ),
    "sql_cluster": ("RunSQL('CLUSTER {app}_item USING {app}_item_pkey', '')", {"table-rewrite"}),
    "sql_drop": (
        "RunSQL('ALTER TABLE {app}_item DROP number, DROP COLUMN IF EXISTS word', '')",
        {"drop-column"},
    ),
}
# Statements that only newer servers know.
SINCE = {"sql_virtual": 180000, "sql_not_null_not_valid": 180000, "sql_not_null_constraint": 180000}
# They say what is true of code and of Django, which the server does not show here.
FREE = {"irreversible", "python-code", "not-atomic"}
SCANS = {
    "blocking-index",
    "check-scan",
    "blocking-unique",
    "set-not-null",
    "foreign-key-scan",
    "exclusion-scan",
    "long-lock",
}
FAILS = {"required-column", "same-value"}


BACKWARDS = [
    "CreateModel('New', [('id', models.BigAutoField(primary_key=True))])",
    "AddField('Item', 'x', models.IntegerField(null=True))",
    "AddField('Item', 'many', models.ManyToManyField('Parent', related_name='+'))",
    "AlterField('Item', 'name', models.CharField(max_length=80))",
    "AlterField('Item', 'name', models.CharField(max_length=80, null=True))",
    "AddIndex('Item', models.Index(fields=['number'], name='back_x'))",
    "RemoveIndex('Item', 'back_x')",
    "RenameField('Item', 'number', 'count')",
    "RemoveField('Item', 'word')",
    "AlterField('Child', 'parent', models.ForeignKey('Parent', models.CASCADE, null=True, "
    "db_constraint=False))",
    "AlterField('Item', 'positive', models.IntegerField(default=1))",
]
SAID_BACKWARDS = [
    *({"drop-table"}, {"drop-column"}, {"drop-table"}, {"table-rewrite"}, {"set-not-null"}, set()),
    *({"blocking-index"}, {"rename-column"}, set(), {"foreign-key-scan"}, {"check-scan"}),
]


class Place:
    """A project on a database of its own, whose tables have rows once they are migrated."""

    def __init__(self, path: Path) -> None:
        self.name = f"agent_{uuid.uuid4().hex[:12]}"
        url = os.environ["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
        self.database = Database(url, self.name)
        self.project = make_project(path, {"default": self.database.settings})

    def begin(self, *apps: str) -> None:
        for app in apps:
            self.project.write(f"{app}/__init__.py", "")
            self.project.migration("0001_initial", BASE, app=app)
        self.project.settings(apps=apps)

    def follow(self, app: str, name: str, operations: str) -> None:
        prefix = "" if operations.startswith("AddConstraintNotValid") else "migrations."
        self.project.migration(name, prefix + operations.replace("{app}", app), app=app, head=HEAD)

    def migrate(self) -> None:
        argv = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(argv, cwd=self.project.path, check=True, env={"PATH": os.environ["PATH"]})

    def fill(self, *apps: str, changed: Mapping[str, str] | None = None) -> None:
        texts = [statement.format(app=app, rows=oracle.ROWS) for app in apps for statement in FILL]
        with self.database.connect() as connection:
            for text in texts:
                for old, new in (changed or {}).items():
                    text = text.replace(old, new)
                connection.execute(text.encode())

    def plan(self, **arguments: Any) -> Mapping[str, Any]:
        return door.call(self.project.address(), "plan", {"alias": "default", **arguments}, timeout_s=120)

    def findings(self, plan: Mapping[str, Any]) -> dict[str, list[lint.Finding]]:
        with self.database.connect() as connection:
            return lint.findings(plan, "postgresql", connection.info.server_version)

    def drop(self) -> None:
        url = os.environ["TEST_POSTGRES_SUPERUSER_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Every case is an app, whose second migration is to be applied; `back` is to be unapplied."""
    place = Place(tmp_path_factory.mktemp("oracle"))
    apps = [f"c_{case}" for case in CASES]
    place.begin("back", *apps)
    for number, operations in enumerate(BACKWARDS, start=2):
        place.follow("back", f"{number:04}_step", operations)
    place.migrate()
    place.fill(*apps)
    place.fill("back", changed={"number, small": "count, small", "'word', i": "i", " word,": ""})
    for case, (operations, _) in CASES.items():
        place.follow(f"c_{case}", "0002_case", operations)
    yield place
    place.drop()


@dataclass(frozen=True)
class Told:
    migrations: dict[str, dict[str, Any]]
    found: dict[str, list[lint.Finding]]


@pytest.fixture(scope="module")
def told(place: Place) -> Told:
    plan = place.plan()
    return Told({one["app"]: one for one in plan["migrations"]}, place.findings(plan))


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_it(told: Told, case: str) -> None:
    findings = told.found[f"c_{case}.0002_case"]
    assert {finding.rule for finding in findings} - FREE == CASES[case][1], findings


@pytest.mark.parametrize("case", CASES)
def test_the_server_is_seen_to_do_what_is_said(place: Place, told: Told, case: str) -> None:
    with place.database.connect(autocommit=False) as connection:
        if connection.info.server_version < SINCE.get(case, 0):
            pytest.skip("This server does not know the statement.")
        seen = oracle.apply(connection, told.migrations[f"c_{case}"])
    agree(told.found[f"c_{case}.0002_case"], seen)


def test_what_is_said_of_a_plan_backwards_is_seen(place: Place) -> None:
    plan = place.plan(app="back", migration="0001")
    found = place.findings(plan)
    said = [{finding.rule for finding in findings} - FREE for findings in found.values()]
    assert said == SAID_BACKWARDS[::-1], found
    for migration in plan["migrations"]:
        with place.database.connect(autocommit=False) as connection:
            seen = oracle.apply(connection, migration, keep=True)
        agree(found[f"{migration['app']}.{migration['name']}"], seen)


def test_nothing_is_dangerous_on_tables_that_the_plan_makes_itself(tmp_path: Path) -> None:
    place = Place(tmp_path / "new")
    try:
        place.begin(*(f"c_{case}" for case in CASES))
        for case, (operations, _) in CASES.items():
            place.follow(f"c_{case}", "0002_case", operations)
        found = place.findings(place.plan())
    finally:
        place.drop()
    said = {name: [one for one in findings if one.rule not in FREE] for name, findings in found.items()}
    assert {name: findings for name, findings in said.items() if findings} == {}


def agree(findings: list[lint.Finding], seen: oracle.Seen) -> None:
    fails = [finding for finding in findings if finding.rule in FAILS and finding.severity == lint.DANGER]
    assert bool(seen.error) == bool(fails), seen.error
    if seen.error:
        return
    assert tables(one for one in findings if one.rule == "table-rewrite") == seen.rewritten
    scanning = [finding for finding in findings if finding.rule in SCANS]
    # Whoever is pointed to is looked through as well.
    told = tables(scanning) | {name for name in seen.scanned if name.endswith(("_parent", "_elder"))}
    assert told - seen.rewritten == set(seen.scanned) - seen.rewritten | (told - tables(scanning))
    for finding in scanning:
        lock, _, rest = finding.lock.partition(" on ")
        assert lock in seen.scanned[rest.partition(":")[0]], finding
    lost = {finding.subject for finding in findings if finding.rule.startswith(("drop-", "rename-"))}
    assert {name for name in seen.gone if name.partition(".")[0] not in seen.gone - {name}} == lost


def tables(findings: Iterable[lint.Finding]) -> set[str]:
    return {finding.subject.partition(".")[0] for finding in findings}
