"""What is said of a plan, from its facts alone: on every vendor, and where nothing can be told or happens."""

from typing import Any

import pytest

from dbops import lint

FIELD = {
    **dict.fromkeys(
        ["null", "unique", "db_index", "has_default", "default_is_callable", "many_to_many"], False
    ),
    **dict.fromkeys(["default", "db_default", "generated", "check", "through_table"], ""),
    "generated_stored": False,
    "max_length": None,
}
INTEGER = {**FIELD, "type": "IntegerField", "db_type": "integer", "column": "x"}
OPERATION: dict[str, Any] = {
    **dict.fromkeys(["before", "after", "reverse_sql", "source", "reverse_source"]),
    **dict.fromkeys(["sql_problem", "reverse_sql_problem"], ""),
    **dict.fromkeys(["reversible", "reduces_to_sql", "routed"], True),
    **dict.fromkeys(["state_only", "sql_cut"], False),
    "module": "django.db.migrations.operations.fields",
    "options": {},
    "nested": [],
}


def operation(kind: str, *sql: str | None, **facts: Any) -> dict[str, Any]:
    """One of Django's on shop_item; `sql` None: it cannot be had."""
    of = {"model": "shop.Item", "table": "shop_item", "name": "x", "column": "x"}
    sent = None if None in sql else list(sql)
    return {**OPERATION, **of, "kind": kind, "words": kind, "sql": sent, **facts}


def run_sql(*sql: str, **facts: Any) -> dict[str, Any]:
    return operation("RunSQL", *sql, table="", model="", column="", name="", **facts)


def python(source: str = "def forwards(apps, editor):\n    work()", **facts: Any) -> dict[str, Any]:
    return operation("RunPython", None, sql_problem="Python", table="", model="", source=source, **facts)


def migration(*operations: dict[str, Any], **facts: Any) -> dict[str, Any]:
    given = {
        "app": "shop",
        "name": "0002",
        "backwards": False,
        "atomic": True,
        "operations": list(operations),
    }
    return {**given, "deferred": [], "reverse_deferred": [], "before": {}, "after": {}, **facts}


def found(
    *migrations: dict[str, Any], vendor: str = "postgresql", version: int | None = 150004
) -> list[lint.Finding]:
    findings = lint.findings({"migrations": list(migrations)}, vendor, version)
    return [finding for each in findings.values() for finding in each]


def rules(*migrations: dict[str, Any], **options: Any) -> list[str]:
    return [finding.rule for finding in found(*migrations, **options)]


REMOVED = operation("RemoveField", 'ALTER TABLE "shop_item" DROP COLUMN "x" CASCADE', before=INTEGER)
VENDORS = ["postgresql", "sqlite", "mysql", "oracle", "somebody's own"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_data_is_lost_on_every_database(vendor: str) -> None:
    findings = found(migration(REMOVED), vendor=vendor)
    assert findings[0].rule == "drop-column"
    assert (findings[0].title, findings[0].severity, findings[0].subject) == (
        "Data loss",
        "danger",
        "shop_item.x",
    )
    assert bool(findings[0].lock) == (vendor == "postgresql")
    assert "RemoveField('item', 'x')" in findings[0].recipe.code


@pytest.mark.parametrize("vendor", VENDORS)
def test_unapplying_what_added_a_column_loses_it(vendor: str) -> None:
    added = operation(
        "AddField",
        "",
        after={**INTEGER, "null": True},
        reverse_sql=['ALTER TABLE "shop_item" DROP COLUMN "x"'],
    )
    assert "drop-column" in rules(migration(added, backwards=True), vendor=vendor)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_statement_of_one_s_own_that_empties_a_table_is_seen_on_every_database(vendor: str) -> None:
    assert "truncate" in rules(migration(run_sql("TRUNCATE shop_item")), vendor=vendor)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "quiet",
    [
        operation("AlterField", before=INTEGER, after=INTEGER),
        operation("AlterModelOptions"),
        operation("RenameIndex", 'ALTER INDEX "a" RENAME TO "b"'),
        operation("RemoveField", 'ALTER TABLE "shop_item" DROP COLUMN "x"', before=INTEGER, routed=False),
        operation("RemoveField", 'ALTER TABLE "shop_item" DROP COLUMN "x"', before=INTEGER, state_only=True),
        operation("RemoveField", before=INTEGER),
        python("def noop(apps, schema_editor):\n    return None\n"),
        run_sql("SET lock_timeout = '2s'", "SELECT set_config('a', 'b', true)"),
        run_sql(),
    ],
    ids=[
        "no SQL",
        "options",
        "index renamed",
        "not routed",
        "state only",
        "unmanaged",
        "noop",
        "settings",
        "no SQL at all",
    ],
)
def test_nothing_is_said_where_nothing_happens(quiet: dict[str, Any], vendor: str) -> None:
    said = rules(migration(quiet), vendor=vendor)
    # Which locks another database takes for what it is sent is not known.
    assert said in (
        [],
        ["cannot-tell-locks"] if quiet["sql"] and vendor not in ("postgresql", "sqlite") else [],
    )


