"""A target's row -> its Address; and what of it must never be shown."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from dbops.models import Target
from dbops.redaction.logs import learned
from dbops.sealing import unseal
from dbops.target import words
from dbops.target.address import Address
from dbops.target.environment import resolve
from dbops.target.errors import UnresolvedEnvironment

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
WORDS = re.compile(r"\bpassword\s{0,3}=\s{0,3}(?:'(?P<text>(?:[^'\\]|\\.)*)'|(?P<word>[^\s']+))")


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
    passwords = {password for value in env.values() for password in passwords_in(value)}
    # What stands in a .env file under a name that sounds secret (PASSWORD, TOKEN, KEY ...) is one.
    named = set(words.secrets_of(env))
    found = {value for value in values | passwords | named | _database_passwords(target) if value}
    # What this process knows it must not log.
    learned.learn(("target", target.pk), found)
    return found


def _env(target: Target) -> Mapping[str, str]:
    """An environment that cannot be completed never reached the target: it has no values to hide."""
    try:
        return address_of(target).env
    except UnresolvedEnvironment:
        return {}


def passwords_in(value: str) -> set[str]:
    """Of a URL, as it is written there and as it is meant; of libpq's words (host=db password=...)."""
    if "://" not in value:
        return {found["text"] or found["word"] for found in WORDS.finditer(value)}
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return set()
    return {password, unquote(password)}


def _database_passwords(target: Target) -> set[str]:
    sealed = [database.sealed_connection for database in target.databases.all()]
    connections = [json.loads(unseal(text)) for text in sealed if text]
    return {secret for connection in connections for secret in _within("", connection)}


def _within(name: str, value: Any) -> Iterator[str]:
    """What stands under a name that sounds secret, however deep: also OPTIONS may hold a password."""
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _within(str(inner), item)
    elif isinstance(value, list):
        for item in value:
            yield from _within(name, item)
    elif isinstance(value, str):
        yield from {value} if words.SECRET_NAME.search(name) and "://" not in value else passwords_in(value)
