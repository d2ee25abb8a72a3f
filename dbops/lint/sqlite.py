"""SQLite: Django makes the table anew for most changes, and copies its rows."""

from collections.abc import Iterator

from .change import Change
from .finding import WARNING, Finding
from .scene import Scene


def of_change(change: Change, scene: Scene) -> Iterator[Finding]:
    copied = [
        act.table.removeprefix("new__")
        for act in change.acts
        if act.kind == "create table" and act.table.startswith("new__")
    ]
    for table in dict.fromkeys(copied):
        if not scene.is_new(table):
            yield Finding(
                "table-copy",
                WARNING,
                "Copies the whole table",
                table,
                "SQLite cannot change this in place: Django makes a new table, copies every row, and "
                "drops the old one. Others "
                "cannot write to the database file meanwhile.",
                operation=change.position,
            )
