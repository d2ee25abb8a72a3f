"""What an operation is and does, told from it and from the states around it: OPERATION and FIELD of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import router
from django.db.migrations import operations as kinds
from django.db.models import NOT_PROVIDED

from . import failures
from .sources import code_of, named

if TYPE_CHECKING:
    from typing import Any

    from .tables import Describer

LONGEST_SOURCE = 100_000
MODEL_OPTIONS = (
    "AlterUniqueTogether",
    "AlterIndexTogether",
    "AlterOrderWithRespectTo",
    "AlterModelTableComment",
)


def plain(operation: Any) -> dict[str, Any]:
    """What needs no state: kind, words, flags, the source of what it runs."""
    code, reverse = getattr(operation, "code", None), getattr(operation, "reverse_code", None)
    runs = isinstance(operation, kinds.RunPython)
    return {
        "kind": type(operation).__name__,
        "module": type(operation).__module__,
        "words": words_of(operation),
        "reversible": is_reversible(operation),
        "reduces_to_sql": bool(operation.reduces_to_sql),
        "elidable": bool(operation.elidable),
        "atomic": getattr(operation, "atomic", None),
        "model": "",
        "table": "",
        "table_created_in": "",
        "name": "",
        "column": "",
        "before": None,
        "after": None,
        "index": None,
        "constraint": None,
        "options": {},
        "state_only": False,
        "database_only": False,
        "nested": [],
        "routed": True,
        "sql": None,
        "sql_problem": "",
        "reverse_sql": None,
        "reverse_sql_problem": "",
        "source": failures.clean(code_of(code), LONGEST_SOURCE) if runs else None,
        "reverse_source": failures.clean(code_of(reverse), LONGEST_SOURCE) if runs and reverse else None,
        "sql_cut": False,
    }


def words_of(operation: Any) -> str:
    try:
        return failures.clean(operation.describe())
    except Exception as problem:
        # The project's own.
        failures.let_a_stop_through(problem)
        return type(operation).__name__


def is_reversible(operation: Any) -> bool:
    """Django asks only what stands directly in the migration; what is within an operation fails later."""
    inner = getattr(operation, "database_operations", None) or []
    return bool(operation.reversible) and all(map(is_reversible, inner))


def stopping(operations: Any) -> list[str]:
    """The words of those that cannot be reversed; of those within others where these stop it."""
    found = []
    for operation in operations:
        inner = stopping(getattr(operation, "database_operations", None) or [])
        found += inner or ([] if operation.reversible else [words_of(operation)])
    return found


class Teller:
    """Facts that need the states: models before and after, rendered."""

    def __init__(self, alias: str, describer: Describer) -> None:
        self.alias = alias
        self.describer = describer

    def facts(self, operation: Any, app: str, before: Any, after: Any) -> dict[str, Any]:
        """Those of `plain` that are known better with the states around it."""
        name = model_name(operation)
        old = model_in(before, app, name)
        new = model_in(
            after, app, getattr(operation, "new_name", name) if is_a(operation, "RenameModel") else name
        )
        known = {
            "routed": self.is_routed(operation, app, old, new),
            "name": failures.clean(own_name(operation)),
            "options": options_of(operation, old, new),
            **self.parts(operation, old, new),
        }
        model = old or new
        if model is not None:
            label = f"{model._meta.app_label}.{model._meta.object_name}"
            known.update(model=failures.clean(label), table=failures.clean(model._meta.db_table))
        return known

    def is_routed(self, operation: Any, app: str, old: Any, new: Any) -> bool:
        model = new or old
        if model is not None:
            return bool(router.allow_migrate_model(self.alias, model))
        return bool(router.allow_migrate(self.alias, app, **(getattr(operation, "hints", None) or {})))

    def parts(self, operation: Any, old: Any, new: Any) -> dict[str, Any]:
        """Fields, index and constraint."""
        names = field_names(operation)
        before, after = (field_in(model, name) for model, name in zip((old, new), names))
        if is_a(operation, "AddField"):
            before = None
        if is_a(operation, "RemoveField"):
            after = None
        found: dict[str, Any] = {
            "before": self.field(before),
            "after": self.field(after),
            "index": index_facts(operation, old),
            "constraint": constraint_facts(operation, old),
        }
        shown = before if before is not None else after
        if shown is not None and shown.column:
            found["column"] = failures.clean(shown.column)
        return found

    def field(self, field: Any) -> dict[str, Any] | None:
        """FIELD of a plan."""
        if field is None:
            return None
        many = bool(field.many_to_many)
        column = self.describer.column(field) if field.column and not many else None
        parameters = field.db_parameters(connection=self.describer.connection)
        return {
            "type": type(field).__name__,
            "db_type": column["type"] or None if column else None,
            "column": field.column or "",
            "null": bool(field.null),
            "unique": bool(getattr(field, "unique", False)),
            "db_index": bool(field.db_index),
            "primary_key": bool(column and column["primary_key"]),
            "max_length": field.max_length,
            "has_default": bool(field.has_default()),
            "default": default_of(field),
            "default_is_callable": callable(field.default) and field.default is not NOT_PROVIDED,
            "db_default": column["default"] if column else "",
            "generated": column["generated"].rpartition(" ")[0] if column else "",
            "generated_stored": bool(column and column["generated"].endswith(" STORED")),
            "check": failures.clean(parameters.get("check") or ""),
            "collation": column["collation"] if column else "",
            "comment": failures.clean(column["comment"]) if column else "",
            "many_to_many": many,
            "references": references(field),
            "through_table": str(field.remote_field.through._meta.db_table)
            if many and has_through(field)
            else "",
        }


def model_name(operation: Any) -> str:
    if is_a(operation, "RenameModel"):
        return str(operation.old_name)
    name = getattr(operation, "model_name", None)
    if name is None and isinstance(operation, kinds.models.ModelOperation):
        name = operation.name
    return str(name or "")


def is_a(operation: Any, *names: str) -> bool:
    """By its class's or a parent's name: not every Django has each of them."""
    return any(
        kind.__name__ in names and kind.__module__.startswith("django.") for kind in type(operation).__mro__
    )


def model_in(state: Any, app: str, name: str) -> Any:
    return (state.apps.all_models.get(app) or {}).get(name.lower()) if name else None


def field_names(operation: Any) -> tuple[str, str]:
    if is_a(operation, "RenameField"):
        return operation.old_name, operation.new_name
    if is_a(operation, "AddField", "RemoveField", "AlterField"):
        return operation.name, operation.name
    return "", ""


def field_in(model: Any, name: str) -> Any:
    if model is None or not name:
        return None
    fields = [*model._meta.local_fields, *model._meta.local_many_to_many]
    return next((field for field in fields if field.name.lower() == name.lower()), None)


def own_name(operation: Any) -> str:
    """Of the field, index or constraint that it is about, or the new name of what it renames."""
    given = getattr(operation, "index", None) or getattr(operation, "constraint", None)
    if given is not None:
        return str(getattr(given, "name", "") or "")
    if is_a(operation, "RenameModel", "RenameField", "RenameIndex"):
        return str(operation.new_name)
    if isinstance(operation, kinds.models.ModelOperation):
        return ""
    return str(getattr(operation, "name", None) or "")


def index_facts(operation: Any, old: Any) -> dict[str, Any] | None:
    index = getattr(operation, "index", None)
    if is_a(operation, "RemoveIndex"):
        index = of_name(old, "indexes", operation.name)
    elif is_a(operation, "RenameIndex"):
        index = of_name(old, "indexes", getattr(operation, "old_name", None) or "")
    if index is None or not hasattr(index, "fields"):
        return None
    return {
        "name": failures.clean(index.name),
        "fields": [str(name) for name in index.fields],
        "unique": False,
        "condition": getattr(index, "condition", None) is not None,
        "concurrently": is_a(operation, "AddIndexConcurrently", "RemoveIndexConcurrently"),
        "expressions": bool(getattr(index, "expressions", None)),
    }


def constraint_facts(operation: Any, old: Any) -> dict[str, Any] | None:
    constraint = getattr(operation, "constraint", None)
    if is_a(operation, "RemoveConstraint", "ValidateConstraint"):
        constraint = of_name(old, "constraints", operation.name)
    if constraint is None or not hasattr(constraint, "name"):
        return None
    kinds_of = {"UniqueConstraint": "unique", "CheckConstraint": "check", "ExclusionConstraint": "exclusion"}
    kind = next(
        (kinds_of[one.__name__] for one in type(constraint).__mro__ if one.__name__ in kinds_of), "other"
    )
    return {
        "name": failures.clean(constraint.name),
        "kind": kind,
        "fields": [str(name) for name in getattr(constraint, "fields", None) or ()],
        "condition": kind != "check" and getattr(constraint, "condition", None) is not None,
        "expressions": bool(getattr(constraint, "expressions", None)),
        "not_valid": is_a(operation, "AddConstraintNotValid"),
    }


def of_name(model: Any, kind: str, name: str) -> Any:
    return (
        next((one for one in getattr(model._meta, kind) if one.name == name), None)
        if model is not None
        else None
    )


def options_of(operation: Any, old: Any, new: Any) -> dict[str, Any]:
    """Plain JSON; what an operation changes of a model beside its fields."""
    tables = {"old_table": table_of(old), "new_table": table_of(new)}
    if is_a(operation, "RenameModel"):
        return {"old_name": operation.old_name, "new_name": operation.new_name, **tables}
    if is_a(operation, "AlterModelTable"):
        return tables
    if is_a(operation, "RenameField"):
        return {"old_name": operation.old_name, "new_name": operation.new_name}
    if is_a(operation, "RenameIndex"):
        fields = [str(name) for name in getattr(operation, "old_fields", None) or ()]
        return {
            "old_name": getattr(operation, "old_name", None) or "",
            "old_fields": fields,
            "new_name": operation.new_name,
        }
    if is_a(operation, *MODEL_OPTIONS):
        return {"before": option(operation, old), "after": option(operation, new)}
    if is_a(operation, "AlterModelOptions"):
        return {str(key): failures.clean(repr(value)) for key, value in operation.options.items()}
    if is_a(operation, "CreateModel", "DeleteModel"):
        return made_or_gone(operation, old or new)
    if is_a(operation, "AddField", "AlterField"):
        return {"preserve_default": bool(operation.preserve_default)}
    return {}


def option(operation: Any, model: Any) -> Any:
    name = {
        "AlterUniqueTogether": "unique_together",
        "AlterIndexTogether": "index_together",
        "AlterOrderWithRespectTo": "order_with_respect_to",
        "AlterModelTableComment": "db_table_comment",
    }[next(one.__name__ for one in type(operation).__mro__ if one.__name__ in MODEL_OPTIONS)]
    value = getattr(model._meta, name, None) if model is not None else None
    if name.endswith("_together"):
        return sorted([str(field) for field in fields] for fields in value or ())
    return failures.clean(getattr(value, "name", value) or "")


def made_or_gone(operation: Any, model: Any) -> dict[str, Any]:
    if model is None:
        return {}
    meta = model._meta
    through = [one.remote_field.through for one in meta.local_many_to_many if has_through(one)]
    return {
        "fields": [failures.clean(field.name) for field in [*meta.local_fields, *meta.local_many_to_many]],
        "managed": bool(meta.managed),
        "proxy": bool(meta.proxy),
        "through_tables": [one._meta.db_table for one in through if one._meta.auto_created],
    }


def table_of(model: Any) -> str:
    return failures.clean(model._meta.db_table) if model is not None else ""


def has_through(field: Any) -> bool:
    return hasattr(getattr(field.remote_field, "through", None), "_meta")


def references(field: Any) -> dict[str, Any] | None:
    remote = field.remote_field
    if not remote or field.many_to_many or not hasattr(remote.model, "_meta"):
        return None
    on_delete = getattr(remote, "on_delete", None)
    target = getattr(remote, "field_name", None)
    return {
        "table": remote.model._meta.db_table,
        "column": remote.model._meta.get_field(target).column if target else "",
        "db_constraint": bool(getattr(field, "db_constraint", False)),
        "on_delete": str(getattr(on_delete, "__name__", None) or type(on_delete).__name__)
        if on_delete
        else "",
    }


def default_of(field: Any) -> str:
    """In Python's words; a callable by its dotted name, which is not called."""
    if not field.has_default():
        return ""
    if callable(field.default):
        return failures.clean(named(field.default))
    try:
        return failures.clean(repr(field.default), 2000)
    except Exception as problem:
        failures.let_a_stop_through(problem)
        return type(field.default).__name__
