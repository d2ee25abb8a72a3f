"""What one migration changes of the schema, as Django's own states say: models before it, models after it.

The state before it holds every migration that is recorded, in the order of the full plan; the state after it
holds this one too. `CannotTell` says why that is no base for a comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import apps
from django.db import router
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import RenameModel
from django.db.migrations.state import ProjectState

from . import failures
from .touches import told_twice, touches

if TYPE_CHECKING:
    from typing import Any

    from .touches import Touch

    Models = dict[str, Any]

# Of these, and of them alone, all that they do to a database is in the state. Subclasses may do more.
SEEN_IN = ("django.db.migrations.operations.", "django.contrib.postgres.operations")
SEEN = (
    "CreateModel", "DeleteModel", "RenameModel", "AlterModelTable", "AlterUniqueTogether",
    "AlterIndexTogether", "AlterModelOptions", "AlterModelManagers", "AlterOrderWithRespectTo", "AddField",
    "RemoveField", "AlterField", "RenameField", "AddIndex", "RemoveIndex", "RenameIndex", "AddConstraint",
    "RemoveConstraint", "AlterConstraint", "AddIndexConcurrently", "RemoveIndexConcurrently",
)  # fmt: skip


class CannotTell(Exception):
    """The words say why."""


class Change:
    """`before` and `after`: {table: model} of the tables that the migration may touch, where one is made.
    `touches`: what its operations touch, one after another."""

    def __init__(self, connection: Any, executor: MigrationExecutor, key: tuple[str, str]) -> None:
        self.connection = connection
        self.loader = executor.loader
        self.applied = self.loader.applied_migrations
        self.key = key
        self.recorded = key in self.applied
        self.migration = self._found()
        self._check_neighbours()
        self.touches: list[Touch] = []
        before, after = self._states(executor)
        self._check_twice()
        self.before, self.after = self._touched(self._models(before), self._models(after), before, after)

    def _found(self) -> Any:
        if self.key not in self.loader.disk_migrations:
            raise CannotTell("its file is not there")
        if self.key not in self.loader.graph.nodes:
            raise CannotTell("a squashed migration stands for it")
        return self.loader.disk_migrations[self.key]

    def _check_neighbours(self) -> None:
        graph = self.loader.graph
        lacking = [
            key for key in graph.forwards_plan(self.key) if key not in self.applied and key != self.key
        ]
        if lacking:
            raise CannotTell(f"{names(lacking)}, which it builds on, is not recorded")
        upon = [key for key in graph.backwards_plan(self.key) if key in self.applied and key != self.key]
        if upon:
            raise CannotTell(f"{names(upon)}, recorded as applied, builds on it")

    def _states(self, executor: MigrationExecutor) -> tuple[Any, Any]:
        """Both rendered."""
        try:
            before, after = self._built(executor)
            before.apps, after.apps  # noqa: B018
        except Exception as problem:
            # A field or a model of the project's own takes part.
            failures.let_a_stop_through(problem)
            raise CannotTell(
                f"the project's models cannot be built ({failures.describe(problem)})"
            ) from problem
        return before, after

    def _built(self, executor: MigrationExecutor) -> tuple[Any, Any]:
        before, after = ProjectState(real_apps=self.loader.unmigrated_apps), None
        plan = executor.migration_plan(self.loader.graph.leaf_nodes(), clean_start=True)
        for migration, _ in plan:
            key = (migration.app_label, migration.name)
            if key == self.key:
                self.touches = touches(migration, before.clone())
                after = migration.mutate_state(before)
            elif key in self.applied:
                for state in filter(None, (before, after)):
                    migration.mutate_state(state, preserve=False)
        assert after is not None, "every node of the graph is in its full plan"
        return before, after

    def _check_twice(self) -> None:
        twice = sorted(told_twice(self.touches))
        if twice:
            raise CannotTell(f"it changes {', '.join(twice)} more than once, which the end does not show")

    def _models(self, state: Any) -> Models:
        """{label: model}: those that have a table of their own here, through tables included."""
        alias = self.connection.alias
        models = state.apps.get_models(include_auto_created=True)
        return {model._meta.label_lower: model for model in models if has_table(alias, model)}

    def _touched(self, before: Models, after: Models, was: Any, will: Any) -> tuple[Models, Models]:
        labels = [
            label
            for label in sorted({*before, *after})
            if not is_flipped(label, was.apps, will.apps)
            and (
                not is_same(was.models.get(key_of(label)), will.models.get(key_of(label)))
                or self._shape(before.get(label)) != self._shape(after.get(label))
            )
        ]
        tables = {
            models[label]._meta.db_table for models in (before, after) for label in labels if label in models
        }
        return self._in(tables, before), self._in(tables, after)

    def _shape(self, model: Any) -> Any:
        """What another model's change may change of this one: the type of a key that it points to."""
        if model is None:
            return None
        columns = [
            (field.column, str(field.db_parameters(self.connection)["type"]), target(field))
            for field in model._meta.local_concrete_fields
        ]
        return model._meta.db_table, columns

    def _in(self, tables: set[str], models: Models) -> Models:
        found: Models = {}
        for model in models.values():
            table = model._meta.db_table
            if table not in tables:
                continue
            if table in found:
                raise CannotTell(f"several models have the table {table}")
            if '"' in table or "." in table:
                raise CannotTell(f"the name of the table {table} is more than a name")
            found[table] = model
        return found

    def tables_of(self, touch: Touch) -> list[str]:
        """Those that are compared."""
        tables = {**self.before, **self.after}
        return [
            table
            for table, model in tables.items()
            if table.lower() in touch.owners or model._meta.model_name in touch.owners
        ]

    @property
    def unseen(self) -> list[str]:
        """Its operations whose work cannot be seen in the schema, in words."""
        found = [in_words(operation) for operation in self.migration.operations if not is_seen(operation)]
        if apps.is_installed("django.contrib.contenttypes"):
            # It adds an operation that renames the row of the content type to each of them as it runs.
            renamings = any(isinstance(touch.operation, RenameModel) for touch in self.touches)
            found += ["RenameModel of a content type"] if renamings else []
        own = type(self.migration).apply is not Migration.apply
        return [*found, *(["its own apply()"] if own else [])]


