"""Transcripts of long ago are taken away; the job, its steps and its outcome stay."""

from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Now

from dbops import conf
from dbops.models import Job, TranscriptChunk

# So many rows go in one transaction, and so many of these in one sweep.
ROWS_AT_ONCE = 500
PIECES_AT_ONCE = 100


def sweep() -> bool:
    """True when more is left to do."""
    return all(remove_some() for _ in range(PIECES_AT_ONCE))


@transaction.atomic
def remove_some() -> bool:
    """The last rows of a transcript whose time is over; from the end, so that who reads on meanwhile finds an
    end and no hole. False where there is none, or another sweep is at work on each of them."""
    job = due().select_for_update(skip_locked=True).first()
    if job is None:
        return False
    rows = TranscriptChunk.objects.filter(job=job)
    last_ones = rows.order_by("-first").values_list("pk", flat=True)[:ROWS_AT_ONCE]
    deleted, _ = rows.filter(pk__in=list(last_ones)).delete()
    left = F("transcript_bytes") if deleted == ROWS_AT_ONCE else 0
    # Said from the first row on: what is there without the rest is no transcript.
    removed_at = Coalesce("transcript_removed_at", Now())
    Job.objects.filter(pk=job.pk).update(transcript_removed_at=removed_at, transcript_bytes=left)
    return True


def due() -> QuerySet[Job]:
    limit = Now() - timedelta(days=conf.knob("TRANSCRIPT_DAYS"))
    return Job.objects.filter(finished_at__lt=limit, transcript_bytes__gt=0).order_by("finished_at")


def removed_words(job: Job) -> str:
    """ "" where it was not removed."""
    if job.transcript_removed_at is None:
        return ""
    return (
        f"The transcript was removed on {job.transcript_removed_at:%Y-%m-%d}: those of jobs that ended more "
        f"than {conf.knob('TRANSCRIPT_DAYS'):,} days ago are (OPSDASH_TRANSCRIPT_DAYS). The job, its steps "
        "and its outcome are kept."
    )


def end_of_text(job_id: int) -> str:
    """What a transcript that is given as one text ends with: "", or why there is no more of it."""
    words = removed_words(Job.objects.get(pk=job_id))
    return f"opsdash: {words}\n" if words else ""
