"""makemigrations: the migrations of a preview are written to the target's tree."""

from collections.abc import Mapping
from typing import Any

from dbops.operations.base import Context, Done
from dbops.operations.migrate import follow, session
from dbops.rights import Role


class MakeMigrations:
    """Arguments: {"merge": bool, "expected": fingerprint of the preview}."""

    name = "makemigrations"
    role = Role.STAFF
    changing = False
    writes_tree = True

    def title(self, arguments: Mapping[str, Any]) -> str:
        return "makemigrations --merge" if arguments.get("merge") else "makemigrations"

    def perform(self, context: Context) -> Done:
        sent = {
            "operation": self.name,
            "alias": context.alias,
            "merge": bool(context.arguments.get("merge")),
            "expected": context.arguments["expected"],
            **context.tree(),
            "session": session(context),
        }
        answer = context.agent("perform", sent, lambda *event: listen(context, *event))
        files = list(answer["files"])
        return Done(outcome(len(files)), {"files": files, "changed": list(answer["changed"])})


def listen(context: Context, name: str, data: Mapping[str, Any]) -> None:
    if name == "files":
        context.will_write(data["files"])
    elif name == "step_started":
        context.begin_step(data["kind"], data["name"])
    elif name == "step_finished":
        context.end_step(data["name"], duration_ms=data["duration_ms"])
    else:
        follow(context, name, data)


def outcome(count: int) -> str:
    return f"makemigrations wrote {count} new file{'' if count == 1 else 's'}."
