"""MySQL, MariaDB, Oracle and others: nothing is said of their locks."""

from collections.abc import Iterator, Sequence

from .change import Change
from .finding import NOTICE, Finding
from .scene import Scene


def of_migration(scene: Scene, changes: Sequence[Change]) -> Iterator[Finding]:
    altering = [
        change
        for change in changes
        if not change.does_nothing
        and change.kind not in ("CreateModel", "RunPython")
        and not scene.is_new(change.table)
    ]
    if altering:
        reason = f"opsdash does not know which locks {scene.vendor} takes here, nor for how long."
        yield Finding("cannot-tell-locks", NOTICE, "Cannot tell locks", "", reason)
