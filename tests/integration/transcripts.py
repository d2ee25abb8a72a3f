"""A recorder of a job whose target is the test, and what it left in the rows."""

from django.db import OperationalError

from dbops.models import Job, TranscriptChunk
from dbops.redaction import Redactor
from dbops.transcript import recorder as recording
from dbops.transcript.appending import append
from dbops.transcript.reading import Lines
from dbops.transcript.recorder import Recorder


def recorder(job: Job) -> Recorder:
    return Recorder(job, Redactor(()))


def record(job: Job, *texts: str) -> None:
    """Each of them is a row."""
    job.refresh_from_db()
    target = recorder(job)
    for text in texts:
        target.feed(text.encode())
        target.flush()


def numbered(some: list[Lines]) -> list[tuple[int, list[str]]]:
    return [(piece.first, piece.lines) for piece in some]


def kept(job: Job) -> list[int]:
    """The numbers of the lines that are in the rows."""
    rows = TranscriptChunk.objects.filter(job=job).values_list("first", "last")
    return [number for first, last in rows for number in range(first, last + 1)]


class OwnDatabase:
    """It fails, as its recorder sees it, as long as a test says so; and time passes when it says so."""

    def __init__(self, monkeypatch: object) -> None:
        self.is_away = self.loses_the_answer = False
        self.now = 0.0
        self.real = append
        monkeypatch.setattr(recording, "append", self.append)  # type: ignore[attr-defined]

    def append(self, *arguments: object) -> object:
        if self.is_away:
            raise OperationalError("gone")
        kept = self.real(*arguments)  # type: ignore[arg-type]
        if self.loses_the_answer:
            raise OperationalError("the connection was lost after COMMIT")
        return kept

    def recorder(self, job: Job) -> Recorder:
        return Recorder(job, Redactor(()), clock=lambda: self.now)
