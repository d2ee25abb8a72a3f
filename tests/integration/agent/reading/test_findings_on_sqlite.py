"""Findings of the agent's own plans on SQLite, where Django makes a table anew for most changes."""

from typing import Any

from dbops import lint
from dbops.target import door
from tests.integration.agent.frames_of import migrate
from tests.targets.builder import Project


def rules(project: Project, **arguments: Any) -> dict[str, set[str]]:
    plan = door.call(project.address(), "plan", {"alias": "default", **arguments}, timeout_s=60)
    found = lint.findings(plan, "sqlite", None)
    locks = [finding for each in found.values() for finding in each if finding.lock]
    assert locks == [], "lock names are Postgres'"
    return {name: {finding.rule for finding in findings} for name, findings in found.items()}


def test_what_is_said_on_sqlite(shop: Project) -> None:
    migrate(shop.address())
    shop.migration("0004_bigger", 'migrations.AlterField("Item", "n", models.BigIntegerField(null=True))')
    shop.migration("0005_gone", 'migrations.RemoveField("Item", "price")')
    shop.migration("0006_called", 'migrations.RenameField("Item", "name", "title")')
    shop.migration("0007_more", 'migrations.AddField("Item", "more", models.IntegerField(default=3))')
    shop.migration(
        "0008_help", 'migrations.AlterField("Item", "n", models.BigIntegerField(null=True, help_text="x"))'
    )
    shop.migration("0009_sql", 'migrations.RunSQL("DELETE FROM shop_item")')
    shop.migration("0010_index", 'migrations.AddIndex("Item", models.Index(fields=["n"], name="shop_n"))')
    said = rules(shop)
    assert said["shop.0004_bigger"] == {"table-copy"}
    assert said["shop.0005_gone"] >= {"drop-column"}
    assert said["shop.0006_called"] == {"rename-column"}
    assert said["shop.0007_more"] >= {"dropped-default"}
    assert said["shop.0008_help"] == set()
    assert said["shop.0009_sql"] == {"delete", "irreversible"}
    assert said["shop.0010_index"] == set()


def test_a_new_database_is_in_nobody_s_way(shop: Project) -> None:
    shop.migration("0004_bigger", 'migrations.AlterField("Item", "n", models.BigIntegerField(null=True))')
    shop.migration("0005_gone", 'migrations.RemoveField("Item", "price")')
    assert set().union(*rules(shop).values()) == set()


def test_unapplying_loses_what_was_added(shop: Project) -> None:
    migrate(shop.address())
    said = rules(shop, app="shop", migration="zero")
    assert said["shop.0003_price"] >= {"drop-column"}
    assert said["shop.0001_initial"] == {"drop-table"}
