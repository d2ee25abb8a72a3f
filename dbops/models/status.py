"""The typed status of a target database: a closed list of states, each with what was seen and what to do."""

from dataclasses import asdict, dataclass
from typing import Any

# Worst first. `noted` is true and worth knowing, and nothing has to be mended at once. `checked` says: what
# this version judges was judged and nothing was found; `ready` will be said only when every state is judged.
STATES: tuple[str, ...] = (
    "broken",
    "unreachable",
    "inconsistent",
    "conflict",
    "unknown",
    "ghosts",
    "edited",
    "pending",
    "unmade",
    "noted",
    "checked",
)
RANKS = {state: len(STATES) - position for position, state in enumerate(STATES)}
# What `noted` is about: its `reason`, and the words for it.
NOTES: dict[str, str] = {
    "squash_partial": "squash partly applied",
    "squash_unrecorded": "squash not recorded",
    "replaced_rows": "rows of replaced migrations",
    "not_routed": "recorded, not routed here",
    "no_create_right": "no CREATE right",
    "many_schemas": "several schemas",
    "same_database": "same database",
}
# What stands folded under a verdict.
EVIDENCE: dict[str, str] = {
    "conflict": "What makemigrations --merge would write",
    "inconsistent": "Which, and when",
    "ghosts": "Which, and their source as archived",
    "edited": "What was changed",
    "unmade": "The migration that Django would write",
    "noted": "Which",
}


@dataclass(frozen=True)
class Status:
    """One verdict. `detail` is a sentence with the evidence; `next_step` what a person does about it;
    `evidence` text of several lines: a traceback, a diff, a source."""

    state: str
    detail: str = ""
    next_step: str = ""
    reason: str = ""
    evidence: str = ""

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Status":
        return cls(**entry)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def note(self) -> str:
        """What is noted, in a few words; "" for any other state."""
        return NOTES.get(self.reason, "noted") if self.state == "noted" else ""

    @property
    def evidence_title(self) -> str:
        if "Traceback" in self.evidence and self.state in (
            "broken",
            "inconsistent",
            "unreachable",
            "unknown",
        ):
            return "Traceback"
        return EVIDENCE.get(self.state, "What it wrote last")


def worst_rank(statuses: list[Status]) -> int:
    return max((RANKS[status.state] for status in statuses), default=RANKS["unknown"])
