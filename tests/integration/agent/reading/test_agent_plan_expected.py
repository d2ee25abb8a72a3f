"""A job that was asked for from a plan is refused where the plan is another one by now."""

import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, migrate
from tests.integration.agent.planned import only, plan
from tests.targets.builder import ADD_NAME, Project


def expected(project: Project, seen: str, **arguments: str) -> Record:
    return migrate(project.address(), expected_plan=seen, **arguments)


def assert_refused(record: Record, names: list[str]) -> None:
    failure = record.failure
    assert (failure.type, failure.fault) == ("plan_changed", "person")
    assert [row[1] for row in failure.facts["plan"]] == names
    assert record.events("working") == [] == record.events("plan")
    error = errors.from_failure("shop", failure)
    assert isinstance(error, errors.PlanChanged)
    assert "Nothing was changed" in str(error)


def test_the_plan_that_was_seen_is_performed(postgres_shop: Project, database: Database) -> None:
    record = expected(postgres_shop, plan(postgres_shop)["fingerprint"])
    assert len(record.answer["recorded_after"]) == 3
    assert len(database.recorded()) == 3


def test_a_part_of_it_has_a_fingerprint_of_its_own(shop: Project) -> None:
    seen = plan(shop, app="shop", migration="0002")["fingerprint"]
    assert_refused(expected(shop, seen), ["0001_initial", "0002_name", "0003_price"])
    record = expected(shop, seen, app="shop", migration="0002")
    assert len(record.answer["recorded_after"]) == 2


@pytest.mark.parametrize("change", ["edited", "added", "applied", "taken away"])
def test_another_plan_is_refused_and_told(postgres_shop: Project, database: Database, change: str) -> None:
    seen = plan(postgres_shop)["fingerprint"]
    names = ["0001_initial", "0002_name", "0003_price"]
    file = postgres_shop.path / "shop" / "migrations" / "0003_price.py"
    if change == "edited":
        file.write_text(file.read_text() + "\n# otherwise\n")
    elif change == "added":
        postgres_shop.migration("0004_more", ADD_NAME.replace("name", "more"))
        names.append("0004_more")
    elif change == "taken away":
        file.unlink()
        names.pop()
    else:
        migrate(postgres_shop.address(), app="shop", migration="0001")
        names.pop(0)
    before = database.rows("SELECT count(*) FROM pg_class")
    record = expected(postgres_shop, seen)
    assert_refused(record, names)
    assert record.failure.facts["fingerprint"] == plan(postgres_shop)["fingerprint"]
    assert database.rows("SELECT count(*) FROM pg_class") == before


def test_where_none_can_be_made_any_more_it_is_refused_too(
    postgres_shop: Project, database: Database
) -> None:
    seen = plan(postgres_shop)["fingerprint"]
    postgres_shop.migration("0004_lost", "", after=[("shop", "0000_gone")])
    record = expected(postgres_shop, seen)
    assert_refused(record, [])
    assert "0000_gone" in record.failure.message
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


# What a plan does beyond its files

READS = 'from pathlib import Path\nSQL = (Path(__file__).parent / "rows.sql").read_text()'
HELPS = "from shop.helpers import fill\n"


def test_sql_that_a_migration_reads_from_another_file_is_part_of_what_was_seen(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.write("shop/migrations/rows.sql", "UPDATE shop_item SET n = 1")
    postgres_shop.migration("0004_rows", "migrations.RunSQL(SQL, migrations.RunSQL.noop)", head=READS)
    seen = plan(postgres_shop)["fingerprint"]
    assert plan(postgres_shop)["fingerprint"] == seen
    postgres_shop.write("shop/migrations/rows.sql", "DELETE FROM shop_item")
    names = ["0001_initial", "0002_name", "0003_price", "0004_rows"]
    assert_refused(expected(postgres_shop, seen), names)
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@pytest.mark.parametrize(
    "operation",
    [
        "migrations.RunPython(fill)",
        "migrations.RunPython(functools.partial(fill, 3))",
        "migrations.SeparateDatabaseAndState(database_operations=[migrations.RunPython(fill)])",
    ],
)
def test_a_function_of_another_module_is_part_of_what_was_seen(shop: Project, operation: str) -> None:
    shop.write("shop/helpers.py", "def fill(*_):\n    print('one')\n")
    shop.migration("0004_fill", operation, head="import functools\n" + HELPS)
    seen = plan(shop)["fingerprint"]
    assert plan(shop)["fingerprint"] == seen
    shop.write("shop/helpers.py", "def fill(*_):\n    print('another')\n")
    assert_refused(expected(shop, seen), ["0001_initial", "0002_name", "0003_price", "0004_fill"])


def test_a_file_that_is_changed_while_its_plan_is_read_is_not_what_was_seen(shop: Project) -> None:
    """The new text is on disk, and the SQL that is shown is that of the old one."""
    new = (shop.path / "shop/migrations/0003_price.py").read_text().replace("Integer", "BigInteger")
    head = (
        "import importlib\nfrom pathlib import Path\n"
        "importlib.import_module('shop.migrations.0003_price')\n"
        f"file, new = Path(__file__).with_name('0003_price.py'), {new!r}\n"
        "file.read_text() == new or file.write_text(new)\n"
    )
    shop.migration("0004_last", "", head=head)
    answer = plan(shop)
    assert only(answer, "0003_price")["after"]["type"] == "IntegerField"
    assert_refused(
        expected(shop, answer["fingerprint"]), ["0001_initial", "0002_name", "0003_price", "0004_last"]
    )


LATE = """
from pathlib import Path
from django.core.management.commands.migrate import Command as Migrate
class Command(Migrate):
    def handle(self, *args, **options):
        Path({path!r}).write_text({text!r})
        super().handle(*args, **options)
"""


def test_a_migration_that_comes_while_the_job_begins_is_not_applied(
    postgres_shop: Project, database: Database
) -> None:
    """Django looks for the files once more when it begins."""
    postgres_shop.settings("", apps=("shop", "late"))
    postgres_shop.migration("0004_gone", 'migrations.DeleteModel("Item")')
    file = postgres_shop.path / "shop/migrations/0004_gone.py"
    text = file.read_text()
    file.unlink()
    for package in ("late", "late/management", "late/management/commands"):
        postgres_shop.write(f"{package}/__init__.py", "")
    postgres_shop.write("late/management/commands/migrate.py", LATE.format(path=str(file), text=text))
    record = expected(postgres_shop, plan(postgres_shop)["fingerprint"])
    failure = record.failure
    assert failure.type == "plan_changed"
    assert [row[1] for row in failure.facts["plan"]][-1] == "0004_gone"
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
