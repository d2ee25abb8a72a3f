"""Migrations that are recorded although the routers let none of their operations work on this database: their
rows prove nothing about its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import router

if TYPE_CHECKING:
    from typing import Any

    from .disk import Disk


def not_routed(connection: Any, disk: Disk, recorded: Any) -> list[list[str]]:
    if connection is None or not settings.DATABASE_ROUTERS:
        return []
    routes = Routes(connection.alias)
    applied = [disk.migrations[key] for key in recorded if key in disk.migrations]
    return [[one.app_label, one.name] for one in applied if routes.refuse_all_of(one)]


class Routes:
    """The routers' answers for one alias, each asked for once."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.answers: dict[tuple[str, str], bool] = {}

    def refuse_all_of(self, migration: Any) -> bool:
        asked = [self.lets(migration.app_label, one) for one in reaching(migration.operations)]
        return bool(asked) and not any(asked)

    def lets(self, app: str, operation: Any) -> bool:
        model = model_of(operation)
        if not model:
            return self.answer(app, None, getattr(operation, "hints", None) or {})
        if (app, model) not in self.answers:
            self.answers[app, model] = self.answer(app, model, {})
        return self.answers[app, model]

    def answer(self, app: str, model: str | None, hints: dict[str, Any]) -> bool:
        try:
            return bool(router.allow_migrate(self.alias, app, model_name=model, **hints))
        except Exception:
            # It wants the model itself, or what only a running migration has: not known to be refused.
            return True


def reaching(operations: list[Any]) -> list[Any]:
    """Those that would do something to the database."""
    found: list[Any] = []
    for operation in operations:
        inside = getattr(operation, "database_operations", None)
        if inside is not None:
            found += reaching(inside)
        else:
            found.append(operation)
    return found


def model_of(operation: Any) -> str:
    """In lower case, as routers are asked; "" of an operation that is about no model."""
    name = getattr(operation, "model_name", None) or model_itself(operation)
    return str(name).lower() if name else ""


def model_itself(operation: Any) -> Any:
    if hasattr(operation, "old_name") and hasattr(operation, "new_name"):
        return operation.new_name
    about_a_model = any(cls.__name__ == "ModelOperation" for cls in type(operation).__mro__)
    return getattr(operation, "name", None) if about_a_model else None
