"""A migrate that is held to a plan applies nothing else, also where the tree is changed while it begins:
Django looks for the files of migrations once more."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import pre_migrate

from .failures import Failure

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from .planning import Plan


@contextlib.contextmanager
def only(alias: str, plan: Plan, refuse: Callable[[list[str]], Failure]) -> Iterator[None]:
    """`refuse` is asked for what is raised, with the names of those that are not of the plan."""
    expected = {tuple(row[:3]) for row in plan.rows()}
    migrate: Any = MigrationExecutor.migrate
    send: Any = pre_migrate.send

    def check(found: Any) -> None:
        other = [
            f"{migration.app_label}.{migration.name}"
            for migration, backwards in found
            if (migration.app_label, migration.name, backwards) not in expected
        ]
        if other:
            raise refuse(other)

    def migrate_expected(executor: Any, targets: Any, plan: Any = None, *args: Any, **kwargs: Any) -> Any:
        if executor.connection.alias == alias:
            check(executor.migration_plan(targets) if plan is None else plan)
        return migrate(executor, targets, plan, *args, **kwargs)

    def send_expected(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("using") == alias:
            check(kwargs.get("plan") or [])
        return send(*args, **kwargs)

    MigrationExecutor.migrate = migrate_expected  # type: ignore[method-assign]
    pre_migrate.send = send_expected  # type: ignore[method-assign]
    try:
        yield
    finally:
        MigrationExecutor.migrate = migrate  # type: ignore[method-assign]
        pre_migrate.send = send  # type: ignore[method-assign]