def has_table(alias: str, model: Any) -> bool:
    return bool(model._meta.can_migrate(alias) and router.allow_migrate_model(alias, model))


def is_flipped(label: str, before: Any, after: Any) -> bool:
    """Of a table that Django begins or ceases to manage nothing is changed by that."""
    pair = [apps_of.all_models.get(key_of(label)[0], {}).get(key_of(label)[1]) for apps_of in (before, after)]
    return None not in pair and pair[0]._meta.managed != pair[1]._meta.managed


def is_same(one: Any, other: Any) -> bool:
    """Two states of a model; a through table has none."""
    return bool(one == other) if one is not None and other is not None else one is other


def key_of(label: str) -> tuple[str, str]:
    app, _, name = label.partition(".")
    return app, name


def target(field: Any) -> tuple[str, str] | None:
    """(table, column) of the foreign key that the database holds for this field."""
    if not field.remote_field or not getattr(field, "db_constraint", False):
        return None
    model = field.remote_field.model
    return model._meta.db_table, model._meta.get_field(field.remote_field.field_name).column


def is_seen(operation: Any) -> bool:
    kind = type(operation)
    return kind.__name__ in SEEN and kind.__module__.startswith(SEEN_IN) and not has_comment(operation)


def has_comment(operation: Any) -> bool:
    """Comments of tables and columns are not compared."""
    fields = [getattr(operation, "field", None)]
    given = getattr(operation, "fields", ())
    fields += [field for _, field in given] if isinstance(given, list) else []
    options = getattr(operation, "options", None) or {}
    return bool(options.get("db_table_comment")) or any(getattr(one, "db_comment", None) for one in fields)


def in_words(operation: Any) -> str:
    code = getattr(operation, "code", None)
    named = getattr(code, "__name__", "")
    return f"{type(operation).__name__}{' ' + named if named else ''}"


def names(keys: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{app}.{name}" for app, name in keys[:3])
    return shown + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
