"""Whether a target is still declared as it was when it was inspected: another variable may lead elsewhere."""

import hashlib
import json
from pathlib import Path

from dbops.models import Target

COLUMNS = (
    "working_directory", "python", "through_shell", "launcher", "settings_module", "env_file", "aliases",
    "queue",
)  # fmt: skip


def digest_of(target: Target) -> str:
    """SHA-256 of how it is started. Secrets take part as they are sealed: it tells nothing of them."""
    variables = sorted(
        (variable.name, variable.is_secret, variable.plain, variable.sealed)
        for variable in target.variables.all()
    )
    parts = [[getattr(target, column) for column in COLUMNS], variables, _file(target.env_file)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _file(path: str) -> list[int] | None:
    """Size and moment of change of the .env file, as far as it can be seen from here."""
    if not path:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
