"""The typed status of a target database: a closed list of states, each with what was seen and what to do."""

from dataclasses import asdict, dataclass
from typing import Any

# Worst first. `checked` says: what this version judges was judged and nothing was found; `ready` will be said
# only when every state is judged.
STATES: tuple[str, ...] = (
    "broken",
    "unreachable",
    "inconsistent",
    "conflict",
    "unknown",
    "ghosts",
    "pending",
    "checked",
)
RANKS = {state: len(STATES) - position for position, state in enumerate(STATES)}


@dataclass(frozen=True)
class Status:
    """One verdict. `detail` is a sentence with the evidence; `next_step` what a person does about it."""

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


def worst_rank(statuses: list[Status]) -> int:
    return max((RANKS[status.state] for status in statuses), default=RANKS["unknown"])
