"""What cannot be undone."""

from collections.abc import Iterator

from . import recipes
from .finding import DANGER, WARNING, Finding
from .scene import Scene


def of_migration(scene: Scene) -> Iterator[Finding]:
    """Which of its operations stop it; also those that this plan does not route here."""
    operations = scene.migration.get("operations") or []
    for position, operation in enumerate(operations):
        if operation.get("reversible") is False:
            words = str(operation.get("words") or operation.get("kind") or "")
            yield finding(scene, words, position)


def finding(scene: Scene, words: str, position: int) -> Finding:
    if scene.backwards:
        reason = f'"{words}" cannot be reversed: Django refuses to unapply this migration.'
        return Finding("irreversible", DANGER, "Irreversible", "", reason, "", recipes.REVERSE, position)
    reason = f'"{words}" does not say how it is undone: once applied, this migration cannot be unapplied.'
    return Finding("irreversible", WARNING, "Irreversible", "", reason, "", recipes.REVERSE, position)
