"""The target's environment: five names from where the interpreter starts, the rest as declared.

The interpreter runs already. What only counts at its start (LD_LIBRARY_PATH, PYTHONHASHSEED) has to be a word
of the argv that starts it: `env LD_LIBRARY_PATH=/opt/lib /srv/shop/bin/python`.
"""

from __future__ import annotations

import locale
import os
import sys
import time

KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")


def enter(declared: dict[str, str], cwd: str) -> None:
    """Replace the environment and the working directory of this process."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(declared)
    if cwd:
        os.chdir(cwd)


def catch_up() -> None:
    """Do what the interpreter would have done at its start, had it been started with this environment."""
    time.tzset()
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        locale.setlocale(locale.LC_CTYPE, "C")
    declared = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [os.path.abspath(entry) for entry in declared if entry]
    sys.dont_write_bytecode = sys.dont_write_bytecode or bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
