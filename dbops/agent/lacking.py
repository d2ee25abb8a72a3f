"""What a target lacks to be set up, typed: Django, a module, a driver, a variable, another Python."""

from __future__ import annotations

import os
import re
import sys

from . import drivers, failures
from .failures import Failure, chain, describe

# As django-environ and hand-written settings, environs, python-decouple say it.
VARIABLE_TEXTS = (
    r"[Ss]et the ([A-Z][A-Z0-9_]+) (?:environment|env) ?var",
    r"[Ee]nvironment variable:? [\"'`]?([A-Z][A-Z0-9_]+)[\"'`]? (?:is |was )?(?:not|missing|required|must)",
    r"(?:[Mm]issing|[Rr]equired|[Nn]o) (?:required )?environment variable:? [\"'`]?([A-Z][A-Z0-9_]+)",
    r"^UndefinedValueError: ([A-Z][A-Z0-9_]+) not found",
)


def of(problem: BaseException) -> Failure:
    """Why the target could not be set up. Whatever is of another kind is "broken"."""
    failure = failures.of(problem, "broken")
    if failure is problem or failure.kind != "broken":
        return failure
    failure.kind, failure.message = typed(problem)
    failure.facts = facts_of(failure.kind)
    return failure


def facts_of(kind: str) -> dict[str, str]:
    """A driver that is missing is one of the reasons why a database cannot be reached."""
    return {"reason": kind} if kind == "driver_missing" else {}


def typed(problem: BaseException) -> tuple[str, str]:
    """(kind of failure, message)"""
    words = describe(problem)
    variable = variable_of(problem)
    if variable:
        wants = f"it wants the environment variable {variable}, which its environment here does not have"
        return "variable_missing", f"{wants} ({words})"
    if lacks("django", problem):
        return "django_missing", f"{sys.executable} cannot import it ({words})"
    driver = drivers.missing(problem)
    if driver:
        return "driver_missing", driver
    engine = drivers.no_engine(problem)
    if engine:
        return "engine_missing", engine
    if isinstance(problem, ModuleNotFoundError):
        return "module_missing", f"{words}, asked for in {sys.executable}"
    if isinstance(problem, SyntaxError):
        return "syntax", f"{words}, read by Python {version()} ({sys.executable})"
    return "broken", words


def version() -> str:
    return sys.version.split()[0]


def variable_of(problem: BaseException) -> str:
    """The environment variable without which the settings do not work, or ""."""
    for error in chain(problem):
        if isinstance(error, KeyError) and raised_by_environ(error) and error.args:
            return str(error.args[0])
        for pattern in VARIABLE_TEXTS:
            found = re.search(pattern, describe(error))
            # One that is there and does not please is another matter.
            if found and found.group(1) not in os.environ:
                return found.group(1)
    return ""


def raised_by_environ(problem: BaseException) -> bool:
    frame = failures.innermost(problem)
    return frame is not None and frame.f_code is type(os.environ).__getitem__.__code__


def lacks(module: str, problem: BaseException) -> bool:
    """manage.py hides the missing module behind an ImportError of its own."""
    return any(isinstance(error, ModuleNotFoundError) and error.name == module for error in chain(problem))
