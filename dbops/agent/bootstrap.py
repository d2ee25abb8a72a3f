"""The first of our code that runs: modules from memory, then the supervisor, then (in the forked child) the target."""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec

PACKAGE = "opsdash_agent"


class MemoryModules:
    """An importer for the agent's own modules. Nothing is written to disk, nothing is added to sys.path."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, fullname, path=None, target=None):
        if fullname != PACKAGE and not fullname.startswith(PACKAGE + "."):
            return None
        if self._key(fullname) not in self.sources:
            return None
        spec = ModuleSpec(fullname, self, origin=self._filename(fullname), is_package=fullname == PACKAGE)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        exec(compile(self.get_source(name), self._filename(name), "exec"), module.__dict__)  # noqa: S102

    def get_source(self, fullname):
        """For linecache: a traceback through the agent shows its lines."""
        return self.sources[self._key(fullname)]

    def _key(self, fullname):
        return fullname[len(PACKAGE) + 1 :] or "__init__"

    def _filename(self, fullname):
        return "opsdash-agent/" + self._key(fullname) + ".py"


def start(sources, read):
    """`read(n)` returns exactly n bytes of stdin. Returns in the supervisor when all is over, in the child when the target is done."""
    sys.meta_path.insert(0, MemoryModules(sources))
    ends = import_module(PACKAGE + ".supervisor").run(read)
    if ends is not None:
        import_module(PACKAGE + ".child").run(ends)
