"""Which database driver or engine the target's Python lacks, and what would install it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from .failures import chain, describe, innermost

if TYPE_CHECKING:
    from typing import Iterator

# The module that Django's engine imports, and the package that it comes in. Where Django takes either of
# two, the one to prefer stands first.
PACKAGES = {
    "psycopg": "psycopg[binary]",
    "oracledb": "oracledb",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "cx_Oracle": "cx_Oracle",
}
NO_ENGINE = "isn't an available database backend"


def missing(problem: BaseException) -> str:
    """A sentence when it is a driver that is missing or does not load, else ""."""
    named = {driver_of(error) for error in chain(problem)}
    module = next(filter(named.__contains__, PACKAGES), "")
    if not module:
        return ""
    unloadable = [error for error in imports(problem) if not isinstance(error, ModuleNotFoundError)]
    if unloadable:
        package = PACKAGES[driver_of(unloadable[-1]) or module]
        why = f"does not load in {sys.executable} ({describe(unloadable[-1])})"
        return f"The database driver of the package {package} {why}."
    command = f"{sys.executable} -m pip install {shlex.quote(PACKAGES[module])}"
    return (
        f'{sys.executable} has no module {module}, the driver of its database; "{command}" installs it there.'
    )


def driver_of(problem: BaseException) -> str:
    """The driver's module that this one error names or was raised in, or ""."""
    if isinstance(problem, ImportError):
        top = str(problem.name or raised_in(problem)).partition(".")[0]
        if top in PACKAGES:
            return top
    words = describe(problem).replace(".", " ").split()
    if words[1:3] != ["Error", "loading"]:
        return ""
    return next((module for module in words[3:] if module in PACKAGES), "")


def raised_in(problem: BaseException) -> str:
    """The name of the module: psycopg 3 without libpq says no more than that there is none."""
    frame = innermost(problem)
    return "" if frame is None else str(frame.f_globals.get("__name__"))


def imports(problem: BaseException) -> Iterator[BaseException]:
    return (error for error in chain(problem) if isinstance(error, ImportError))


def no_engine(problem: BaseException) -> str:
    """A sentence when ENGINE names what cannot be imported, else ""."""
    text = describe(problem)
    if NO_ENGINE not in text:
        return ""
    engine = text.partition("'")[2].partition("'")[0]
    why = "".join(f" ({describe(error)})" for error in list(imports(problem))[-1:])
    return f"There is no database engine {engine} in {sys.executable}{why}."
