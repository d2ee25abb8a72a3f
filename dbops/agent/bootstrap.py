"""The first of our code that runs: modules from memory, then the supervisor, then (in the forked child) the
target."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

PACKAGE = "opsdash_agent"


class MemoryModules:
    """An importer for the agent's own modules. Nothing is written to disk, nothing is added to sys.path."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE or key_of(fullname) not in self.sources:
            return None
        is_package = fullname == PACKAGE
        spec = ModuleSpec(fullname, self, origin=filename_of(fullname), is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """None: the import system makes an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        exec(compile(self.get_source(name), filename_of(name), "exec"), module.__dict__)  # noqa: S102

    def get_source(self, fullname: str) -> str:
        """For linecache: a traceback through the agent shows its lines."""
        return self.sources[key_of(fullname)]


def key_of(fullname: str) -> str:
    return fullname[len(PACKAGE) + 1 :] or "__init__"


def filename_of(fullname: str) -> str:
    return "opsdash-agent/" + key_of(fullname) + ".py"


def start(sources: dict[str, str], read: Callable[[int], bytes]) -> None:
    """`read(n)` returns exactly n bytes of stdin.

    Returns in the supervisor when all is over, and in the child when the target is done.
    """
    sys.meta_path.insert(0, MemoryModules(sources))
    ends = import_module(PACKAGE + ".supervisor").run(read)
    if ends is not None:
        import_module(PACKAGE + ".child").run(ends)
