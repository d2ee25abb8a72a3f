"""Acting on a module of Django's the moment the target imports it, without importing it for the target; and
which files were imported, as they were then."""

from __future__ import annotations

import os
import sys
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable


class Watch:
    """A finder in front of the others that finds nothing itself: it lets them, and acts behind the import."""

    def __init__(self) -> None:
        self.actions: dict[str, Callable[[Any], None]] = {}

    def when_imported(self, name: str, action: Callable[[Any], None]) -> None:
        """Call `action(module)` once: now, if the module is there already (through a .pth file)."""
        if name in sys.modules:
            action(sys.modules[name])
        else:
            self.actions[name] = action

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.actions:
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._append_action(spec.loader, fullname)
        return spec

    def _found_by_others(self, fullname: str, path: Any, target: Any) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, target) if find and finder is not self else None
            if spec is not None:
                return spec
        return None

    def _append_action(self, loader: Any, fullname: str) -> None:
        execute = loader.exec_module

        def execute_then_act(module: ModuleType) -> None:
            execute(module)
            action = self.actions.pop(fullname, None)
            if action is not None:
                action(module)

        loader.exec_module = execute_then_act


# {path: (mtime in s, size)} of every source file at the moment at which it was imported.
imported: dict[str, tuple[float, int]] = {}


def note_files() -> None:
    """From here on. The loader asks for these of each, with bytecode beside it or without."""
    stats: Any = SourceFileLoader.path_stats

    def stats_noted(loader: Any, path: Any) -> Any:
        found = stats(loader, path)
        imported[os.fspath(path)] = (found["mtime"], found["size"])
        return found

    SourceFileLoader.path_stats = stats_noted  # type: ignore[method-assign]


def is_as_imported(path: str) -> bool:
    """False where the file was changed since, or is gone."""
    if path not in imported:
        return True
    try:
        about = os.stat(path)
    except OSError:
        return False
    return imported[path] == (about.st_mtime, about.st_size)
