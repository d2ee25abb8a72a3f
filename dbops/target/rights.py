"""What a target may not do to its database, in words; the facts are dbops.agent.rights'."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WORDS = {
    "create": "The role {role} may not create tables in schema {schema}.",
    "usage": "The role {role} may not use the schema {schema}, where its tables would be created.",
    "schema": "The search_path of the role {role} ({search_path}) names no schema that exists: there is "
    "nowhere to create tables.",
    "path": "The search_path of the role {role} is empty: there is nowhere to create tables.",
    "owner": "The {object} belongs to the role {owner}; the target works as {role}.",
    "access": "The role {role} may not read or write the {object}, which belongs to {owner}.",
    "file": "The target may not write {object}. SQLite writes its file, and a journal beside it: let the "
    "target's user write both, or put the database where that user can (a mount may be read-only).",
    "other": "The target works as the role {role}, which may not do that.",
}
# Before the statement: who can run it.
WHO = {
    "create": "The owner of the schema, or a superuser, lets it:",
    "usage": "The owner of the schema, or a superuser, lets it:",
    "schema": "Whoever may create schemas there makes it:",
    "path": "The role itself, or a superuser, sets it for new connections:",
    "owner": "A superuser, or who is a member of both, hands it over:",
    "access": "Its owner, or a superuser, lets it:",
}


@dataclass(frozen=True)
class Lack:
    """`words` end in a colon where a statement follows."""

    words: str
    statement: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.words, self.statement]))


def lack_of(facts: Any) -> Lack | None:
    """What the agent found lacking, if anything."""
    if not isinstance(facts, Mapping) or facts.get("lack") not in WORDS:
        return None
    kind, statement = facts["lack"], str(facts.get("statement") or "")
    words = WORDS[kind].format_map({key: str(value) for key, value in facts.items()})
    return Lack(f"{words} {WHO[kind]}", statement) if statement and kind in WHO else Lack(words)
