"""Acting on a module of Django's the moment the target imports it, without importing it for the target."""

import sys


class Watch:
    """A finder in front of all others that finds nothing itself: it lets them, and runs an action behind the import."""

    def __init__(self):
        self.actions = {}

    def when_imported(self, name, action):
        """Call `action(module)` once: now, if the module is there (a .pth file may have brought it)."""
        if name in sys.modules:
            action(sys.modules[name])
        else:
            self.actions[name] = action

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.actions:
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._append_action(spec.loader, fullname)
        return spec

    def _found_by_others(self, fullname, path, target):
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if find and finder is not self else None
            if spec is not None:
                return spec
        return None

    def _append_action(self, loader, fullname):
        execute = loader.exec_module

        def execute_then_act(module):
            execute(module)
            action = self.actions.pop(fullname, None)
            if action is not None:
                action(module)

        loader.exec_module = execute_then_act
