"""What the audit trail keeps of a configuration: field by field, a secret only as set or changed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model

from dbops.models import Grant, Target, TargetVariable
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError

KEPT = "a secret"
CHANGED = "another secret"
# Of a target, beside its name: what a declaration may say.
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
OF_USER = ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser")


@dataclass(frozen=True)
class Configuration:
    """`shown` by name; of `secrets`, by the same names, only whether two are the same is ever told."""

    shown: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


def configuration_of(row: Model) -> Configuration:
    """As it stands in the database now."""
    if isinstance(row, Target):
        return _of_target(row)
    if isinstance(row, User):
        return _of_user(row)
    if isinstance(row, Group):
        return Configuration(_of_group(row))
    return Configuration({"name": str(row)})


def difference(before: Configuration | None, after: Configuration | None) -> tuple[Any, Any]:
    """Both, as far as they are not the same; None for one that there was not, or is not any more."""
    if before is None or after is None:
        return before and before.shown, after and after.shown
    names = [name for name in {**before.shown, **after.shown} if _differ(name, before, after)]
    was = {name: before.shown[name] for name in names if name in before.shown}
    now = {name: after.shown[name] for name in names if name in after.shown}
    return was, {name: _other(name, was, value) for name, value in now.items()}


def _differ(name: str, before: Configuration, after: Configuration) -> bool:
    lacking = object()
    same_words = before.shown.get(name, lacking) == after.shown.get(name, lacking)
    return not same_words or before.secrets.get(name) != after.secrets.get(name)


def _other(name: str, was: dict[str, Any], value: Any) -> Any:
    return CHANGED if value == KEPT and was.get(name) == KEPT else value


def _of_target(target: Target) -> Configuration:
    row = Target.objects.get(pk=target.pk)
    variables = list(row.variables.all())
    clean = Redactor(_secrets_of(variables)).clean
    shown = {"name": row.name, **{name: _cleaned(getattr(row, name), clean) for name in FIELDS}}
    granted = Grant.objects.filter(target=row).select_related("group")
    shown["granted"] = [f"{grant.role} to {grant.group.name}" for grant in granted]
    for one in variables:
        shown[f"variable {one.name}"] = KEPT if one.is_secret else clean(one.plain)
    return Configuration(shown, {f"variable {one.name}": one.sealed for one in variables if one.is_secret})


def _secrets_of(variables: Iterable[TargetVariable]) -> list[str]:
    """Those that can be read; one whose key is gone cannot be told either."""
    found = []
    for variable in variables:
        try:
            found.append(variable.value if variable.is_secret else "")
        except CannotUnsealError:
            continue
    return found


def _cleaned(value: Any, clean: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(word, clean) for word in value]
    return clean(value) if isinstance(value, str) else value


def _of_user(user: User) -> Configuration:
    row = User.objects.get(pk=user.pk)
    shown = {name: getattr(row, name) for name in OF_USER}
    shown["groups"] = sorted(row.groups.values_list("name", flat=True))
    shown["permissions"] = _words(row.user_permissions.select_related("content_type"))
    shown["password"] = KEPT if row.has_usable_password() else "none"
    return Configuration(shown, {"password": row.password})


def _of_group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "permissions": _words(group.permissions.select_related("content_type")),
        "granted": [
            f"{grant.role} on {grant.target}"
            for grant in Grant.objects.filter(group=group).select_related("target")
        ],
    }


def _words(permissions: Iterable[Permission]) -> list[str]:
    return sorted(f"{one.content_type.app_label}.{one.codename}" for one in permissions)
