"""Constraints: what has to look at every row before it holds."""

from collections.abc import Iterator

from . import recipes
from .act import Act
from .change import Change
from .finding import DANGER, WARNING, Finding, Recipe
from .scene import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, Scene, lock_words, long

SCAN = "every row is checked"


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if scene.is_new(act.table):
        return
    if act.kind == "add column":
        yield from of_column(act, change, scene)
    elif act.kind == "add constraint" and not (act.has("not valid") or act.has("using index")):
        yield from added(act, change, scene)
    elif act.kind == "type":
        yield from checked_again(act, change, scene)
    elif act.kind == "attach partition":
        yield attach(act, scene)


def of_column(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if act.has("check"):
        reason = (
            "The column comes with a check, so every row is looked at, though each is NULL or has "
            "the default."
        )
        recipe = recipes.positive(change, act) if is_positive(change) else recipes.check(change, act)
        yield check(act, scene, reason, recipe)
    if act.has("unique") or act.has("primary key"):
        yield unique(act, change, scene)
    if act.has("references") and act.has("default"):
        yield foreign_key(act, change, scene, ACCESS_EXCLUSIVE)


def is_positive(change: Change | None) -> bool:
    return str(((change.after if change else None) or {}).get("type") or "").startswith("Positive")


def added(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if act.type == "check":
        reason = "Every row is checked. It fails where one does not hold."
        yield check(act, scene, reason, recipes.check(change, act))
    elif act.type in ("unique", "primary key"):
        yield unique(act, change, scene)
    elif act.type == "exclude":
        yield exclusion(act, scene)
    elif act.type == "foreign key":
        yield foreign_key(act, change, scene, scene.lock_of(act, SHARE_ROW_EXCLUSIVE))


def check(act: Act, scene: Scene, reason: str, recipe: Recipe) -> Finding:
    lock = lock_words(ACCESS_EXCLUSIVE, act.table, long(scene, SCAN))
    return Finding(
        "check-scan", DANGER, "Check looks at every row", act.subject, reason, lock, recipe, act.operation
    )


def unique(act: Act, change: Change | None, scene: Scene) -> Finding:
    return Finding(
        "blocking-unique",
        DANGER,
        "Blocking unique index build",
        act.subject,
        "A unique index is built from every row, while nobody can read or write. It fails where two rows "
        "are alike.",
        lock_words(ACCESS_EXCLUSIVE, act.table, long(scene, "the index is built")),
        recipes.unique(change, act),
        act.operation,
    )


def exclusion(act: Act, scene: Scene) -> Finding:
    recipe = Recipe("There is no concurrent form of it: make it with a new table, or when nobody works.")
    reason = (
        "Its index is built from every row, while nobody can read or write. It fails where two rows "
        "exclude each other."
    )
    lock = lock_words(ACCESS_EXCLUSIVE, act.table, long(scene, "the index is built"))
    return Finding(
        "exclusion-scan", DANGER, "Blocking index build", act.subject, reason, lock, recipe, act.operation
    )


def foreign_key(act: Act, change: Change | None, scene: Scene, lock: str) -> Finding:
    words = lock_words(lock, act.table, long(scene, SCAN))
    if act.other and not scene.is_new(act.other):
        words += f"; {lock_words(SHARE_ROW_EXCLUSIVE, act.other)}"
    return Finding(
        "foreign-key-scan",
        DANGER if lock == ACCESS_EXCLUSIVE else WARNING,
        "Foreign key looks at every row",
        act.subject,
        f"Each row of {act.table} is looked up in {act.other or 'the other table'}. It fails where one is "
        f"not found there.",
        words,
        recipes.foreign_key(change, act),
        act.operation,
    )


def checked_again(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    old = scene.type_before(act, change)
    names = [name for name, words in scene.constraints(act.table).items() if is_check_on(words, act.name)]
    if not names or not old:
        return
    reason = f"The column's check {', '.join(names)} is made anew with the type, so every row is looked at."
    yield check(
        act,
        scene,
        reason,
        Recipe("Drop the check, change the type, add the check as NOT VALID, validate it later."),
    )


def is_check_on(words: str, column: str) -> bool:
    return words.lstrip().upper().startswith("CHECK") and f'"{column}"' in words


def attach(act: Act, scene: Scene) -> Finding:
    lock = lock_words(ACCESS_EXCLUSIVE, act.other or "the partition", long(scene, SCAN))
    recipe = Recipe("Give it a validated check that says the same as the partition's bounds before.")
    reason = (
        "Every row of the new partition is checked, unless a check of its own already says what the "
        "bounds say."
    )
    return Finding(
        "attach-scan",
        WARNING,
        "Check looks at every row",
        act.other or act.table,
        reason,
        lock,
        recipe,
        act.operation,
    )
