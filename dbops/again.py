"""Whether a job can be asked for once more: the same on the same database, or not at all."""

from dbops.elsewhere import why_another, why_gone
from dbops.models import Job


def is_repeatable(job: Job) -> bool:
    """A remedy is not: what it is for stands in the job that it was asked for from."""
    return job.operation == "migrate"


def why_not_again(job: Job) -> str:
    """A sentence; "" when it can. What else may stand in the way is found when it is started."""
    if not is_repeatable(job):
        where = "its preview" if job.writes_tree_of_id else "the page of the job that shows why"
        kind = job.operation if job.writes_tree_of_id else "a remedy"
        return f"Job {job.pk} was {kind}: such a one is asked for on {where}."
    if job.is_active:
        return f"Job {job.pk} is {job.state}: it can be run again when it has ended."
    if gone := why_gone(job):
        return f"{_begun(gone)}, so that job {job.pk} cannot be run again."
    if another := why_another(job):
        return f"{_begun(another)}. Job {job.pk} is not run there; ask for a new one if that is meant."
    return ""


def _begun(clause: str) -> str:
    return clause[:1].upper() + clause[1:]
