"""A target from a declaration (targets.toml, add_target, the demo) into the rows."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from dbops.access import Actor
from dbops.models import AuditEvent, Target, TargetVariable

FIELDS = (
    "label",
    "environment",
    "working_directory",
    "python",
    "through_shell",
    "launcher",
    "settings_module",
    "env_file",
    "aliases",
    "queue",
    "allow_migrate",
    "allow_reset",
)
WORDS = ("python", "launcher")
VARIABLES = {"env": False, "secret_env": True}


class DeclarationError(Exception):
    """A declaration that cannot become a target; str() says which part and why. Nothing was changed."""


@dataclass(frozen=True)
class Declared:
    target: Target
    # created, changed or unchanged
    result: str


@transaction.atomic
def declare(name: str, declaration: Mapping[str, Any], actor: Actor) -> Declared:
    """Make the target `name` be as declared. Variables that are not declared any more are removed."""
    _refuse_unknown(name, declaration)
    target = Target.objects.select_for_update().filter(name=name).first()
    new = target is None
    target = target or Target(name=name)
    before = {field: getattr(target, field) for field in FIELDS}
    for field in FIELDS:
        value = declaration.get(field, getattr(Target(), field))
        setattr(target, field, _words(name, field, value) if field in WORDS else value)
    fields_changed = new or before != {field: getattr(target, field) for field in FIELDS}
    if fields_changed:
        _save(target)
    changed = _declare_variables(target, declaration) or fields_changed
    if changed:
        act = "target.create" if new else "target.change"
        AuditEvent.objects.record(act, actor, target=name, variables=_variable_names(declaration))
    return Declared(target, "created" if new else "changed" if changed else "unchanged")


def _refuse_unknown(name: str, declaration: Mapping[str, Any]) -> None:
    unknown = sorted(set(declaration) - set(FIELDS) - set(VARIABLES))
    if unknown:
        known = ", ".join((*FIELDS, *VARIABLES))
        raise DeclarationError(
            f"{name}: {', '.join(unknown)} is not known. Nothing was changed. Known: {known}."
        )
    if "python" not in declaration:
        raise DeclarationError(
            f"{name}: `python` is missing, the words that start its Python. Nothing was changed."
        )


def _words(name: str, field: str, value: Any) -> list[str]:
    """`docker exec -i web python` may be written as one text or as a list."""
    try:
        return shlex.split(value) if isinstance(value, str) else [str(word) for word in value]
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{name}: `{field}` is not a list of words: {error}. Nothing was changed."
        ) from None


def _save(target: Target) -> None:
    try:
        target.full_clean()
    except ValidationError as error:
        raise DeclarationError(f"{target.name}: {sentences(error)} Nothing was changed.") from None
    target.save()


def sentences(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        f"{field}: {message}" if field != "__all__" else message
        for field, messages in error.message_dict.items()
        for message in messages
    )


def _declare_variables(target: Target, declaration: Mapping[str, Any]) -> bool:
    wanted = {
        name: (str(value), secret)
        for key, secret in VARIABLES.items()
        for name, value in (declaration.get(key) or {}).items()
    }
    gone, _ = target.variables.exclude(name__in=wanted).delete()
    existing = {variable.name: variable for variable in target.variables.all()}
    changed = bool(gone)
    for name, (value, secret) in wanted.items():
        changed |= _declare_variable(
            existing.get(name) or TargetVariable(target=target, name=name), value, secret
        )
    return changed


def _declare_variable(variable: TargetVariable, value: str, secret: bool) -> bool:
    if variable.pk and variable.is_secret == secret and variable.value == value:
        return False
    variable.keep(value, secret=secret)
    try:
        variable.full_clean()
    except ValidationError as error:
        # The message of a validator may quote the value; name only the variable.
        raise DeclarationError(
            f"{variable.target.name}: the variable {variable.name!r} cannot be kept: "
            f"{'; '.join(error.message_dict)}. Nothing was changed."
        ) from None
    variable.save()
    return True


def _variable_names(declaration: Mapping[str, Any]) -> list[str]:
    return sorted(name for key in VARIABLES for name in (declaration.get(key) or {}))
