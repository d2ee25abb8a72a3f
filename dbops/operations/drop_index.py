"""drop_index: one invalid index is dropped, concurrently."""

from collections.abc import Mapping
from typing import Any

from dbops.operations.base import Context, Done
from dbops.operations.migrate import follow, session
from dbops.rights import Role


class DropIndex:
    """Arguments: {"schema": name, "index": name}."""

    name = "drop_index"
    role = Role.STAFF
    changing = True
    writes_tree = False

    def title(self, arguments: Mapping[str, Any]) -> str:
        return f"drop the invalid index {arguments['schema']}.{arguments['index']}"

    def perform(self, context: Context) -> Done:
        answer = context.agent("perform", request(context), lambda *event: follow(context, *event))
        return Done(f"The invalid index {answer['dropped']} is dropped. Nothing else was changed.")


def request(context: Context) -> dict[str, Any]:
    return {
        "operation": "drop_index",
        "alias": context.alias,
        "schema": context.arguments["schema"],
        "index": context.arguments["index"],
        "session": session(context),
    }
