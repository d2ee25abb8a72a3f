"""Migrations that are recorded although one that they depend on is not: all of them, where Django names the
first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from typing import Any

    Recorded = dict[tuple[str, str], str | None]

SQUASH_OF_SQUASH = (6, 0)


def of(loader: Any, recorded: Recorded) -> list[dict[str, Any]]:
    """[{migration, dependency, applied_at, dependency_applied_at}]; of a squash that was recorded by itself
    there may be a time."""
    nodes = loader.graph.node_map
    return [
        {
            "migration": list(key),
            "dependency": list(parent),
            "applied_at": applied_at,
            "dependency_applied_at": recorded.get(parent),
        }
        for key, applied_at in recorded.items()
        if key in loader.graph.nodes
        for parent in sorted(node.key for node in nodes[key].parents)
        if parent not in recorded and not is_replaced(parent, loader, recorded)
    ]


def is_replaced(key: tuple[str, str], loader: Any, recorded: Recorded) -> bool:
    """A squash that is not recorded, while all that it replaces is: then Django lets it pass. Since 6.0
    what it replaces may be a squash itself."""
    squash = loader.replacements.get(key)
    if squash is None:
        return False
    return all(
        tuple(one) in recorded
        or (django.VERSION >= SQUASH_OF_SQUASH and is_replaced(tuple(one), loader, recorded))
        for one in squash.replaces
    )
