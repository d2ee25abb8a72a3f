"""What an operation is, and what it gets to work with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dbops.rights import Role

OnEvent = Callable[[str, Mapping[str, Any]], None]


class CancelledError(Exception):
    """The operation was stopped because a person asked for it; `facts` is what the agent reported last."""

    def __init__(self, how: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(how)
        self.how = how
        self.facts = dict(facts or {})


@dataclass(frozen=True)
class Done:
    """An operation that ended without an error: a sentence, and facts that the job keeps."""

    outcome: str
    facts: dict[str, Any] = field(default_factory=dict)


class Context(Protocol):
    """An operation's hands: talk with the target, keep steps, say things. Never a request, never Redis."""

    @property
    def alias(self) -> str: ...

    @property
    def label(self) -> str:
        """What the sessions on the target's server are called: `opsdash job 12 on shop/default`."""

    @property
    def arguments(self) -> Mapping[str, Any]: ...

    def agent(self, verb: str, arguments: Mapping[str, Any], on_event: OnEvent) -> Mapping[str, Any]:
        """One conversation with the target's interpreter; its output goes into the transcript.

        Raises a dbops.target.errors.TargetError, or CancelledError.
        """

    def say(self, sentence: str) -> None:
        """A line of our own in the transcript."""

    def about(self, data: Mapping[str, Any]) -> None:
        """Where it works, as the agent tells it (dbops.agent.about): kept with the job, however it ends."""

    def running(self, backend_pid: int | None, backend_started: int | None = None) -> None:
        """The target works on its database from now on, in this session where it has a server."""

    def tree(self) -> Mapping[str, Any]:
        """{directory, seen: {path: sha256}}: the target's tree as this worker sees it. Raises NoFileReach."""

    def will_write(self, files: Sequence[Sequence[str]]) -> None:
        """[app, name, path] of each file that is to be new: kept with the job at once."""

    def plan_steps(self, kind: str, names: list[str]) -> None:
        """Show the steps that are to come."""

    def begin_step(self, kind: str, name: str) -> None: ...

    def end_step(
        self, name: str, *, duration_ms: int, statements: int | None = None, failed: bool = False
    ) -> None: ...

    def retry_step(
        self,
        name: str,
        *,
        attempt: int,
        attempts: int,
        again_in_s: float,
        waits: list[dict[str, Any]],
        duration_ms: int,
        statements: int | None = None,
    ) -> None:
        """A try failed and left nothing; the same step is begun again after a rest.

        `waits`: as in lock_wait, at the end of the try; empty where that was not seen."""

    def lock_wait(self, waits: list[dict[str, Any]], problem: str = "") -> None:
        """Which locks are waited for now, and who is in the way; `problem`: why that cannot be seen."""

    def session_ended(self, ending: int, outcome: str, words: str) -> None:
        """What came of a session that staff asked to end."""


class Operation(Protocol):
    """One act. `name` stands in URLs, rows and commands."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> Role:
        """What it needs on the target: of who asks for it, and of the same person when it begins."""

    @property
    def changing(self) -> bool:
        """It writes to the target's database, so it needs the guard."""

    @property
    def writes_tree(self) -> bool:
        """It writes to the target's tree: one such job at a time on a target."""

    def title(self, arguments: Mapping[str, Any]) -> str:
        """What it will do, for pages and lists: `migrate catalog to 0003_price`."""

    def perform(self, context: Context) -> Done: ...
