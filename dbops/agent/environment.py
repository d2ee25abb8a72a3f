"""The target's environment: five names from where the interpreter starts, the rest as declared."""

import locale
import os
import sys
import time

KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")


def enter(declared, cwd):
    """Replace the environment and the working directory of this process."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(declared)
    if cwd:
        os.chdir(cwd)


def catch_up():
    """Do what the interpreter would have done at its start, had it been started with this environment."""
    time.tzset()
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        locale.setlocale(locale.LC_CTYPE, "C")
    sys.path[:0] = [
        os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry
    ]
    sys.dont_write_bytecode = sys.dont_write_bytecode or bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