def test_what_stops_unapplying_is_named() -> None:
    stuck = migration(operation("AlterModelOptions"), python(reversible=False, words="Raw Python operation"))
    finding = next(one for one in found(stuck) if one.rule == "irreversible")
    assert (finding.operation, finding.severity) == (1, "warning")
    assert "Raw Python operation" in finding.reason
    backwards = next(one for one in found({**stuck, "backwards": True}) if one.rule == "irreversible")
    assert backwards.severity == "danger"
    assert "refuses to unapply" in backwards.reason


def test_python_is_not_judged_but_named() -> None:
    finding = found(migration(python()))[0]
    assert (finding.rule, finding.severity, finding.title) == ("python-code", "notice", "Cannot tell")
    assert found(migration(python(reverse_source="def noop(a, b):\n    return None"), backwards=True)) == []


ADD_NULL = operation(
    "AddField", 'ALTER TABLE "shop_item" ADD COLUMN "x" integer NULL', after={**INTEGER, "null": True}
)


def test_python_behind_an_alter_keeps_its_lock() -> None:
    said = found(migration(ADD_NULL, python()))
    assert [one.rule for one in said] == ["long-lock", "python-code"]
    assert said[0].lock == "ACCESS EXCLUSIVE on shop_item: blocks reads and writes until COMMIT"
    assert "long-lock" not in rules(migration(ADD_NULL, python(), atomic=False))
    assert "long-lock" not in rules(migration(python(), ADD_NULL))


def test_without_a_transaction_what_was_done_stays() -> None:
    assert found(migration(ADD_NULL, ADD_NULL, atomic=False))[0].rule == "not-atomic"
    assert found(migration(ADD_NULL, ADD_NULL, atomic=False))[0].severity == "warning"
    assert found(migration(ADD_NULL, atomic=False))[0].severity == "notice"
    assert "not-atomic" not in rules(migration(operation("AlterModelOptions"), atomic=False))
    assert "not-atomic" in rules(migration(ADD_NULL, ADD_NULL), vendor="mysql")
    assert "not-atomic" not in rules(migration(ADD_NULL, ADD_NULL), vendor="sqlite")


CONCURRENT = operation("AddIndexConcurrently", 'CREATE INDEX CONCURRENTLY "i" ON "shop_item" ("x")')


def test_an_index_built_concurrently_needs_a_migration_that_is_not_atomic() -> None:
    assert rules(migration(CONCURRENT)) == ["concurrently-in-transaction"]
    assert rules(migration(CONCURRENT, atomic=False)) == ["not-atomic"]
    unknown = operation(
        "AddIndexConcurrently", None, sql_problem="cannot be executed inside a transaction",
        index={"name": "i", "fields": ["x"], "concurrently": True},
    )  # fmt: skip
    assert "concurrently-in-transaction" in rules(migration(unknown))


def test_an_index_of_a_field_that_comes_at_the_end_belongs_to_its_operation() -> None:
    added = migration(
        operation("AlterModelOptions"), ADD_NULL, deferred=['CREATE INDEX "shop_item_x" ON "shop_item" ("x")']
    )
    (finding,) = found(added)
    assert (finding.rule, finding.operation, finding.severity) == ("blocking-index", 1, "danger")
    assert finding.lock.startswith("ACCESS EXCLUSIVE on shop_item")


def test_where_the_sql_cannot_be_had_the_fields_decide_and_the_rest_is_said_not_to_be_known() -> None:
    before, after = {**INTEGER, "null": True}, {**INTEGER, "db_type": "bigint"}
    altered = operation("AlterField", None, sql_problem="the server is away", before=before, after=after)
    findings = found(migration(altered))
    assert [one.rule for one in findings] == ["set-not-null", "table-rewrite", "cannot-tell"]
    assert "the server is away" in findings[-1].reason


def test_an_operation_of_the_project_s_own_is_judged_by_its_statements() -> None:
    own = operation("Rebuild", 'ALTER TABLE "shop_item" ALTER "x" SET NOT NULL', module="shop.operations")
    assert rules(migration(own)) == ["set-not-null"]
    assert rules(migration({**own, "reduces_to_sql": False})) == ["set-not-null", "cannot-tell"]
    assert rules(migration({**own, "sql": None, "sql_problem": "it is one of the project's own"})) == [
        "cannot-tell"
    ]
    assert rules(migration({**own, "sql": ["CALL rebuild()"]})) == ["cannot-tell"]


