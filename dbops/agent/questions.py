"""What makemigrations would ask a person: kept, and answered as without one.

Without one, Django takes a renamed field for a removed and an added one, and ends at a column that needs a
default. Here it goes on, so that the rest can be shown.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .failures import clean

if TYPE_CHECKING:
    from typing import Any, Callable

# Not for a person: whether an app gets a first migration, and what only --merge asks.
UNTOLD = ("ask_initial", "ask_merge")
ABOUT_A_FIELD = {
    "ask_not_null_addition": (
        "not_null_addition",
        "The field {new} is added to {model} and may not be null: which value do the existing rows get?",
    ),
    "ask_not_null_alteration": (
        "not_null_alteration",
        "The field {new} of {model} may not be null any more: which value do the rows get that have none?",
    ),
    "ask_auto_now_add_addition": (
        "auto_now_add_addition",
        "The field {new} with auto_now_add is added to {model}: which time do the existing rows get?",
    ),
    "ask_unique_callable_default_addition": (
        "unique_callable_default_addition",
        "The unique field {new} with a callable default is added to {model}: all existing rows would get one "
        "and the same value.",
    ),
}
RENAMED_FIELD = "Was {model}.{old} renamed to {new}? Answered with no: {old} and its data go, {new} is added."
RENAMED_MODEL = "Was the model {old} renamed to {new}? Answered with no: the table of {old} and its data go."


class Asked:
    """In place of the autodetector's questioner, which still answers."""

    def __init__(self, questioner: Any, detector: Any, kept: list[dict[str, str]]) -> None:
        self.questioner = questioner
        self.detector = detector
        self.kept = kept

    def __getattr__(self, name: str) -> Any:
        answer = getattr(self.questioner, name)
        if not name.startswith("ask_") or name in UNTOLD:
            return answer
        return lambda *args, **options: self.ask(name, answer, [*args, *options.values()])

    def ask(self, name: str, answer: Callable[..., Any], args: list[Any]) -> Any:
        self.kept.append(self.told(name, args, app_of_caller()))
        try:
            return answer(*args)
        except SystemExit:
            # As the class that asks nobody and wants nothing answers: no default.
            return None

    def told(self, name: str, args: list[Any], app: str) -> dict[str, str]:
        if name == "ask_rename":
            model = self.model(app, args[0])
            facts = {"model": model, "old": str(args[1]), "new": str(args[2])}
            return question("rename_field", RENAMED_FIELD, facts)
        if name == "ask_rename_model":
            old, new = args[:2]
            facts = {"model": label(new), "old": label(old), "new": label(new)}
            return question("rename_model", RENAMED_MODEL, facts)
        kind, words = ABOUT_A_FIELD.get(name, (name[len("ask_") :], "It has a question of its own: " + name))
        field, model = (*map(str, args[:2]), "", "")[:2]
        return question(kind, words, {"model": self.model(app, model), "old": "", "new": field})

    def model(self, app: str, name: str) -> str:
        """As its class is called: the autodetector says it in lower case."""
        state = self.detector.to_state.models.get((app, name.lower()))
        return f"{app}.{state.name if state is not None else name}"


def question(kind: str, words: str, facts: dict[str, str]) -> dict[str, str]:
    return {"kind": kind, "words": clean(words.format(**facts)), **facts}


def label(state: Any) -> str:
    return f"{state.app_label}.{state.name}"


def app_of_caller(levels: int = 4) -> str:
    """A questioner is not told the app: the autodetector has it in a variable."""
    for level in range(2, levels + 2):
        found = sys._getframe(level).f_locals.get("app_label")
        if isinstance(found, str):
            return found
    return ""
