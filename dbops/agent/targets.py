"""From an app label and a migration's name to the nodes that Django calls targets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.apps import apps
from django.db.migrations.loader import AmbiguityError

from .failures import Failure

if TYPE_CHECKING:
    from typing import Any

# They become words of a command line: none may look like an option.
WORD = re.compile(r"\w[\w.-]*")
ZERO = "zero"


def check_words(app: str, name: str) -> None:
    for word in (app, name):
        if word and not WORD.fullmatch(word):
            raise bad(f"{word!r} is neither an app label nor the name of a migration.")
    if name and not app:
        raise bad(f"The migration {name} was named without its app.")


def resolve(loader: Any, app: str, name: str) -> list[tuple[str, str | None]]:
    """The targets of a migrate. `name` may be the beginning of one. Raises bad_argument."""
    if not app:
        return list(loader.graph.leaf_nodes())
    if app not in loader.migrated_apps:
        raise bad(no_such_app(app))
    if not name:
        return [key for key in loader.graph.leaf_nodes() if key[0] == app]
    return [(app, None) if name == ZERO else find(loader, app, name)]


def find(loader: Any, app: str, name: str) -> tuple[str, str]:
    key = (app, full_name(loader, app, name))
    # As Django does it: a squash that is applied in part is not in the graph; its last replaced one stands
    # for it.
    if key not in loader.graph.nodes and key in loader.replacements:
        key = tuple(loader.replacements[key].replaces[-1])
    if key not in loader.graph.nodes:
        raise bad(
            "The migration {}.{} has been replaced by a squashed one and is no target any more.".format(*key)
        )
    return key


def full_name(loader: Any, app: str, name: str) -> str:
    if (app, name) in loader.disk_migrations:
        return name
    try:
        return str(loader.get_migration_by_prefix(app, name).name)
    except AmbiguityError as problem:
        raise bad(f"The app {app} has more than one migration that begins with {name}.") from problem
    except KeyError as problem:
        raise bad(f"The app {app} has no migration that begins with {name}.") from problem


def no_such_app(app: str) -> str:
    if app in {config.label for config in apps.get_app_configs()}:
        return f"The app {app} has no migrations."
    return f"There is no installed app with the label {app}."


def bad(message: str) -> Failure:
    return Failure("bad_argument", message, "person")
