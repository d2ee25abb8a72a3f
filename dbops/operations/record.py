"""record: one migration is recorded as applied, whose changes of the schema were found there."""

from collections.abc import Mapping
from typing import Any

from dbops.operations.base import Context, Done
from dbops.operations.migrate import follow, session
from dbops.rights import Role


class Record:
    """Arguments: {"app": label, "migration": name}."""

    name = "record"
    role = Role.STAFF
    changing = True
    writes_tree = False

    def title(self, arguments: Mapping[str, Any]) -> str:
        return f"record {arguments['app']}.{arguments['migration']} as applied"

    def perform(self, context: Context) -> Done:
        answer = context.agent("perform", request(context), lambda *event: follow(context, *event))
        app, name = context.arguments["app"], context.arguments["migration"]
        facts = {"recorded_after": [[app, name]], "recorded_known": answer["recorded_known"]}
        return Done(f"{app}.{name} is recorded as applied. Nothing else was changed.", facts)


def request(context: Context) -> dict[str, Any]:
    return {
        "operation": "record",
        "alias": context.alias,
        "app": context.arguments["app"],
        "migration": context.arguments["migration"],
        "session": session(context),
    }