def test_a_text_that_is_too_long_is_not_judged_by_its_beginning_alone() -> None:
    assert rules(migration(run_sql("SET a = 1", sql_cut=True))) == ["cannot-tell"]


def test_a_table_that_the_plan_made_before_is_nobody_s_yet() -> None:
    made = migration(operation("CreateModel", 'CREATE TABLE "shop_item" ("id" bigint)'), name="0001")
    alter = migration(operation("AlterField", 'ALTER TABLE "shop_item" ALTER COLUMN "x" SET NOT NULL'))
    assert rules(made, alter) == []
    assert rules(alter) == ["set-not-null"]
    renamed = migration(
        operation("RenameModel", 'ALTER TABLE "shop_item" RENAME TO "shop_thing"'), name="0002a"
    )
    of_thing = migration(run_sql("ALTER TABLE shop_thing ALTER x SET NOT NULL"), name="0003")
    assert rules(made, renamed, of_thing) == []
    assert rules(renamed, of_thing) == ["rename-table", "set-not-null"]


@pytest.mark.parametrize("vendor", ["sqlite", "mysql"])
def test_a_table_that_the_plan_made_is_known_elsewhere_too(vendor: str) -> None:
    made = migration(operation("CreateModel", "CREATE TABLE shop_item (x integer)"), name="0001")
    assert "drop-column" not in rules(made, migration(REMOVED), vendor=vendor)


def test_a_check_that_holds_not_null_spares_the_scan() -> None:
    table = {"constraints": {"x_set": 'CHECK ("x" IS NOT NULL)'}, "columns": {}}
    alter = operation("AlterField", 'ALTER TABLE "shop_item" ALTER COLUMN "x" SET NOT NULL')
    findings = found(migration(alter, before={"shop_item": table}))
    assert [(one.rule, one.severity) for one in findings] == [("set-not-null", "notice")]
    other = {"constraints": {"x_set": 'CHECK ("x" IS NOT NULL OR "y" > 0)'}, "columns": {}}
    assert found(migration(alter, before={"shop_item": other}))[0].severity == "danger"


def test_the_recipe_follows_the_server_s_version() -> None:
    alter = migration(operation("AlterField", 'ALTER TABLE "shop_item" ALTER COLUMN "x" SET NOT NULL'))
    assert 'NOT NULL "x" NOT VALID' in found(alter, version=180001)[0].recipe.code
    assert 'CHECK ("x" IS NOT NULL) NOT VALID' in found(alter, version=150004)[0].recipe.code
    assert 'CHECK ("x" IS NOT NULL) NOT VALID' in found(alter, version=None)[0].recipe.code


def test_what_old_servers_do_otherwise_is_known() -> None:
    default = migration(operation("AddField", "ALTER TABLE shop_item ADD COLUMN x integer DEFAULT 3 NULL"))
    assert rules(default, version=100023) == ["table-rewrite"]
    assert rules(default, version=110000) == []
    value = migration(run_sql("ALTER TYPE mood ADD VALUE 'x'"))
    assert rules(value, version=110000) == ["fails-in-transaction"]
    assert rules(value, version=120000) == []


def test_a_default_that_nobody_knows_is_not_claimed_to_be_harmless() -> None:
    (finding,) = found(migration(run_sql("ALTER TABLE shop_item ADD x integer DEFAULT shop_next()")))
    assert (finding.rule, finding.severity) == ("table-rewrite", "warning")
    assert "cannot be told" in finding.reason


MANY = {**FIELD, "type": "ManyToManyField", "db_type": "", "column": "", "many_to_many": True}
TAGS, LABELS = ({**MANY, "through_table": f"shop_{name}_tags"} for name in ("item", "thing"))
MAKES_TAGS = operation("AddField", 'CREATE TABLE "shop_item_tags" ("id" integer)', column="", after=TAGS)
RENAMES = operation(
    "RenameModel",
    'ALTER TABLE "shop_item" RENAME TO "shop_thing"',
    'CREATE TABLE "shop_thing_tags" ("id" integer)',
    'INSERT INTO "shop_thing_tags" (id) SELECT id FROM "shop_item_tags"',
    'DROP TABLE "shop_item_tags"',
    column="",
)
DROPS_LABELS = operation("RemoveField", 'DROP TABLE "shop_thing_tags"', column="", before=LABELS)
COPIES_TAGS = operation(
    "AlterField",
    'CREATE TABLE "new__shop_item_tags" ("id" integer)',
    'DROP TABLE "shop_item_tags"',
    'ALTER TABLE "new__shop_item_tags" RENAME TO "shop_item_tags"',
    column="",
    before=TAGS,
    after=TAGS,
)


