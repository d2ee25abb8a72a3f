"""What a project has of its own where most have Django's, as facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management import get_commands

from .failures import clean

if TYPE_CHECKING:
    from typing import Any

# Those whose work opsdash shows or has done.
COMMANDS = ("migrate", "makemigrations", "showmigrations", "sqlmigrate", "loaddata", "dumpdata", "flush")
DJANGO = "django.core"


def facts() -> dict[str, Any]:
    """{"user_model": "app.Model", "routers": [dotted name], "commands": {name: the app it comes from}}.

    Of the commands those alone that are not Django's."""
    owners = get_commands()
    return {
        "user_model": clean(settings.AUTH_USER_MODEL),
        "routers": [clean(named(router)) for router in settings.DATABASE_ROUTERS],
        "commands": {name: clean(owner_of(owners[name])) for name in COMMANDS if is_own(owners.get(name))},
    }


def named(router: Any) -> str:
    """A router is named, or there as an object."""
    return router if isinstance(router, str) else f"{type(router).__module__}.{type(router).__qualname__}"


def is_own(owner: Any) -> bool:
    return owner is not None and owner != DJANGO


def owner_of(owner: Any) -> str:
    """get_commands() names the app, or holds the command itself once it was loaded."""
    return owner if isinstance(owner, str) else type(owner).__module__
