"""The transcript: the numbered lines that a job printed, a row a batch, and the unfinished last line."""

from django.db import models

from dbops.models.job import Job


class TranscriptChunk(models.Model):
    """Lines `first`..`last` of a job, joined by line feeds. Numbers begin at 1; of a transcript that is too
    large the rows of the middle are taken away (`Job.gap`)."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="chunks")
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    text = models.TextField()
    # When the first of its lines came.
    at = models.DateTimeField()

    class Meta:
        ordering = ["job", "first"]
        constraints = [
            models.UniqueConstraint(fields=["job", "first"], name="transcript_line_once"),
            models.CheckConstraint(
                name="transcript_chunk_has_lines", condition=models.Q(last__gte=models.F("first"))
            ),
        ]
        indexes = [
            models.Index(fields=["job", "last"], name="transcript_after"),
        ]

    def __str__(self) -> str:
        return f"lines {self.first}-{self.last} of job {self.job_id}"

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")
