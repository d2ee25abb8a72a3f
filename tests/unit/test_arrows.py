"""The arrows between the rooms (docs/architecture.md): who may import whom, held by reading the imports."""

import ast
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
DBOPS = ROOT / "dbops"

FOUNDATION = {"conf", "models", "rights", "sealing", "redaction", "plain"}
# Room: the rooms of dbops that it may import. What is not listed may not be imported.
ARROWS: dict[str, set[str]] = {
    "agent": set(),
    "conf": set(),
    "sealing": {"conf"},
    "redaction": {"plain"},
    "plain": set(),
    "reporter": {"redaction"},
    "models": {"conf", "sealing", "redaction"},
    "rights": {"models"},
    "postgres": FOUNDATION,
    "target": FOUNDATION,
    "inspection": FOUNDATION | {"target", "postgres"},
    "lint": set(),
    "presence": FOUNDATION,
    "broker": set(),
    "serving": FOUNDATION,
    "probes": FOUNDATION | {"postgres", "presence"},
    "operations": FOUNDATION | {"target", "postgres"},
    "transcript": FOUNDATION,
    "steps": FOUNDATION,
    "configured": FOUNDATION,
    "ended": FOUNDATION,
    "late": FOUNDATION,
    "lockwait": FOUNDATION,
    "endings": FOUNDATION | {"lockwait"},
    "heartbeat": FOUNDATION,
    "performance": FOUNDATION
    | {"endings", "heartbeat", "late", "lockwait", "steps", "operations", "target", "postgres", "transcript"},
    "finding": FOUNDATION | {"inspection"},
    "aftermath": FOUNDATION | {"finding", "inspection", "postgres", "steps", "target"},
    "plan_change": FOUNDATION,
    "truth": FOUNDATION | {"aftermath", "finding", "inspection", "plan_change", "steps"},
    "writing": FOUNDATION | {"ended", "finding", "target", "truth"},
    "loss": FOUNDATION
    | {"writing"}
    | {"aftermath", "ended", "endings", "finding", "inspection", "steps", "transcript", "truth"},
    "execute": FOUNDATION
    | {"ended", "endings", "finding", "heartbeat", "steps", "performance", "operations"}
    | {"target", "transcript", "truth", "writing"},
    "tasks": FOUNDATION | {"broker", "execute", "inspection", "loss", "signing", "transcript"},
    "confirming": FOUNDATION,
    "access": FOUNDATION | {"confirming"},
    "signing": FOUNDATION | {"access", "confirming"},
    "tokens": FOUNDATION | {"access", "signing"},
    "converters": FOUNDATION,
    "forms": FOUNDATION,
    "forms_signing": set(),
    "elsewhere": FOUNDATION,
    "again": FOUNDATION | {"elsewhere"},
    "launch": FOUNDATION
    | {
        "access",
        "again",
        "ended",
        "endings",
        "inspection",
        "serving",
        "tasks",
        "operations",
        "transcript",
        "steps",
    }
    | {"writing"},
    "pages": FOUNDATION
    | {"access", "aftermath", "again", "broker", "elsewhere", "endings", "inspection", "lockwait"}
    | {"lint", "operations", "probes", "serving", "steps", "transcript", "writing"},
    "views": FOUNDATION
    | {"confirming", "forms_signing", "signing", "tokens"}
    | {"access", "aftermath", "endings", "forms", "goodbye", "inspection", "pages", "launch", "transcript"},
    "api": FOUNDATION
    | {"access", "converters", "documents", "goodbye", "inspection", "launch", "pages", "plan_document"}
    | {"tokens", "transcript"},
    "goodbye": set(),
    "urls": {"views", "api", "converters"},
    "middleware": {"access", "plain"},
    "signed_in": {"access", "confirming", "signing"},
    "templatetags": FOUNDATION | {"lint", "pages"},
    "exits": FOUNDATION,
    "documents": FOUNDATION | {"inspection", "lint", "pages"},
    "compare_document": FOUNDATION | {"documents", "inspection", "pages"},
    "plan_document": FOUNDATION | {"documents", "inspection", "lint", "pages"},
    "declare": FOUNDATION | {"access", "configured"},
    "waiting": FOUNDATION | {"exits", "inspection", "postgres", "target"},
    "checks": FOUNDATION,
    "admin": FOUNDATION | {"access", "configured", "forms"},
    "apps": {"checks", "signing"},
    "migrations": {"models"},
}
# Commands call what views call.
ARROWS["management"] = set(ARROWS) - {"agent", "views", "urls", "api", "execute", "admin"}

FILES = sorted(DBOPS.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(DBOPS).parts[0].removesuffix(".py")


def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.module == "dbops":
        return [f"dbops.{alias.name}" for alias in node.names]
    return [node.module or ""]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DBOPS)))
def test_a_file_imports_only_along_the_arrows(path: Path) -> None:
    mine = room(path)
    if mine == "__init__":
        return
    imported = {
        name.split(".")[1] for node in imports(path) for name in modules(node) if name.startswith("dbops.")
    }
    assert imported - {mine} <= ARROWS[mine], f"{mine} may not import {imported - {mine} - ARROWS[mine]}"


@pytest.mark.parametrize("path", sorted((DBOPS / "agent").glob("*.py")), ids=lambda path: path.name)
def test_the_agent_needs_the_standard_library_and_django_only(path: Path) -> None:
    tops = {
        name.split(".")[0]
        for node in imports(path)
        if not (isinstance(node, ast.ImportFrom) and node.level)
        for name in modules(node)
    }
    allowed = set(sys.stdlib_module_names) | {"django", "psycopg", "psycopg2", "__future__"}
    assert tops <= allowed, tops - allowed


def test_nothing_of_ours_imports_the_agent() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for path in [*FILES, *(ROOT / "opsdash").glob("*.py")]
        if room_of(path) != "agent"
        for node in imports(path)
        for name in modules(node)
        if name.startswith("dbops.agent")
    }
    assert importers == set()


def room_of(path: Path) -> str:
    return room(path) if path.is_relative_to(DBOPS) else ""


def test_there_is_no_circle_between_rooms() -> None:
    left = {name: set(targets) for name, targets in ARROWS.items()}
    while free := [name for name, targets in left.items() if not targets & set(left)]:
        for name in free:
            del left[name]
    assert left == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DBOPS)))
def test_no_import_hides_inside_a_function(path: Path) -> None:
    if room(path) == "agent":
        return  # The agent meets the target's modules only when the target is set up.
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    hidden = [
        inner.lineno
        for function in functions
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_only_the_transcript_room_and_settings_know_redis() -> None:
    knowing = {
        room(path)
        for path in FILES
        for node in imports(path)
        for name in modules(node)
        if name.split(".")[0] == "redis"
    }
    assert knowing == {"transcript"}


def test_only_the_api_knows_its_framework() -> None:
    knowing = {
        room(path)
        for path in FILES
        for node in imports(path)
        for name in modules(node)
        if name.split(".")[0] in ("ninja", "pydantic")
    }
    assert knowing == {"api"}


def test_only_conf_reads_settings() -> None:
    readers = {
        room(path)
        for path in FILES
        for node in imports(path)
        if isinstance(node, ast.ImportFrom)
        and node.module == "django.conf"
        and any(alias.name == "settings" for alias in node.names)
    }
    # Models name AUTH_USER_MODEL as Django asks for; checks judge settings; two commands find files. What the
    # agent reads are the target's.
    assert readers <= {"agent", "conf", "models", "migrations", "checks", "management"}
