"""What a directory tells about the Django project in it. Nothing of it is run: manage.py is parsed, not
imported."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEEPEST = 2
SKIPPED = frozenset(
    {"node_modules", "site-packages", "__pycache__", "tests", "testing", "docs", "static", "media"}
)
ENVIRONMENTS = (".venv", "venv", "env", "../.venv", "../venv")
ENV_FILES = (".env",)
NO_ENVIRONMENT = "No virtual environment (.venv, venv, env) beside it: name the Python that has its packages."
SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"


@dataclass(frozen=True)
class Discovery:
    """What was found; an empty value was not. `notes`: a sentence for each finding and each thing that is
    missing."""

    cwd: str
    launcher: tuple[str, ...]
    settings_module: str
    argv: tuple[str, ...]
    env_file: str
    notes: tuple[str, ...]


def discover(path: str | Path, *, needs_python: bool = True) -> Discovery:
    """Look at a project's directory, or at its manage.py itself. An OSError says what cannot be read.

    Without `needs_python` none is looked for: somebody has named one.
    """
    given = Path(path).absolute()
    root = given.parent if given.is_file() else given
    notes: list[str] = []
    manage = choose([given] if given.is_file() else launchers(root), root, notes)
    folder = manage.parent if manage else root
    return Discovery(
        cwd=str(folder),
        launcher=(manage.name,) if manage else (),
        settings_module=settings_module(manage, notes) if manage else "",
        argv=interpreter([folder, root], notes) if needs_python else (),
        env_file=env_file([folder, root], notes),
        notes=tuple(notes),
    )


def launchers(root: Path) -> list[Path]:
    """Every manage.py here and a little below, the nearest first."""
    found = [folder / "manage.py" for folder in folders(root, DEEPEST) if (folder / "manage.py").is_file()]
    return sorted(found, key=lambda path: (len(path.parts), str(path)))


def folders(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if depth == 0 or not root.is_dir():
        return
    for child in sorted(root.iterdir()):
        if child.is_dir() and not child.is_symlink() and is_project_like(child):
            yield from folders(child, depth - 1)


def is_project_like(folder: Path) -> bool:
    hidden = folder.name.startswith(".")
    return not hidden and folder.name not in SKIPPED and not (folder / "pyvenv.cfg").exists()


def choose(candidates: list[Path], root: Path, notes: list[str]) -> Path | None:
    if not candidates:
        notes.append(
            f"No manage.py in {root} or {DEEPEST} levels below: name the launcher or a settings module."
        )
        return None
    chosen = candidates[0]
    notes.append(f"The launcher is {chosen}.")
    if len(candidates) > 1:
        others = ", ".join(str(path) for path in candidates[1:])
        notes.append(f"There are others, {others}: the one nearest to {root} was taken.")
    return chosen


def settings_module(manage: Path, notes: list[str]) -> str:
    """What manage.py sets as the default. The launcher sets it itself: this is only for a person to see."""
    try:
        tree = ast.parse(manage.read_bytes())
    except (SyntaxError, ValueError) as problem:
        notes.append(
            f"{manage} cannot be parsed by this Python ({problem}): its settings module is not known."
        )
        return ""
    found = list(dict.fromkeys(settings_named_in(tree)))
    if not found:
        notes.append(f"{manage} names no settings module: it finds its own.")
        return ""
    notes.append(f"{manage.name} uses the settings module {found[0]}.")
    if len(found) > 1:
        notes.append(f"It also names {', '.join(found[1:])}: the first one was taken.")
    return found[0]


def settings_named_in(tree: ast.AST) -> Iterator[str]:
    """environ.setdefault(NAME, "x"), environ[NAME] = "x", environ.get(NAME, "x"), as the file has them."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call | ast.Assign)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        pair = node.args[:2] if isinstance(node, ast.Call) else assigned(node)
        texts = [constant.value for constant in pair if isinstance(constant, ast.Constant)]
        if len(texts) == 2 and texts[0] == SETTINGS_VARIABLE and isinstance(texts[1], str):
            yield texts[1]


def assigned(node: ast.Assign) -> list[ast.expr]:
    target = node.targets[0]
    return [target.slice, node.value] if isinstance(target, ast.Subscript) else []


def interpreter(roots: list[Path], notes: list[str]) -> tuple[str, ...]:
    """The python of a virtual environment, by that path: with its links resolved it is the system's
    Python."""
    paths = [os.path.normpath(root / name / "bin" / "python") for root in roots for name in ENVIRONMENTS]
    found = [path for path in dict.fromkeys(paths) if os.access(path, os.X_OK)]
    if not found:
        dead = next((Path(path) for path in paths if Path(path).is_symlink()), None)
        notes.append(dead_link(dead) if dead else NO_ENVIRONMENT)
        return ()
    notes.append(f"The interpreter is {found[0]}.")
    if len(found) > 1:
        notes.append(f"There are others, {', '.join(found[1:])}: the nearest one was taken.")
    return (found[0],)


def dead_link(path: Path) -> str:
    return (
        f"{path} is a link to {path.readlink()}, which does not exist or may not be executed here: a virtual "
        "environment fits only the machine or container that it was made on. Make it anew, or name the "
        "Python."
    )


def env_file(roots: list[Path], notes: list[str]) -> str:
    paths = [str(root / name) for root in roots for name in ENV_FILES]
    found = [path for path in dict.fromkeys(paths) if Path(path).is_file()]
    if not found:
        notes.append("No .env file beside it: if the project reads its environment, declare what it reads.")
        return ""
    notes.append(f"The environment file is {found[0]}.")
    return found[0]
