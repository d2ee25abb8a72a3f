"""A look changes nothing: neither the catalogue, nor a row, nor a sequence, nor a file of the target."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect, migrate
from tests.targets import traps
from tests.targets.builder import Project

# Whatever a statement could leave behind.
CATALOGUE = """
SELECT 'class', c.oid::text, c.relname::text, c.relkind::text, c.relnatts::text, c.relfilenode::text,
       c.relacl::text
  FROM pg_class c
UNION ALL
SELECT 'column', attrelid::text, attname::text, atttypid::text, attnotnull::text, attnum::text, attacl::text
  FROM pg_attribute
UNION ALL
SELECT 'constraint', oid::text, conname::text, contype::text, pg_get_constraintdef(oid), '', ''
  FROM pg_constraint
UNION ALL
SELECT 'function', oid::text, proname::text, prosrc, '', '', '' FROM pg_proc
UNION ALL
SELECT 'schema', oid::text, nspname::text, '', '', '', '' FROM pg_namespace
UNION ALL
SELECT 'extension', oid::text, extname::text, '', '', '', '' FROM pg_extension
UNION ALL
SELECT 'sequence', '', schemaname || '.' || sequencename, last_value::text, '', '', '' FROM pg_sequences
"""


def tree(project: Project) -> dict[str, tuple[int, str]]:
    """Every file and folder with its time and content."""
    return {
        str(path): (path.stat().st_mtime_ns, content(path))
        for path in [project.path, *sorted(project.path.rglob("*"))]
    }


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def everything(database: Database) -> list[Any]:
    """Catalogue, sequences, and all rows with the transactions that made them."""
    with database.connect() as connection:
        found: list[Any] = sorted(connection.execute(CATALOGUE).fetchall())
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in sorted(tables):
            query = sql.SQL("SELECT xmin::text, xmax::text, ctid::text, t::text FROM {} t").format(
                sql.Identifier(name)
            )
            found.append((name, sorted(connection.execute(query).fetchall())))
    return found


def all_of_sqlite(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


def tempting(project: Project) -> None:
    """Applied in part, a conflict, models without a migration, a squash, code that would write; pending with
    SQL, Python and something that looks into the live database."""
    traps.with_models(project, "    size = models.IntegerField()\n")
    project.write("urls.py", "urlpatterns = []\n")
    project.settings("\nROOT_URLCONF = 'urls'\n")
    migrate(project.address(), app="shop", migration="0002")
    project.python("0004_rows", "apps.get_model('shop', 'Item').objects.create(n=1)")
    project.migration("0005_sql", "migrations.RunSQL('INSERT INTO shop_item (n) VALUES (2)')")
    unique = "migrations.AlterUniqueTogether('Item', {('n', 'name')})"
    project.migration("0006_unique", f"{unique}, migrations.AlterUniqueTogether('Item', set())")
    project.write("other/__init__.py", "")
    project.migration("0001_initial", "", app="other", after=[])
    project.migration("0002_a", "", app="other", after=[("other", "0001_initial")])
    project.migration("0002_b", "", app="other", after=[("other", "0001_initial")])
    project.settings("\nROOT_URLCONF = 'urls'\n", apps=("shop", "other"))


def full_look(project: Project) -> Any:
    return inspect(project.address(), details={"default": ""}, detail_budget_s=30)


def is_complete(report: Any) -> bool:
    """It did all that could have written."""
    found = report["databases"][0]
    planned = {one["name"] for one in found["plan_detail"]["migrations"]}
    assert {"0003_price", "0004_rows", "0005_sql", "0006_unique"} <= planned
    assert found["read_only_confirmed"]
    if found["conflicts"]:
        assert report["merges"]["other"]["source"]
    else:
        assert report["unmade"]["state"] == "found"
    return True


def resolved(project: Project) -> None:
    """Only without a conflict the models are compared."""
    (project.path / "other/migrations/0002_b.py").unlink()


def test_on_postgres(postgres_shop: Project, database: Database) -> None:
    tempting(postgres_shop)
    for change in (lambda _: None, resolved):
        change(postgres_shop)
        before = everything(database), tree(postgres_shop)
        assert is_complete(full_look(postgres_shop))
        assert (everything(database), tree(postgres_shop)) == before


def test_on_sqlite(shop: Project) -> None:
    tempting(shop)
    for change in (lambda _: None, resolved):
        change(shop)
        before = all_of_sqlite(shop.sqlite), tree(shop)
        assert is_complete(full_look(shop))
        assert (all_of_sqlite(shop.sqlite), tree(shop)) == before


def test_no_bytecode_is_left_by_what_the_target_starts_either(shop: Project) -> None:
    traps.at_set_up(
        shop,
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import shop.models_of_another'], check=True)\n",
    )
    shop.write("shop/models_of_another.py", "")
    inspect(shop.address())
    assert not list(shop.path.rglob("*.pyc"))


@pytest.mark.parametrize("write", ["INSERT INTO shop_item (n) VALUES (1)", "CREATE TABLE mine (n int)"])
def test_a_target_that_writes_while_it_is_looked_at_is_refused_by_the_server(
    postgres_shop: Project, database: Database, write: str
) -> None:
    migrate(postgres_shop.address())
    postgres_shop.write(
        "urls.py",
        f"from django.db import connection\nconnection.cursor().execute({write!r})\nurlpatterns = []\n",
    )
    postgres_shop.settings("\nROOT_URLCONF = 'urls'\n")
    before = everything(database)
    report = inspect(postgres_shop.address())
    assert "read-only transaction" in report["unmade"]["words"]
    assert report["databases"][0]["reachable"]
    assert everything(database) == before
