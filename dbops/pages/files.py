"""The files that a job wrote, as its page shows them: as a difference, all of whose lines are added."""

from dataclasses import dataclass

from dbops.models import Job


@dataclass(frozen=True)
class WrittenFile:
    path: str
    lines: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.lines)


def files_of(job: Job) -> list[WrittenFile]:
    if job.is_active:
        return []
    return [
        WrittenFile(str(one["path"]), tuple(str(one["text"]).splitlines()))
        for one in job.facts.get("files") or []
    ]
