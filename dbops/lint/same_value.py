"""A Python default is asked once: all rows that are there get the one value."""

import re
from collections.abc import Iterator

from . import recipes
from .change import Change
from .finding import DANGER, WARNING, Finding
from .scene import Scene

# Callables whose name says that each row is to have a value of its own.
OF_EACH = re.compile(r"uuid|random|token|secret|nonce|unique|shortid|ulid|nanoid", re.IGNORECASE)


def of_change(change: Change, scene: Scene) -> Iterator[Finding]:
    field = change.after or {}
    if (
        change.does_nothing
        or scene.is_new(change.table)
        or change.before is not None
        or not field.get("column")
    ):
        return
    if not field.get("has_default") or field.get("db_default"):
        return
    if field.get("unique"):
        reason = (
            f"All rows that are there get one value ({field.get('default')}), and it is unique: it "
            f"fails from two rows on."
        )
        yield finding(change, DANGER, reason)
    elif field.get("default_is_callable") and OF_EACH.search(str(field.get("default") or "")):
        reason = f"{field.get('default')} is asked once: all rows that are there get the same value."
        yield finding(change, WARNING, reason)


def finding(change: Change, severity: str, reason: str) -> Finding:
    recipe = recipes.nullable_first(change)
    return Finding(
        "same-value",
        severity,
        "Same value for every row",
        change.subject,
        reason,
        "",
        recipe,
        change.position,
    )
