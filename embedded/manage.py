"""`make manage ARGS="status"`: a command of manage.py in the environment of the opsdash that runs here."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from embedded import state
from embedded.environment import inherited
from embedded.errors import EmbeddedError
from embedded.screen import complain
from embedded.state import CHECKOUT, State, write_private

NOT_RUNNING = "opsdash does not run here: start it with `make run`, then use this in another terminal."


def main(arguments: list[str]) -> int:
    place = state.locate()
    if _is_running(place):
        _become_command(place, arguments)
    complain(NOT_RUNNING)
    return 1


def _become_command(place: State, arguments: list[str]) -> NoReturn:
    kept = json.loads(_file_of(place).read_text())
    _become([sys.executable, "manage.py", *arguments], {**inherited(private_postgres=True), **kept})


def _become(argv: list[str], environment: Mapping[str, str]) -> NoReturn:
    """This process goes on as the command: Ctrl-C and the exit code are the command's own."""
    os.chdir(CHECKOUT)
    os.execve(argv[0], argv, environment)  # noqa: S606


def keep_environment(place: State, environment: Mapping[str, str]) -> None:
    """For later commands: what this start of opsdash reads."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in ("DATABASE_URL", "REDIS_URL") or name.startswith("OPSDASH_")
    }
    write_private(_file_of(place), json.dumps(kept))


def _file_of(place: State) -> Path:
    return place.run / "environment.json"


def _is_running(place: State) -> bool:
    if not place.root.exists() or not _file_of(place).exists():
        return False
    try:
        with state.locked(place):
            return False
    except EmbeddedError:
        return True
