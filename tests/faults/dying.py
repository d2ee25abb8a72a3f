"""A program of opsdash that meets its fate at the very moment it enters a named function, once:

    python -m tests.faults.dying dbops.execute:_write_end self FOLDER -A opsdash worker ...

`self`: this process is killed (SIGKILL), `group`: it and all of its process group. `pause`: it waits for the
file `go-on` in FOLDER, where the file `reached` says that it is there. Only the first process that enters.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from celery.__main__ import main as celery


def main(where: str, how: str, folder: str, *words: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")
    django.setup()
    module, _, path = where.partition(":")
    owner: Any = import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, instead_of(getattr(owner, name), how, Path(folder)))
    sys.argv = ["celery", *words]
    celery()


def instead_of(real: Callable[..., Any], how: str, folder: Path) -> Callable[..., Any]:
    def meets_its_fate(*args: Any, **kwargs: Any) -> Any:
        if is_first(folder / "reached"):
            FATES[how](folder)
        return real(*args, **kwargs)

    return meets_its_fate


def is_first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def pause(folder: Path) -> None:
    while not (folder / "go-on").exists():
        time.sleep(0.02)


FATES: dict[str, Callable[[Path], None]] = {
    "self": lambda folder: os.kill(os.getpid(), signal.SIGKILL),
    "group": lambda folder: os.killpg(os.getpgrp(), signal.SIGKILL),
    "pause": pause,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
