"""A target's environment, completed: a file, then what is declared, with references to the worker's own
environment."""

import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from dbops.target.errors import UnresolvedEnvironment

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"\$\{([^}]*)\}")
# opsdash's own: a target must never get these by reference.
RESERVED = re.compile(r"DATABASE_URL|REDIS_URL|OPSDASH_.*")


def resolve(
    declared: Mapping[str, str], env_file: str | None, worker_env: Mapping[str, str]
) -> dict[str, str]:
    """The complete environment. `${NAME}` and `${NAME:-fallback}` are looked up in `worker_env`, those of the
    file first among its own lines above. What is declared wins over the file."""
    env: dict[str, str] = {}
    for name, value in (read_file(env_file) if env_file else {}).items():
        env[name] = substitute(name, value, env, worker_env)
    resolved = {name: substitute(name, value, {}, worker_env) for name, value in declared.items()}
    return checked({**env, **resolved})


def read_file(path: str) -> dict[str, str]:
    if Path(path).exists() and not Path(path).is_file():
        raise UnresolvedEnvironment(
            f"The environment file {path} is no file with lines (a directory, a pipe). The target was not "
            "started. Correct the path."
        )
    if not Path(path).is_file():
        raise UnresolvedEnvironment(
            f"The environment file {path} is not there. The target was not started. "
            "Correct the path or put the file there."
        )
    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as problem:
        raise UnresolvedEnvironment(
            f"The environment file {path} cannot be read: {type(problem).__name__}. "
            "The target was not started. Let the worker's user read it, as UTF-8."
        ) from problem
    return {name: value for name, value in values.items() if value is not None}


def substitute(name: str, value: str, own: Mapping[str, str], worker_env: Mapping[str, str]) -> str:
    return REFERENCE.sub(lambda match: referenced(name, match.group(1), own, worker_env), value)


def referenced(name: str, reference: str, own: Mapping[str, str], worker_env: Mapping[str, str]) -> str:
    wanted, has_fallback, fallback = reference.partition(":-")
    if wanted in own:
        return own[wanted] or fallback
    if RESERVED.fullmatch(wanted):
        raise UnresolvedEnvironment(
            f"{name} refers to ${{{wanted}}}, which is opsdash's own. The target was not started. "
            "Give the worker another variable with the target's value and refer to that."
        )
    if wanted not in worker_env and not has_fallback:
        raise UnresolvedEnvironment(
            f"{name} refers to ${{{wanted}}}, which the worker does not have. The target was not started. "
            f"Set {wanted} where the worker starts, or write the value."
        )
    return worker_env.get(wanted) or fallback


def checked(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not NAME.fullmatch(name):
            raise UnresolvedEnvironment(
                f"{name!r} is not a name of an environment variable. The target was not started. "
                "Use letters, digits and underscores."
            )
        if "\0" in value:
            raise UnresolvedEnvironment(
                f"The value of {name} has a NUL character in it. The target was not started. Remove it."
            )
    return env