def test_sqlite_loses_and_copies_nothing_in_a_table_of_many_to_many_that_the_plan_made() -> None:
    assert rules(migration(MAKES_TAGS, COPIES_TAGS), vendor="sqlite") == []
    assert rules(migration(MAKES_TAGS, RENAMES, DROPS_LABELS), vendor="sqlite") == []


def test_sqlite_loses_what_a_renamed_table_of_many_to_many_had_before_the_plan() -> None:
    assert "drop-table" in rules(migration(RENAMES, DROPS_LABELS), vendor="sqlite")
    assert rules(migration(COPIES_TAGS, COPIES_TAGS), vendor="sqlite") == ["table-copy"] * 2


def test_a_table_that_was_there_and_is_only_named_as_through_is_not_new() -> None:
    named = operation("AddField", column="", after=TAGS)
    assert rules(migration(named, COPIES_TAGS), vendor="sqlite") == ["table-copy"]


def test_sqlite_copies_a_table_and_knows_no_lock_of_postgres() -> None:
    remade = operation(
        "AlterField",
        'CREATE TABLE "new__shop_item" ("id" integer, "x" bigint)',
        'INSERT INTO "new__shop_item" ("id", "x") SELECT "id", "x" FROM "shop_item"',
        'DROP TABLE "shop_item"',
        'ALTER TABLE "new__shop_item" RENAME TO "shop_item"',
        before=INTEGER,
        after={**INTEGER, "db_type": "bigint"},
    )
    (finding,) = found(migration(remade), vendor="sqlite")
    assert (finding.rule, finding.subject, finding.lock) == ("table-copy", "shop_item", "")


def test_of_another_database_it_is_said_that_its_locks_are_not_known() -> None:
    (finding,) = found(migration(ADD_NULL), vendor="mysql")
    assert (finding.rule, finding.title) == ("cannot-tell-locks", "Cannot tell locks")


def test_each_migration_of_the_plan_has_its_list_and_the_worst_comes_first() -> None:
    plan = {"migrations": [migration(python(reversible=False), REMOVED), migration(name="0003")]}
    findings = lint.findings(plan, "postgresql", None)
    assert list(findings) == ["shop.0002", "shop.0003"]
    assert [one.severity for one in findings["shop.0002"]] == ["danger", "warning", "notice"]
    assert findings["shop.0003"] == []
    assert lint.worst(findings["shop.0002"]) == "danger"
    assert lint.worst([]) == ""
    assert lint.counts(findings["shop.0002"]) == {"danger": 1, "warning": 1, "notice": 1}
    assert lint.titles(findings["shop.0002"]) == ["Data loss", "Irreversible", "Cannot tell"]


def test_names_in_code_to_paste_stay_names() -> None:
    hostile = 'x"; DROP TABLE y; --'
    quoted = hostile.replace('"', '""')
    (finding,) = found(migration(run_sql(f'ALTER TABLE "{quoted}" ALTER "{quoted}" SET NOT NULL')))
    assert finding.subject == f"{hostile}.{hostile}"
    assert f'ALTER TABLE "{quoted}"' in finding.recipe.code


def test_an_answer_that_lacks_half_is_judged_as_far_as_it_goes() -> None:
    assert lint.findings({}, "postgresql", None) == {}
    bare = {
        "app": "a",
        "name": "b",
        "operations": [{"kind": "RemoveField"}, {"kind": "Own", "sql": ["DROP TABLE t"]}],
    }
    findings = lint.findings({"migrations": [bare]}, "postgresql", None)["a.b"]
    assert [finding.rule for finding in findings] == ["drop-table", "cannot-tell"]


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("CREATE TABLE IF NOT EXISTS shop_item (id int); DROP TABLE shop_item", "drop-table"),
        ("CREATE TABLE IF NOT EXISTS shop_item (id int); CREATE INDEX i ON shop_item (id)", "blocking-index"),
        ("ALTER TABLE shop_item ADD COLUMN IF NOT EXISTS y int; ALTER TABLE shop_item DROP y", "drop-column"),
    ],
)
def test_what_is_made_only_where_it_is_not_there_may_be_there(sql: str, rule: str) -> None:
    assert rule in [finding.rule for finding in found(migration(run_sql(sql)))]
    made = sql.replace("IF NOT EXISTS ", "")
    assert rule not in [finding.rule for finding in found(migration(run_sql(made)))]
