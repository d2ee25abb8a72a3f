"""A target's row -> its Address; and what of it must never be shown."""

import json
import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from dbops.models import Target
from dbops.sealing import unseal
from dbops.target import words
from dbops.target.address import Address
from dbops.target.environment import resolve
from dbops.target.errors import UnresolvedEnvironment


def address_of(target: Target) -> Address:
    """How to reach the target's interpreter, with its environment resolved in this worker.

    Raises UnresolvedEnvironment (a .env that is missing, a ${NAME} that nobody set) and CannotUnsealError.
    """
    declared = {variable.name: variable.value for variable in target.variables.all()}
    return Address(
        name=target.name,
        argv=tuple(target.python),
        through_shell=target.through_shell,
        cwd=target.working_directory,
        launcher=tuple(target.launcher),
        settings_module=target.settings_module,
        env=resolve(declared, target.env_file or None, os.environ),
    )


def secrets_of(target: Target) -> set[str]:
    """Values that no page, log or transcript may show: secret variables as declared and as resolved, the
    passwords inside URLs, and those of the databases."""
    sealed = {variable.name: variable.value for variable in target.variables.all() if variable.is_secret}
    env = _env(target)
    values = {*sealed.values(), *(env.get(name, "") for name in sealed)}
    passwords = {password_in(value) for value in env.values()}
    # What stands in a .env file under a name that sounds secret (PASSWORD, TOKEN, KEY ...) is one.
    named = set(words.secrets_of(env))
    return {value for value in values | passwords | named | _database_passwords(target) if value}


def _env(target: Target) -> Mapping[str, str]:
    """An environment that cannot be completed never reached the target: it has no values to hide."""
    try:
        return address_of(target).env
    except UnresolvedEnvironment:
        return {}


def password_in(value: str) -> str:
    """The password of a URL, as it is (not percent-encoded); "" without one."""
    if "://" not in value:
        return ""
    try:
        return unquote(urlsplit(value).password or "")
    except ValueError:
        return ""


def _database_passwords(target: Target) -> set[str]:
    sealed = [database.sealed_connection for database in target.databases.all()]
    connections = [json.loads(unseal(text)) for text in sealed if text]
    return {str(connection.get("password") or "") for connection in connections}
