"""The hands that an operation gets: the agent's conversation, the steps, the transcript."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dbops import conf, endings
from dbops.heartbeat import Heartbeat
from dbops.late import LateWrites
from dbops.lockwait import LockWait
from dbops.models import Job
from dbops.models.away import is_away, patiently
from dbops.models.job import FenceLostError
from dbops.operations.base import CancelledError, OnEvent
from dbops.postgres.identity import own_identity
from dbops.steps import MIGRATION, Steps
from dbops.target import door
from dbops.target.about import about_of, size_of
from dbops.target.address import Address
from dbops.target.errors import ConnectionLost
from dbops.target.frames import Answer, End, Event, Failure, Frame, Output
from dbops.target.revision import revision_of
from dbops.target.tree import as_seen
from dbops.target.words import signal_words
from dbops.transcript.live import publish_change
from dbops.transcript.recorder import Recorder

logger = logging.getLogger(__name__)

LISTEN_S = 0.1
# Times CANCEL_GRACE_S: three rungs, and what the agent may need beyond them before its silence means that
# nobody is there.
FROZEN_GRACES = 9
# Of the facts of a failure: names of migrations and codes. Free text, which may hold a secret, is in `files`
# alone (see dbops.writing, which masks it).
KEPT_FACTS = ("recorded_known", "recorded_after", "sqlstate", "undone", "files", "changed", "fingerprint")
LINGERED = (
    "the work was done, but the process did not end by itself (a thread or an exit handler of the target): "
    "it was ended."
)
OUTPUT_OPEN = (
    "A process that the target started in a session of its own was left running: opsdash neither stops it "
    "nor sees what it does from here on."
)
STUCK = (
    "The target's process did not die when it was killed (it hangs in the kernel, or is frozen): it may work "
    "on when that ends."
)
# The rungs of the agent's ladder, in words (dbops.agent.ladder).
RUNGS = {
    "at once": "it was ended before it began to work",
    "polite": "its query was cancelled and it ended by itself",
    "terminate": "it did not end by itself in time and was terminated",
    "kill": "it did not end in time and was killed",
}


class Performance:
    """A Context (dbops.operations.base) for one job."""

    def __init__(self, job: Job, address: Address, recorder: Recorder, heartbeat: Heartbeat) -> None:
        self.job = job
        self.address = address
        self.recorder = recorder
        self.heartbeat = heartbeat
        self.steps = Steps(job.pk, job.fence)
        self._lock_wait = LockWait(recorder.redactor.clean)
        # What the agent reported besides its answer: known also when there is no answer.
        self.facts: dict[str, Any] = {}
        self._late = LateWrites(job.pk, say=self.say, tell=self.steps.tell, stands=self.steps.stands)
        # Of the steps that have ended: the next one begins behind it.
        self._last_line = 0
        self._cancelled_at = 0.0
        # Ids of the endings that the agent was told of.
        self._handed_on: set[int] = set()
        self._session: door.Session | None = None

    @property
    def may_work_on(self) -> bool:
        """Asked at the end: the connection was lost before the agent said that it had ended, or it said that
        it could not end it."""
        if self._session is None:
            return False
        return self._session.may_work_on or bool(self._session.end and self._session.end.stuck)

    @property
    def left_behind(self) -> str:
        """Asked at the end: what the agent could not end, in a sentence; "" where it said of nothing."""
        end = self._session.end if self._session else None
        if end is None:
            return ""
        return STUCK if end.stuck else OUTPUT_OPEN if end.output_open else ""

    @property
    def alias(self) -> str:
        return self.job.database.alias

    @property
    def label(self) -> str:
        return f"opsdash job {self.job.pk} on {self.job.database}"

    @property
    def arguments(self) -> Mapping[str, Any]:
        return dict(self.job.arguments)

    def agent(self, verb: str, arguments: Mapping[str, Any], on_event: OnEvent) -> Mapping[str, Any]:
        sent = {
            **arguments,
            "guard": {"label": self.label},
            "forbidden_identity": patiently(own_identity),
            # Not another database than the one that the person saw.
            "expected_identity": self.job.identity,
        }
        # A worker that was paused may have lost the job meanwhile; it must not begin then.
        if not patiently(lambda: Job.objects.beat(self.job.pk, self.job.fence)):
            raise FenceLostError
        with door.open_session(self.address, verb, sent, grace_s=conf.knob("CANCEL_GRACE_S")) as session:
            self._session, conversation = session, Conversation()
            while conversation.end is None:
                self._obey(session)
                self._give_up_when_frozen()
                frame = session.receive(LISTEN_S)
                conversation.hear(frame)
                self._act_on(frame, on_event)
        return self._result(session, conversation)

    def say(self, sentence: str) -> None:
        self.recorder.say(sentence)

    def about(self, data: Mapping[str, Any]) -> None:
        facts = {**about_of(data), "revision": revision_of(self.address)}
        self.facts.update(facts)
        # At once: a worker that vanishes leaves it with the job.
        self._write(lambda: Job.objects.touch(self.job.pk, self.job.fence, facts=facts))

    def tree(self) -> Mapping[str, Any]:
        inspections = self.job.database.target.inspections.filter(outcome="done")
        latest = patiently(inspections.first)
        disk = (latest.report or {}).get("disk") if latest else None
        files = [str(one["file"]) for one in disk or []]
        return {"directory": self.address.cwd, "seen": as_seen(self.address, files)}

    def will_write(self, files: Sequence[Sequence[str]]) -> None:
        self.facts["to_write"] = [list(one) for one in files]
        facts = dict(self.facts)
        # At once: a worker that vanishes leaves it with the job.
        self._write(lambda: Job.objects.touch(self.job.pk, self.job.fence, facts=facts))

    def running(self, backend_pid: int | None, backend_started: int | None = None) -> None:
        backend = {"backend_pid": backend_pid, "backend_started": backend_started}
        # The first one works; a later one only reads what is recorded.
        is_first = bool(backend_pid) and not self.job.backend_pid
        if is_first:
            self.job.backend_pid, self.job.backend_started = backend_pid, backend_started
        self._write(lambda: self._running(backend if is_first else {}))

    def plan_steps(self, kind: str, names: list[str]) -> None:
        self.facts["plan"] = [*self.facts.get("plan", []), *names]
        self._write(lambda: self.steps.plan(kind, names))

    def begin_step(self, kind: str, name: str) -> None:
        # Asked now: by the time of the write there may be more lines.
        first_line = max(self.recorder.next_line, self._last_line + 1)
        self._late.add(lambda: self.steps.begin(kind, name, first_line), may_wait=kind == MIGRATION)
        if self._lock_wait.begin():
            self._keep_lock_wait()

    def end_step(
        self, name: str, *, duration_ms: int, statements: int | None = None, failed: bool = False
    ) -> None:
        state = (
            "succeeded" if not failed else "cancelled" if self.heartbeat.cancel_asked.is_set() else "failed"
        )
        measured = self._measured(duration_ms, statements)
        self._late.add(lambda: self.steps.end(name, state, **measured), may_wait=True)

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
        measured = self._measured(duration_ms, statements)
        self._write(lambda: self.steps.retry(name, attempts=attempts, **measured))
        self.say(
            f"try {attempt} of {attempts} of {name} waited too long for a lock and was rolled back; "
            f"the next one begins in {again_in_s:g} s"
        )
        self._lock_wait.rest(attempt, attempts, again_in_s, waits)
        self._keep_lock_wait()

    def lock_wait(self, waits: list[dict[str, Any]], problem: str = "") -> None:
        if problem:
            self.say(f"who is in the way of a lock cannot be seen: {problem}")
        self._lock_wait.hear(waits)
        if news := self._lock_wait.news():
            self.say(news)
        self._keep_lock_wait()

    def session_ended(self, ending: int, outcome: str, words: str) -> None:
        words = self.recorder.redactor.clean(words)
        self.say(f"a session in the way, as staff asked: {words}")
        self._write(lambda: endings.answer(self.job.pk, ending, outcome, words))

    def catch_up(self) -> bool:
        """Write what waits for our database; False when it still does not answer."""
        return self._late.catch_up()

    def _measured(self, duration_ms: int, statements: int | None) -> dict[str, Any]:
        """Of a step that ends now."""
        self._last_line = self.recorder.line_at_hand
        return {"duration_ms": duration_ms, "statements": statements, "last_line": self._last_line}

    def _obey(self, session: door.Session) -> None:
        if self.heartbeat.fence_lost.is_set():
            raise FenceLostError
        if self.heartbeat.ending_asked.is_set():
            self._hand_endings_on(session)
        if self.heartbeat.cancel_asked.is_set():
            self._cancelled_at = self._cancelled_at or time.monotonic()
            session.cancel()

    def _hand_endings_on(self, session: door.Session) -> None:
        """Each once. Where our database fails, it is asked again for those that were not handed on."""
        self.heartbeat.ending_asked.clear()
        try:
            for asked in endings.take(self.job.pk, self.job.fence, self._handed_on):
                self._handed_on.add(asked.pk)
                starts = asked.backend_start, asked.transaction_start or None
                session.end_session(asked.pk, asked.pid, *starts, asked.act)
        except Exception as error:
            if not is_away(error):
                raise
            self._late.wait(error)

    def _give_up_when_frozen(self) -> None:
        """The ladder is climbed on the other side; where nothing of it comes back, somebody must be told."""
        patience = FROZEN_GRACES * conf.knob("CANCEL_GRACE_S")
        if self._cancelled_at and time.monotonic() - self._cancelled_at > patience:
            raise ConnectionLost(
                f"{self.address.name} was asked to stop and was silent for {patience} s; "
                "its connection was cut."
            )

    def _act_on(self, frame: Frame | None, on_event: OnEvent) -> None:
        if isinstance(frame, Output):
            self.recorder.feed(frame.data)
        elif isinstance(frame, Event):
            on_event(frame.name, frame.data)
        else:
            self.recorder.flush_when_due()
        if self._late.catch_up_when_due():
            publish_change(self.job.pk)

    def _write(self, write: Callable[[], None]) -> None:
        """Keep the order of the writes, and let the target work on when our database is away."""
        self._late.add(write)
        if self.catch_up():
            publish_change(self.job.pk)

    def _keep_lock_wait(self) -> None:
        """The latest alone is of use, however many our database could not take meanwhile."""
        if self._write_lock_wait not in self._late:
            self._write(self._write_lock_wait)

    def _write_lock_wait(self) -> None:
        Job.objects.touch(self.job.pk, self.job.fence, lock_wait=self._lock_wait.document())

    def _running(self, backend: Mapping[str, Any]) -> None:
        Job.objects.move(self.job.pk, ["starting"], "running", held_fence=self.job.fence)
        if backend:
            Job.objects.touch(self.job.pk, self.job.fence, **backend)

    def _result(self, session: door.Session, conversation: "Conversation") -> Mapping[str, Any]:
        end = conversation.end
        assert end is not None
        if conversation.answer is not None:
            if end.why == "lingered" and not end.stuck:
                self.say(LINGERED)
            return conversation.answer.data
        if conversation.failure is not None:
            facts = conversation.failure.facts
            self.facts.update({key: facts[key] for key in KEPT_FACTS if key in facts})
            self.facts["size_after"] = size_of(facts.get("size_after"))
        own_failure = conversation.failure is not None and conversation.failure.type != "cancelled"
        if self.heartbeat.cancel_asked.is_set() and end.why == "cancelled" and not own_failure:
            raise CancelledError(how_it_ended(end), self.facts)
        if conversation.failure is not None:
            raise session.error(conversation.failure)
        raise session.ended_without_answer(end)


def how_it_ended(end: End) -> str:
    """In words, after a cancel."""
    if end.stuck:
        return "it did not end in time, and was killed in vain"
    if end.rung == "polite" and end.signal is not None:
        return f"its query was cancelled and its process ended with {signal_words(end.signal)}"
    return RUNGS[end.rung or ""]


class Conversation:
    """What was heard of one session so far."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.failure: Failure | None = None
        self.end: End | None = None

    def hear(self, frame: Frame | None) -> None:
        if isinstance(frame, Answer):
            self.answer = frame
        elif isinstance(frame, Failure):
            self.failure = frame
        elif isinstance(frame, End):
            self.end = frame
