"""The environment that opsdash's processes and tests are started with: what opsdash/settings.py reads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

# PYTHONUNBUFFERED would hide a missing flush of ours from the streaming tests.
NOT_INHERITED = {
    "PYTHONUNBUFFERED",
    "DJANGO_SETTINGS_MODULE",
    "VIRTUAL_ENV",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
}


@dataclass(frozen=True)
class Settings:
    """The values that differ from one start to another."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    sealing_key: str = field(repr=False)
    hosts: str = "127.0.0.1,localhost"
    origins: str = ""

    def variables(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "OPSDASH_SECRET_KEY": self.secret_key,
            "OPSDASH_SEALING_KEYS": self.sealing_key,
            "OPSDASH_ALLOWED_HOSTS": self.hosts,
            "OPSDASH_CSRF_TRUSTED_ORIGINS": self.origins,
            "OPSDASH_DEBUG": "0",
            "OPSDASH_SECURE": "0",
        }


def inherited(*, private_postgres: bool, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without what would mislead opsdash.

    PGHOST, PGOPTIONS and their like are meant for other servers than a private one.
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in NOT_INHERITED and not (private_postgres and name.startswith("PG"))
    }
