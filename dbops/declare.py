"""A target from a declaration (targets.toml, add_target, the demo) into the rows."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from dbops.access import Actor
from dbops.configured import FIELDS, configuration_of, difference
from dbops.models import AuditEvent, Target, TargetVariable
from dbops.models.target import NAME
from dbops.sealing import CannotUnsealError

WORDS = ("python", "launcher")
FLAGS = ("through_shell", "allow_migrate", "allow_reset")
# Table of variables: whether they are secret.
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
    """Make the target `name` be as declared. Variables that are not declared any more are removed.

    `declaration` is what stood in a file: anything may be in it. Raises DeclarationError.
    """
    _refuse_strange(name, declaration)
    values = {field: _value(name, field, declaration[field]) for field in FIELDS if field in declaration}
    variables = _variables(name, declaration)
    target = Target.objects.select_for_update().filter(name=name).first()
    was = configuration_of(target) if target else None
    target = target or Target(name=name)
    before = {field: getattr(target, field) for field in FIELDS}
    for field in FIELDS:
        setattr(target, field, values.get(field, getattr(Target(), field)))
    fields_changed = was is None or before != {field: getattr(target, field) for field in FIELDS}
    if fields_changed:
        _save(target)
    changed = _declare_variables(target, variables) or fields_changed
    if changed:
        act = "target.change" if was else "target.create"
        old, new = difference(was, configuration_of(target))
        AuditEvent.objects.record(
            act, actor, target=target, before=old, after=new, variables=sorted(variables)
        )
    return Declared(target, "created" if was is None else "changed" if changed else "unchanged")


def _refuse_strange(name: str, declaration: Any) -> None:
    try:
        NAME(name)
    except ValidationError as error:
        raise DeclarationError(
            f"{name!r} cannot name a target. {sentences(error)} Nothing was changed."
        ) from None
    if not isinstance(declaration, Mapping):
        raise DeclarationError(f"{name}: this is not a table that declares a target. Nothing was changed.")
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


def _value(name: str, field: str, value: Any) -> Any:
    what = f"{name}: `{field}`"
    if field in WORDS:
        return _words(what, value)
    if field in FLAGS:
        return _flag(what, value)
    if field == "aliases":
        return _texts(what, value, "texts")
    return _text(what, value)


def _words(what: str, value: Any) -> list[str]:
    """`docker exec -i web python` may be written as one text or as a list."""
    try:
        return _texts(what, shlex.split(value) if isinstance(value, str) else value, "words")
    except ValueError as error:
        raise DeclarationError(f"{what} is not a list of words: {error}. Nothing was changed.") from None


def _texts(what: str, value: Any, kind: str) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise DeclarationError(f"{what} is not a list of {kind}. Nothing was changed.")
    return [_text(what, text) for text in value]


def _flag(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise DeclarationError(f"{what} is neither true nor false. Nothing was changed.")
    return value


def _text(what: str, value: Any) -> str:
    """The value is never quoted: it may be a secret."""
    if not isinstance(value, str):
        raise DeclarationError(f"{what} is not a text; put it in quotes. Nothing was changed.")
    if "\0" in value:
        raise DeclarationError(f"{what} holds a NUL character. Nothing was changed.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise DeclarationError(f"{what} is not Unicode text. Nothing was changed.")
    return value


def _variables(name: str, declaration: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """By the name of each variable: its value, and whether it is secret."""
    tables = {key: _table(f"{name}: `{key}`", declaration.get(key, {})) for key in VARIABLES}
    twice = sorted(set(tables["env"]) & set(tables["secret_env"]))
    if twice:
        raise DeclarationError(
            f"{name}: {', '.join(twice)} is in `env` and in `secret_env`. Nothing was changed."
        )
    return {
        variable: (_text(f"{name}: the variable {variable} of `{key}`", value), VARIABLES[key])
        for key, table in tables.items()
        for variable, value in table.items()
    }


def _table(what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DeclarationError(f"{what} is not a table of texts. Nothing was changed.")
    return value


def _save(target: Target) -> None:
    try:
        target.full_clean()
    except ValidationError as error:
        raise DeclarationError(f"{target.name}: {sentences(error)} Nothing was changed.") from None
    try:
        with transaction.atomic():
            target.save()
    except IntegrityError:
        raise DeclarationError(
            f"{target.name}: somebody else declared it at the same moment. Nothing was changed. Try again."
        ) from None


def sentences(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        f"{field}: {message}" if field != "__all__" else message
        for field, messages in error.message_dict.items()
        for message in messages
    )


def _declare_variables(target: Target, wanted: Mapping[str, tuple[str, bool]]) -> bool:
    existing = {variable.name: variable for variable in target.variables.all()}
    changed = False
    for name, (value, secret) in wanted.items():
        variable = existing.pop(name, None) or TargetVariable(target=target, name=name)
        changed |= _declare_variable(variable, value, secret)
    for gone in existing.values():
        gone.delete()
    return changed or bool(existing)


def _declare_variable(variable: TargetVariable, value: str, secret: bool) -> bool:
    if variable.pk and variable.is_secret == secret and _holds(variable, value):
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


def _holds(variable: TargetVariable, value: str) -> bool:
    """One whose key is gone holds nothing that could be known."""
    try:
        return variable.value == value
    except CannotUnsealError:
        return False
